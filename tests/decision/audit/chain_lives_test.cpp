#include "decision/audit/chain_lives.hpp"

#include <gtest/gtest.h>

namespace selfheal {
namespace {

constexpr TimeMs begin_ms = 1'800'000'000'000;

class ChainLivesTest : public testing::Test {
 protected:
  void batch(TimeMs tick_ms, TimeMs caught_up_ms = 0) {
    JournalRecord record;
    record.kind = JournalKind::batch;
    record.cut.tick_ms = begin_ms + tick_ms;
    record.cut.caught_up_through_ms = begin_ms + caught_up_ms;
    lives.take(record);
  }
  void claim() {
    JournalRecord record;
    record.kind = JournalKind::claim;
    lives.take(record);
  }
  // Since begin_ms; -1: not yet.
  TimeMs told_by(TimeMs tick_ms) const {
    const std::optional<TimeMs> told = lives.told_by_ms(0, begin_ms + tick_ms);
    return told ? *told - begin_ms : -1;
  }

  ChainLives lives;
};

TEST_F(ChainLivesTest, WhatWasSaidIsToldTenSecondsAfterTheChainWentOn) {
  batch(0);
  EXPECT_EQ(told_by(0), -1);
  batch(100);
  batch(10'100);
  EXPECT_EQ(told_by(0), -1);
  batch(10'101);
  EXPECT_EQ(told_by(0), 10'100);
  EXPECT_EQ(told_by(100), -1);
}

TEST_F(ChainLivesTest, ANewOwnerHasItsOwnTenSeconds) {
  batch(0);
  batch(100);
  claim();
  batch(15'000);
  batch(25'000);
  EXPECT_EQ(told_by(0), -1);
  batch(25'001);
  EXPECT_EQ(told_by(0), 25'000);
}

TEST_F(ChainLivesTest, APauseIsNobodysLife) {
  batch(0);
  batch(600'000);
  EXPECT_EQ(told_by(0), -1);
  batch(610'001);
  EXPECT_EQ(told_by(0), 610'000);
}

TEST_F(ChainLivesTest, WhatHasBeenTakenIsWhatTheChainSays) {
  batch(20'000, 5'000);
  EXPECT_TRUE(lives.has_taken(0, begin_ms + 4'999));
  EXPECT_FALSE(lives.has_taken(0, begin_ms + 5'000));
  EXPECT_FALSE(lives.has_taken(1, begin_ms));
}

}  // namespace
}  // namespace selfheal
