#include "decision/predictor/seen_ids.hpp"

#include <gtest/gtest.h>

namespace selfheal {
namespace {

void add(SeenIds& ids, int begin, int end) {
  for (int i = begin; i < end; ++i) ids.add("id-" + std::to_string(i));
}

bool knows(const SeenIds& ids, int number) {
  return ids.contains("id-" + std::to_string(number));
}

TEST(SeenIds, OneThatWasAddedIsKnownAndCountsOnce) {
  SeenIds ids;
  EXPECT_FALSE(knows(ids, 1));
  add(ids, 0, 100);
  add(ids, 0, 100);
  EXPECT_EQ(ids.size(), 100U);
  EXPECT_TRUE(knows(ids, 1));
  EXPECT_FALSE(knows(ids, 100));
}

TEST(SeenIds, TheLatestFiveThousandAreAlwaysKnown) {
  SeenIds ids;
  for (int last = 0; last < 23'000; last += 500) {
    add(ids, last, last + 500);
    EXPECT_TRUE(knows(ids, std::max(0, last + 500 - 5000))) << last;
    EXPECT_LE(ids.size(), 10'000U);
  }
  EXPECT_FALSE(knows(ids, 0));
}

// The saved pages as a store would hold them, taken up by another.
SeenIds restored(const PageMap& pages) {
  SeenIds ids;
  for (const auto& [key, value] : pages.pages) EXPECT_TRUE(ids.load("s/", key, value)) << key;
  EXPECT_FALSE(ids.load("s/", "t/current", "0"));
  ids.finish_load();
  return ids;
}

TEST(SeenIds, ItGoesOnAlikeAfterARestartAtAnyTime) {
  SeenIds straight;
  SeenIds restarting;
  PageMap pages;
  for (int last = 0; last < 17'000; last += 700) {
    add(straight, last, last + 700);
    add(restarting, last, last + 700);
    restarting.save("s/", pages);
    restarting = restored(pages);
    ASSERT_EQ(restarting.size(), straight.size()) << last;
  }
  for (int i = 0; i < 17'000; ++i) ASSERT_EQ(knows(restarting, i), knows(straight, i)) << i;
  PageMap again;
  restarting.save("s/", again);
  EXPECT_TRUE(again.pages.empty()) << "nothing has changed";
}

TEST(SeenIds, WhatIsForgottenLeavesNoPage) {
  SeenIds ids;
  PageMap pages;
  add(ids, 0, 7000);
  ids.save("s/", pages);
  ids.clear();
  EXPECT_EQ(ids.size(), 0U);
  EXPECT_FALSE(knows(ids, 6999));
  ids.save("s/", pages);
  std::erase_if(pages.pages, [](const auto& page) { return page.first == "s/current"; });
  EXPECT_TRUE(pages.pages.empty());
}

}  // namespace
}  // namespace selfheal
