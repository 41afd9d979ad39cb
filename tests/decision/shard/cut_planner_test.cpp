// What may be taken at once, and when time alone makes a cut.
#include "decision/shard/cut_planner.hpp"

#include <gtest/gtest.h>

#include "decision/shard/shard_fold.hpp"

namespace selfheal {
namespace {

TEST(CutPlanner, ATickIsHeldToTheLogOnBothSides) {
  constexpr TimeMs log_ms = 1'800'000'000'000;
  EXPECT_EQ(CutPlanner::tick_held_to(log_ms, log_ms), log_ms);
  EXPECT_EQ(CutPlanner::tick_held_to(log_ms + 400, log_ms), log_ms + 400);
  EXPECT_EQ(CutPlanner::tick_held_to(log_ms - 400, log_ms), log_ms - 400);
  // An hour off either way: a second, so that the journal takes it and timers go on firing.
  EXPECT_EQ(CutPlanner::tick_held_to(log_ms + one_hour_ms, log_ms), log_ms + 1000);
  EXPECT_EQ(CutPlanner::tick_held_to(log_ms - one_hour_ms, log_ms), log_ms - 1000);
}

TEST(CutPlanner, ACutInWhichATimerWasDueIsNotEmpty) {
  Token token;
  EXPECT_TRUE(is_empty(token));
  token.timer_was_due = true;
  EXPECT_FALSE(is_empty(token));
}

TEST(CutPlanner, WithoutInputTheLogSaysHowFarItWasTaken) {
  Chain chain;
  chain.tick_ms = 1000;
  chain.caught_up_through_ms = 900;
  const auto through_ms = [&](TimeMs taken_through_ms) {
    CutSupply supply;
    supply.now_ms = 5000;
    supply.taken_through_ms = taken_through_ms;
    return CutPlanner::outline(chain, supply).cut.caught_up_through_ms;
  };
  EXPECT_EQ(through_ms(0), 900) << "nobody has asked";
  EXPECT_EQ(through_ms(4900), 4900);
  EXPECT_EQ(through_ms(800), 900) << "it never falls";
  EXPECT_EQ(through_ms(6000), 5000) << "nor is it beyond the tick";
}

TEST(CutPlanner, MoreTroubleThanFitsARecordIsLeftForTheNextCuts) {
  // Forty records with ten failures each, and a metric before each.
  SignalBatch batch;
  CutSupply supply;
  supply.taken_through_ms = 5000;
  supply.signals_at_end = supply.control_at_end = true;
  supply.control.next_offset = 3;
  supply.signals.next_offset = 140;
  for (Offset offset = 100; offset < 140; ++offset) {
    supply.signals.records.push_back({.offset = offset, .append_time_ms = offset});
    batch.signals.push_back({.type = SignalType::metric, .offset = offset});
    for (int i = 0; i < 10; ++i) {
      batch.signals.push_back({.type = SignalType::failure, .offset = offset});
    }
  }
  const std::optional<CutSupply> rest = CutPlanner::split(batch, supply);
  ASSERT_TRUE(rest);
  EXPECT_EQ(supply.signals.records.size(), 20u);
  EXPECT_EQ(supply.signals.next_offset, 120);
  EXPECT_FALSE(supply.signals_at_end);
  EXPECT_EQ(supply.taken_through_ms, 0) << "what waits has not been taken";
  EXPECT_EQ(rest->signals.records.size(), 20u);
  EXPECT_EQ(rest->signals.records.front().offset, 120);
  EXPECT_EQ(rest->signals.next_offset, 140);
  EXPECT_EQ(rest->control.next_offset, 3);
  EXPECT_TRUE(rest->signals_at_end);
}

TEST(CutPlanner, OneRecordOfManyTroublesIsDecidedByItself) {
  SignalBatch batch;
  for (int i = 0; i < 1000; ++i) {
    batch.signals.push_back({.type = SignalType::alert, .offset = 100});
  }
  CutSupply supply;
  supply.signals.records = {{.offset = 100}};
  EXPECT_FALSE(CutPlanner::split(batch, supply));
  supply.signals.records.push_back({.offset = 101});
  const std::optional<CutSupply> rest = CutPlanner::split(batch, supply);
  ASSERT_TRUE(rest);
  EXPECT_EQ(supply.signals.records.size(), 1u);
  EXPECT_EQ(rest->signals.records.size(), 1u);
}

TEST(CutPlanner, OnlyARecordThatKilledTwiceIsSkippedAndOnlyIt) {
  Chain chain;
  chain.signals_next = 7;
  chain.control_next = 3;
  chain.tick_ms = 1000;
  chain.caught_up_through_ms = 900;
  chain.poison = {.signals_until = 20, .control_until = 4, .records_max = 1, .single_failures = 1};
  EXPECT_FALSE(CutPlanner::is_poisoned(chain));
  chain.poison.single_failures = 2;
  EXPECT_TRUE(CutPlanner::is_poisoned(chain));
  CutSupply supply;
  supply.now_ms = 1500;
  supply.signals.next_offset = 7;
  supply.control.next_offset = 4;
  // Control is guarded first, and nothing of the signals goes with it.
  PoisonSkip skip = CutPlanner::skip_of(chain, supply);
  EXPECT_EQ(skip.topic_kind, "control");
  EXPECT_EQ(skip.cut.control_begin, 3);
  EXPECT_EQ(skip.cut.control_end, 4);
  EXPECT_EQ(skip.cut.signals_end, 7);
  EXPECT_EQ(skip.cut.records(), 1);
  EXPECT_EQ(skip.cut.tick_ms, 1500);
  EXPECT_EQ(skip.cut.caught_up_through_ms, 900);
  chain.control_next = 4;
  supply.now_ms = 500;
  supply.signals.next_offset = 8;
  skip = CutPlanner::skip_of(chain, supply);
  EXPECT_EQ(skip.topic_kind, "signals");
  EXPECT_EQ(skip.cut.signals_begin, 7);
  EXPECT_EQ(skip.cut.signals_end, 8);
  EXPECT_EQ(skip.cut.control_end, 4);
  EXPECT_EQ(skip.cut.tick_ms, 1000);  // a tick never falls
}

}  // namespace
}  // namespace selfheal
