#include "base/philox.hpp"

#include <gtest/gtest.h>

#include <set>

namespace selfheal {
namespace {

// The known answers that the Random123 distribution publishes for philox4x32 with ten rounds.
TEST(Philox, GivesThePublishedKnownAnswers) {
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}),
            (PhiloxBlock{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  const std::uint32_t ones = 0xffffffff;
  EXPECT_EQ(philox({ones, ones, ones, ones}, {ones, ones}),
            (PhiloxBlock{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (PhiloxBlock{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(UniformDraw, LiesWithinTheHalfOpenUnitInterval) {
  double sum = 0;
  for (std::uint64_t decision = 0; decision < 100'000; ++decision) {
    const double uniform = uniform_draw(7, {decision, 0, 0});
    ASSERT_GE(uniform, 0.0);
    ASSERT_LT(uniform, 1.0);
    sum += uniform;
  }
  // Standard error of the mean: 1 / sqrt(12 * 100,000) = 0.00091.
  EXPECT_NEAR(sum / 100'000, 0.5, 4 * 0.00091);
}

TEST(UniformDraw, EveryPartOfTheNameMatters) {
  const std::uint64_t high = std::uint64_t{1} << 32;
  const std::set<double> draws = {
      uniform_draw(1, {2, 3, 4}),        uniform_draw(2, {2, 3, 4}),
      uniform_draw(1, {3, 3, 4}),        uniform_draw(1, {2, 4, 4}),
      uniform_draw(1, {2, 3, 5}),        uniform_draw(1 + high, {2, 3, 4}),
      uniform_draw(1, {2 + high, 3, 4}),
  };
  EXPECT_EQ(draws.size(), 7U);
  EXPECT_EQ(uniform_draw(1, {2, 3, 4}), uniform_draw(1, {2, 3, 4}));
}

}  // namespace
}  // namespace selfheal
