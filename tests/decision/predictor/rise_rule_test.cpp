#include "decision/predictor/rise_rule.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "base/math.hpp"
#include "decision/predictor/series_detector.hpp"
#include "tests/decision/predictor/synthetic.hpp"

namespace selfheal {
namespace {

using synthetic::day_curve;
using synthetic::normal;
using synthetic::start_seconds;
using synthetic::uniform;

double noisy(double sigma, std::uint32_t i) {
  return math::exp(sigma * normal(21, i));
}

// Buckets from the change until the rule changes; -1: not within the limit.
int until(RiseRow& row, Edge wanted, double factor, double sigma, std::uint32_t from, int most) {
  const RiseLimit limit = RiseLimit::from_fraction(0.5);
  for (int i = 0; i < most; ++i) {
    const double ratio = factor * noisy(sigma, from + static_cast<std::uint32_t>(i));
    if (update(row, ratio, limit) == wanted) return i + 1;
  }
  return -1;
}

TEST(RiseRule, FindsHalfAsMuchAgainAndItsEnd) {
  for (const double sigma : {0.05, 0.1, 0.2}) {
    RiseRow row;
    EXPECT_EQ(until(row, Edge::on, 1.0, sigma, 0, 1440), -1) << sigma;
    const int on = until(row, Edge::on, 1.5, sigma, 2000, 60);
    EXPECT_GE(on, 4) << sigma;
    EXPECT_LE(on, sigma > 0.1 ? 20 : 10) << sigma;
    EXPECT_TRUE(row.on());
    EXPECT_GT(until(row, Edge::off, 1.0, sigma, 3000, 60), 4) << sigma;
    EXPECT_FALSE(row.on());
  }
}

TEST(RiseRule, IsQuietForTwoWeeksOfNoise) {
  RiseRow row;
  EXPECT_EQ(until(row, Edge::on, 1.0, 0.2, 0, 20160), -1);
}

TEST(RiseRule, IgnoresShortBursts) {
  RiseRow row;
  const RiseLimit limit;
  for (std::uint32_t i = 0; i < 2000; ++i) {
    const double burst = i % 300 < 2 ? 3.0 : 1.0;
    EXPECT_EQ(update(row, burst * noisy(0.1, i), limit), Edge::none) << i;
  }
}

TEST(RiseRule, IgnoresWhatHasNoRatio) {
  RiseRow row;
  for (const double ratio : {0.0, -1.0, std::numeric_limits<double>::quiet_NaN()}) {
    EXPECT_EQ(update(row, ratio, RiseLimit{}), Edge::none);
  }
  EXPECT_EQ(row.packed, 0);
  EXPECT_EQ(update(row, 5.0, RiseLimit::from_fraction(0)), Edge::none);
  EXPECT_EQ(row.packed, 0);
}

struct Service {
  T1Row row;
  T2Row wide;
  DetectorSettings settings;
  Edge edge(double value, std::uint32_t time_seconds) {
    return observe(row, &wide, value, time_seconds, settings).rise_edge;
  }
};

TEST(RiseRule, FollowsTheSeasonOfASeries) {
  Service service;
  std::uint32_t minute = 0;
  const auto latency = [](std::uint32_t m) {
    return 0.2 * (1 + 0.4 * day_curve(start_seconds + m * 60)) * noisy(0.1, m);
  };
  for (; minute < 4 * 1440; ++minute) {
    ASSERT_EQ(service.edge(latency(minute), start_seconds + minute * 60), Edge::none) << minute;
  }
  const std::uint32_t risen = minute;
  Edge edge = Edge::none;
  for (; edge == Edge::none && minute < risen + 60; ++minute) {
    edge = service.edge(1.5 * latency(minute), start_seconds + minute * 60);
  }
  EXPECT_EQ(edge, Edge::on);
  EXPECT_LE(minute - risen, 15u);
  for (edge = Edge::none; edge == Edge::none && minute < risen + 200; ++minute) {
    edge = service.edge(latency(minute), start_seconds + minute * 60);
  }
  EXPECT_EQ(edge, Edge::off);
}

TEST(RiseRule, WorksOnTheFirstHourOfAFastSeries) {
  Service service;
  service.settings.bucket_seconds = 1;
  std::uint32_t second = 0;
  for (; second < 120; ++second) {
    ASSERT_EQ(service.edge(0.1 * noisy(0.1, second), start_seconds + second), Edge::none);
  }
  Edge edge = Edge::none;
  for (; edge == Edge::none && second < 180; ++second) {
    edge = service.edge(0.2 * noisy(0.1, second), start_seconds + second);
  }
  EXPECT_EQ(edge, Edge::on);
  EXPECT_LE(second, 135u);
  accept_level(service.wide);
  EXPECT_FALSE(service.wide.rise.on());
}

int error_edge(ErrorRateRow& row, Edge wanted, double ratio, int most) {
  for (int i = 0; i < most; ++i) {
    if (update(row, ratio) == wanted) return i + 1;
  }
  return -1;
}

TEST(ErrorRateRule, GoesOnAndOffAgain) {
  ErrorRateRow row;
  EXPECT_EQ(error_edge(row, Edge::on, 0.01, 200), -1);
  const int on = error_edge(row, Edge::on, 0.2, 20);
  EXPECT_GE(on, 3);
  EXPECT_LE(on, 6);
  EXPECT_EQ(row.on, 1);
  EXPECT_NEAR(row.base, 0.01, 0.001);
  EXPECT_EQ(error_edge(row, Edge::none, 0.2, 1), 1);
  const int off = error_edge(row, Edge::off, 0.01, 20);
  EXPECT_GE(off, 6);
  EXPECT_LE(off, 9);
  EXPECT_EQ(row.on, 0);
}

TEST(ErrorRateRule, RisesFromZeroEvenWhenYoung) {
  ErrorRateRow row;
  EXPECT_EQ(error_edge(row, Edge::on, 0.0, 8), -1);
  EXPECT_NE(error_edge(row, Edge::on, 0.06, 12), -1);
}

TEST(ErrorRateRule, IsQuietOnNoiseBurstsAndNonsense) {
  ErrorRateRow row;
  for (std::uint32_t i = 0; i < 5000; ++i) {
    const double burst = i % 200 == 150 ? 0.2 : 0.0;
    EXPECT_EQ(update(row, 0.02 * uniform(31, i) + burst), Edge::none) << i;
  }
  EXPECT_EQ(update(row, std::numeric_limits<double>::quiet_NaN()), Edge::none);
  EXPECT_EQ(update(row, -1e300), Edge::none);
  EXPECT_EQ(update(row, std::numeric_limits<double>::infinity()), Edge::none);
}

TEST(ErrorRateRule, HasALimitThatCanBeReached) {
  EXPECT_DOUBLE_EQ(error_rate_limit(0), 0.03);
  EXPECT_DOUBLE_EQ(error_rate_limit(0.1), 0.3);
  EXPECT_DOUBLE_EQ(error_rate_limit(0.5), 0.75);
  ErrorRateRow row;  // a base of 40 % rises to 90 % and comes back
  EXPECT_EQ(error_edge(row, Edge::on, 0.4, 100), -1);
  EXPECT_NE(error_edge(row, Edge::on, 0.9, 12), -1);
  EXPECT_NE(error_edge(row, Edge::off, 0.4, 12), -1);
}

}  // namespace
}  // namespace selfheal
