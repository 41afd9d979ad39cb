#include "base/math.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace selfheal {
namespace {

constexpr double relative_error_max = 1e-15;

// The C library serves as the reference here; the service itself must not use it.
void expect_close(double actual, double expected, double at) {
  ASSERT_LE(std::abs(actual - expected), relative_error_max * std::abs(expected)) << "at " << at;
}

TEST(Log, AgreesWithTheLibraryOverAllMagnitudes) {
  for (int exponent = -1074; exponent <= 1023; ++exponent) {
    for (double mantissa = 1.0; mantissa < 2.0; mantissa += 0.0371) {
      const double x = std::ldexp(mantissa, exponent);
      expect_close(math::log(x), std::log(x), x);
    }
  }
}

TEST(Log, AgreesWithTheLibraryAroundOne) {
  for (double distance = 0.5; distance > 1e-15; distance *= 0.93) {
    expect_close(math::log(1 + distance), std::log(1 + distance), 1 + distance);
    expect_close(math::log(1 - distance), std::log(1 - distance), 1 - distance);
  }
  EXPECT_EQ(math::log(1.0), 0.0);
}

TEST(Log, HasLimitsAtTheEnds) {
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(math::log(0.0), -infinity);
  EXPECT_EQ(math::log(-1.0), -infinity);
  EXPECT_EQ(math::log(infinity), infinity);
}

TEST(Exp, AgreesWithTheLibraryOverNormalResults) {
  for (double x = -708.3; x < 709.7; x += 0.00917) {
    expect_close(math::exp(x), std::exp(x), x);
  }
  for (double x = 1; x > 1e-18; x *= 0.9) {
    expect_close(math::exp(x), std::exp(x), x);
    expect_close(math::exp(-x), std::exp(-x), -x);
  }
  EXPECT_EQ(math::exp(0.0), 1.0);
}

// Subnormal results have fewer bits, so only their absolute error can be small.
TEST(Exp, AgreesWithTheLibraryOverSubnormalResults) {
  for (double x = -745.0; x < -708.3; x += 0.0171) {
    ASSERT_LE(std::abs(math::exp(x) - std::exp(x)),
              2 * std::numeric_limits<double>::denorm_min() + relative_error_max * std::exp(x))
        << "at " << x;
  }
}

TEST(Exp, SaturatesAtTheEnds) {
  EXPECT_EQ(math::exp(-746.0), 0.0);
  EXPECT_EQ(math::exp(-1e300), 0.0);
  EXPECT_EQ(math::exp(710.0), std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan(math::exp(std::numeric_limits<double>::quiet_NaN())));
}

TEST(Sigmoid, IsSymmetricAndNeverOverflows) {
  EXPECT_EQ(math::sigmoid(0.0), 0.5);
  EXPECT_EQ(math::sigmoid(1e9), 1.0);
  EXPECT_EQ(math::sigmoid(-1e9), 0.0);
  for (double x = -30; x <= 30; x += 0.173) {
    EXPECT_NEAR(math::sigmoid(x) + math::sigmoid(-x), 1.0, 4e-16);
    EXPECT_NEAR(math::sigmoid(x), 1 / (1 + std::exp(-x)), 1e-15);
  }
}

}  // namespace
}  // namespace selfheal
