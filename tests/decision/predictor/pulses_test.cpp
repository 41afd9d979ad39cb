#include "decision/predictor/pulses.hpp"

#include <gtest/gtest.h>

namespace selfheal {
namespace {

constexpr std::uint32_t begin_seconds = 1'800'000'000;

Pulses pulses_after(DurationMs after_ms = 30'000, DurationMs window_ms = 120'000) {
  Pulses pulses;
  pulses.configure(after_ms, window_ms);
  return pulses;
}

// Each of the services speaks once every `pause` seconds, `times` times; returns when they ended.
std::uint32_t speak(Pulses& pulses, std::uint32_t services, std::uint32_t pause, int times) {
  std::uint32_t now = begin_seconds;
  for (int i = 0; i < times; ++i) {
    now += pause;
    for (std::uint32_t service = 0; service < services; ++service) pulses.beat(service, now);
    pulses.advance(now);
  }
  return now;
}

TEST(Pulses, ASilentServiceIsCountedOnceItIsOverdue) {
  Pulses pulses = pulses_after();
  const std::uint32_t last = speak(pulses, 100, 5, 10);
  EXPECT_EQ(pulses.count().speaking, 100);
  pulses.advance(last + 29);
  EXPECT_EQ(pulses.count().silent, 0);
  pulses.advance(last + 36);
  EXPECT_EQ(pulses.count().silent, 100);
  EXPECT_EQ(pulses.count().speaking, 0);
  pulses.beat(7, last + 37);
  EXPECT_EQ(pulses.count().silent, 99);
  EXPECT_EQ(pulses.count().speaking, 1);
}

TEST(Pulses, ARareServiceIsGivenFourOfItsPauses) {
  Pulses pulses = pulses_after();
  const std::uint32_t last = speak(pulses, 1, 60, 10);
  pulses.advance(last + 235);
  EXPECT_EQ(pulses.count().speaking, 1);
  pulses.advance(last + 246);
  EXPECT_EQ(pulses.count().silent, 1);
}

TEST(Pulses, OneThatIsHardlyKnownOrSpeaksOnceADayIsNotCounted) {
  Pulses pulses = pulses_after();
  speak(pulses, 10, 5, 4);
  EXPECT_EQ(pulses.count().speaking, 0);
  Pulses rare = pulses_after();
  const std::uint32_t last = speak(rare, 10, 86'400, 10);
  EXPECT_EQ(rare.count().speaking + rare.count().silent, 0);
  rare.advance(last + 86'400);
  EXPECT_EQ(rare.count().silent, 0);
}

TEST(Pulses, WhatIsSilentForLongIsNoNews) {
  Pulses pulses = pulses_after();
  const std::uint32_t last = speak(pulses, 10, 5, 10);
  pulses.advance(last + 120);
  EXPECT_EQ(pulses.count().silent, 10);
  pulses.advance(last + 160);
  EXPECT_EQ(pulses.count().silent, 0);
  pulses.beat(3, last + 161);
  EXPECT_EQ(pulses.count().silent, 0);
  EXPECT_EQ(pulses.count().speaking, 1);
}

TEST(Pulses, WhatIsTakenForGoneIsLearntAnew) {
  Pulses pulses = pulses_after();
  const std::uint32_t last = speak(pulses, 10, 5, 10);
  pulses.beat(3, last + 30);
  pulses.advance(last + 36);
  EXPECT_EQ(pulses.count().silent, 9);
  pulses.forget_silent();
  EXPECT_EQ(pulses.count().silent, 0);
  EXPECT_EQ(pulses.count().speaking, 1);
  pulses.beat(4, last + 37);
  EXPECT_EQ(pulses.count().speaking, 1);
}

TEST(Pulses, TimeThatFallsChangesNothing) {
  Pulses pulses = pulses_after();
  const std::uint32_t last = speak(pulses, 10, 5, 10);
  pulses.advance(last + 36);
  pulses.advance(last);
  pulses.beat(1, last - 5);
  EXPECT_EQ(pulses.count().silent, 10);
}

TEST(Pulses, CountsAreTheSameAfterARestart) {
  Pulses pulses = pulses_after();
  const std::uint32_t last = speak(pulses, 150, 5, 10);
  for (std::uint32_t service = 0; service < 40; ++service) pulses.beat(service, last + 20);
  pulses.advance(last + 40);
  PageMap pages;
  pulses.save("p/", pages);
  Pulses restored;
  for (const auto& [key, value] : pages.pages) EXPECT_TRUE(restored.load("p/", key, value));
  EXPECT_FALSE(restored.load("p/", "q/through", "1"));
  restored.finish_load(150);
  restored.configure(30'000, 120'000);
  EXPECT_EQ(restored.count().silent, 110);
  EXPECT_EQ(restored.count().silent, pulses.count().silent);
  EXPECT_EQ(restored.count().speaking, pulses.count().speaking);
  // Nothing has changed since, so nothing is saved again.
  PageMap again;
  restored.save("p/", again);
  EXPECT_TRUE(again.pages.empty());
}

TEST(Pulses, WhatIsForgottenLeavesNoPage) {
  Pulses pulses = pulses_after();
  speak(pulses, 150, 5, 10);
  PageMap pages;
  pulses.save("p/", pages);
  pulses.clear();
  EXPECT_EQ(pulses.count().speaking, 0);
  pulses.save("p/", pages);
  EXPECT_EQ(pages.pages.size(), 1U) << "the time it was judged at";
}

TEST(Pulses, AnotherLimitCountsAnew) {
  Pulses pulses = pulses_after();
  const std::uint32_t last = speak(pulses, 10, 5, 10);
  pulses.advance(last + 40);
  EXPECT_EQ(pulses.count().silent, 10);
  pulses.configure(60'000, 120'000);
  EXPECT_EQ(pulses.count().silent, 0);
  EXPECT_EQ(pulses.count().speaking, 10);
}

}  // namespace
}  // namespace selfheal
