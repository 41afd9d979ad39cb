#include "cli/side_by_side.hpp"

#include <gtest/gtest.h>

#include <array>
#include <stdexcept>

namespace selfheal {
namespace {

TEST(SideBySide, EachIsWorkedOnOnce) {
  std::array<std::atomic<int>, 100> calls{};
  ASSERT_TRUE(side_by_side(calls.size(), [&](std::size_t i) -> Result<void> {
    ++calls[i];
    return {};
  }));
  for (const std::atomic<int>& each : calls) EXPECT_EQ(each, 1);
  EXPECT_TRUE(side_by_side(0, [](std::size_t) -> Result<void> {
    return Error{ErrorCode::internal, "called for nothing"};
  }));
}

TEST(SideBySide, TheFirstFailureIsToldAndNothingMoreIsBegun) {
  std::atomic<int> begun = 0;
  const Result<void> done = side_by_side(10'000, [&](std::size_t i) -> Result<void> {
    ++begun;
    if (i >= 20) return Error{ErrorCode::corrupt, "number " + std::to_string(i)};
    return {};
  });
  ASSERT_FALSE(done);
  // Those before it were begun before it.
  EXPECT_EQ(done.error().context, "number 20");
  EXPECT_LT(begun, 10'000);
}

TEST(SideBySide, WhatIsThrownIsThrownHere) {
  EXPECT_THROW(static_cast<void>(side_by_side(50,
                                              [](std::size_t i) -> Result<void> {
                                                if (i == 7) throw std::runtime_error("seven");
                                                return {};
                                              })),
               std::runtime_error);
}

}  // namespace
}  // namespace selfheal
