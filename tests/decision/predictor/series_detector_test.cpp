#include "decision/predictor/series_detector.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <functional>
#include <limits>

#include "tests/decision/predictor/synthetic.hpp"

namespace selfheal {
namespace {

using synthetic::day_curve;
using synthetic::normal;
using synthetic::start_seconds;
using synthetic::uniform;

constexpr std::uint32_t two_weeks = 4032;  // points at 5 minutes

struct Count {
  int alarms = 0;
  int stuck = 0;
  int first_alarm = -1;  // index of the point
};

struct Bench {
  T1Row row;
  T2Row wide;
  DetectorSettings settings;

  Observation give(double value, std::uint32_t time_seconds) {
    return observe(row, &wide, value, time_seconds, settings);
  }
  // Values of an index, one every interval.
  Count run(std::uint32_t from, std::uint32_t to, const std::function<double(std::uint32_t)>& value,
            std::uint32_t interval_seconds = 300) {
    Count count;
    for (std::uint32_t i = from; i < to; ++i) {
      const Observation verdict = give(value(i), start_seconds + i * interval_seconds);
      if (verdict.alarm && count.alarms++ == 0) count.first_alarm = static_cast<int>(i);
      count.stuck += verdict.stuck ? 1 : 0;
    }
    return count;
  }
};

double healthy(std::uint32_t i) {
  return 100 + 20 * day_curve(start_seconds + i * 300) + 3 * normal(1, i);
}

TEST(SeriesDetector, KeepsItsPromisedSize) {
  EXPECT_EQ(sizeof(T1Row), 96u);
  EXPECT_EQ(sizeof(T2Row), 192u);
  EXPECT_EQ(sizeof(T1Row) + sizeof(T2Row), 288u);
}

TEST(SeriesDetector, IsQuietOnAHealthySeason) {
  Bench bench;
  EXPECT_LE(bench.run(0, two_weeks, healthy).alarms, 5);
}

TEST(SeriesDetector, IsQuietOnConstantsAndRounding) {
  Bench constant;
  const Count none = constant.run(0, two_weeks, [](std::uint32_t) { return 42.0; });
  EXPECT_EQ(none.alarms, 0);
  EXPECT_EQ(none.stuck, 0);
  Bench zero;
  EXPECT_EQ(zero.run(0, two_weeks, [](std::uint32_t) { return 0.0; }).alarms, 0);
  Bench rounding;
  EXPECT_EQ(rounding
                .run(0, two_weeks,
                     [](std::uint32_t i) { return 0.3 + 1e-15 * static_cast<double>(i % 3); })
                .alarms,
            0);
  Bench large;
  EXPECT_EQ(large
                .run(0, two_weeks,
                     [](std::uint32_t i) { return 1e9 + 64.0 * static_cast<double>(i & 1); })
                .alarms,
            0);
}

TEST(SeriesDetector, FindsAStepAfterAFlatLine) {
  Bench bench;
  EXPECT_EQ(bench.run(0, 2000, [](std::uint32_t) { return 5.0; }).alarms, 0);
  EXPECT_EQ(bench.run(2000, 2010, [](std::uint32_t) { return 6.0; }).first_alarm, 2000);
}

TEST(SeriesDetector, FindsAStepAtAnyScale) {
  for (const double scale : {1e-12, 1.0, 1e12}) {
    Bench bench;
    const auto noise = [&](std::uint32_t i) { return scale * (10 + normal(2, i)); };
    bench.run(0, 3000, noise);
    const auto stepped = [&](std::uint32_t i) { return noise(i) + 10 * scale; };
    const Count count = bench.run(3000, 3010, stepped);
    EXPECT_GE(count.first_alarm, 3000) << scale;
    EXPECT_LE(count.first_alarm, 3001) << scale;
  }
}

TEST(SeriesDetector, FindsAStepOnALargeOffset) {
  Bench bench;
  const auto noise = [](std::uint32_t i) { return 1e6 + 3 * normal(3, i); };
  bench.run(0, 3000, noise);
  const Count count = bench.run(3000, 3010, [&](std::uint32_t i) { return noise(i) + 30; });
  EXPECT_EQ(count.first_alarm, 3000);
}

TEST(SeriesDetector, IgnoresWhatIsNoNumber) {
  Bench with;
  Bench without;
  for (std::uint32_t i = 0; i < 1000; ++i) {
    const std::uint32_t now = start_seconds + i * 300;
    for (const double odd :
         {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
          -std::numeric_limits<double>::infinity()}) {
      const Observation verdict = with.give(odd, now);
      EXPECT_FALSE(verdict.used);
      EXPECT_EQ(verdict.score, 0);
    }
    EXPECT_EQ(with.give(healthy(i), now).decades, without.give(healthy(i), now).decades);
  }
}

TEST(SeriesDetector, IsNotBlindedByOneHugeValue) {
  for (const double huge : {1e300, -1e300, 1e18}) {
    Bench bench;
    const auto noise = [](std::uint32_t i) { return 10 + normal(4, i); };
    bench.run(0, 3000, noise);
    EXPECT_EQ(bench.run(3000, 3001, [&](std::uint32_t) { return huge; }).alarms, 1);
    bench.run(3001, 3500, noise);
    const Count count = bench.run(3500, 3510, [&](std::uint32_t i) { return noise(i) + 12; });
    EXPECT_GE(count.alarms, 1) << huge;
  }
}

TEST(SeriesDetector, ForgivesGapsAndClocks) {
  Bench gap;
  gap.run(0, 3000, healthy);
  EXPECT_EQ(gap.run(3000 + 2016, 3000 + 2016 + 100, healthy).alarms, 0);
  Bench moved;  // a gap of a week, and another level after it
  moved.run(0, 3000, healthy);
  const Count count =
      moved.run(3000 + 2016, 3000 + 2116, [](std::uint32_t i) { return healthy(i) + 60; });
  EXPECT_GE(count.alarms, 1);
  Bench back;  // the clock is set back by three days
  back.run(0, 3000, healthy);
  EXPECT_LE(back.run(3000 - 864, 3000, healthy).alarms, 1);
}

TEST(SeriesDetector, ToleratesMissingAndRepeatedPoints) {
  Bench missing;
  Bench repeated;
  Count count_missing;
  Count count_repeated;
  for (std::uint32_t i = 0; i < two_weeks; ++i) {
    const std::uint32_t now = start_seconds + i * 300;
    if (uniform(5, i) > 0.3) count_missing.alarms += missing.give(healthy(i), now).alarm ? 1 : 0;
    for (int times = uniform(6, i) < 0.2 ? 2 : 1; times > 0; --times) {
      count_repeated.alarms += repeated.give(healthy(i), now).alarm ? 1 : 0;
    }
  }
  EXPECT_LE(count_missing.alarms, 5);
  EXPECT_LE(count_repeated.alarms, 9);
}

TEST(SeriesDetector, SeesNoiseDouble) {
  Bench bench;
  bench.run(0, 3000, [](std::uint32_t i) { return 50 + normal(7, i); });
  const Count count = bench.run(3000, 3060, [](std::uint32_t i) { return 50 + 3 * normal(7, i); });
  EXPECT_GE(count.alarms, 1);
}

TEST(SeriesDetector, SeesAStuckSeriesOnly) {
  Bench bench;
  EXPECT_EQ(bench.run(0, 2000, healthy).stuck, 0);
  const double last = healthy(1999);
  const Count count = bench.run(2000, 2100, [&](std::uint32_t) { return last; });
  EXPECT_GT(count.stuck, 50);
  EXPECT_EQ(bench.run(2100, 2101, healthy).stuck, 0);
}

TEST(SeriesDetector, GivesFewAlarmsAtTenSeconds) {
  Bench bench;
  // Two days of white noise; 12 alarms a day would be the unscaled threshold's.
  const Count count = bench.run(
      0, 17280, [](std::uint32_t i) { return 10 + normal(8, i); }, 10);
  EXPECT_LE(count.alarms, 3);
}

TEST(SeriesDetector, IsNotStartledByItsOwnYoungViews) {
  // The seasonal view begins on the second day, when the row itself is no longer young.
  for (const std::uint32_t interval : {10u, 60u, 300u}) {
    Bench bench;
    bench.settings.threshold_decades = severe_threshold_decades;
    const auto value = [&](std::uint32_t i) {
      return 100 + 20 * day_curve(start_seconds + i * interval) + 3 * normal(10, i);
    };
    EXPECT_EQ(bench.run(0, 2 * 86400 / interval, value, interval).alarms, 0) << interval;
  }
}

TEST(SeriesDetector, ClosesBucketsByTimeAndOnRequest) {
  Bench bench;
  EXPECT_FALSE(bench.give(1, 600).bucket_closed);
  EXPECT_FALSE(bench.give(3, 610).bucket_closed);
  EXPECT_TRUE(bench.give(5, 660).bucket_closed);
  EXPECT_EQ(bench.wide.core.count, 1u);
  EXPECT_EQ(bench.wide.core.reference, 2.0);
  EXPECT_FALSE(close_bucket(bench.row, bench.wide, 719, bench.settings).bucket_closed);
  EXPECT_TRUE(close_bucket(bench.row, bench.wide, 720, bench.settings).bucket_closed);
  EXPECT_FALSE(close_bucket(bench.row, bench.wide, 800, bench.settings).bucket_closed);
  EXPECT_EQ(bench.wide.core.count, 2u);
}

TEST(SeriesDetector, HoldsFurtherAlarmsBack) {
  Bench bench;
  const auto noise = [](std::uint32_t i) { return 10 + normal(9, i); };
  bench.run(0, 3000, noise);
  const Count count = bench.run(3000, 3140, [&](std::uint32_t i) { return noise(i) + 9; });
  EXPECT_GE(count.alarms, 1);
  EXPECT_LE(count.alarms, 3);
}

TEST(SeriesDetector, MapsDecadesMonotonously) {
  EXPECT_EQ(anomaly_score(0), 0);
  EXPECT_EQ(anomaly_score(-1), 0);
  EXPECT_DOUBLE_EQ(anomaly_score(static_cast<double>(shipped_threshold_decades)),
                   shipped_threshold_score);
  double before = 0;
  for (double decades = 0.1; decades < 60; decades += 0.1) {
    EXPECT_GT(anomaly_score(decades), before);
    before = anomaly_score(decades);
  }
  EXPECT_LT(before, 1);
  EXPECT_EQ(interval_decades(3600), 0);
  EXPECT_EQ(interval_decades(300), 0);
  EXPECT_NEAR(interval_decades(30), 1, 0.05);
}

bool finite(const Spread& spread) {
  return std::isfinite(spread.mean) && std::isfinite(spread.variance) && spread.variance >= 0;
}

bool finite(const SeriesCore& core) {
  return std::isfinite(core.reference) && std::isfinite(core.previous) &&
         std::isfinite(core.mean_10) && std::isfinite(core.mean_30) &&
         std::isfinite(core.step_variance) && std::isfinite(core.interval_seconds) &&
         finite(core.residual_10) && finite(core.level_30) && finite(core.log_variance);
}

bool finite(const T2Row& row) {
  for (const std::uint16_t stored : row.season) {
    if (!std::isfinite(std::bit_cast<float>(static_cast<std::uint32_t>(stored) << 16))) {
      return false;
    }
  }
  return finite(row.core) && finite(row.seasonal) && std::isfinite(row.season_residual) &&
         std::isfinite(row.rise.score) && std::isfinite(row.rise.variance) &&
         std::isfinite(row.rise.variance_8) && std::isfinite(row.rise.mean_8);
}

// Any 64 bits as the value and nearly any time: wild, wild at one scale, and tame in turns.
double wild_value(const PhiloxBlock& draw, std::uint32_t i) {
  const std::uint64_t bits = (std::uint64_t{draw[0]} << 32) | draw[1];
  switch ((i / 64) % 4) {
    case 0:
      return std::bit_cast<double>(bits);
    case 1:
      return (draw[2] & 7) == 0 ? std::bit_cast<double>(bits) : static_cast<double>(draw[0]);
    case 2:
      return static_cast<double>(static_cast<std::int32_t>(draw[0])) * 1e-30;
    default:
      return (draw[2] & 1) != 0 ? 1e18 : -1e18;
  }
}

TEST(SeriesDetector, StaysFiniteOnRandomBits) {
  for (std::uint32_t series = 0; series < 40; ++series) {
    Bench bench;
    bench.settings.bucket_seconds = 1 + series % 90;
    std::uint32_t now = start_seconds;
    for (std::uint32_t i = 0; i < 5000; ++i) {
      const PhiloxBlock draw = philox({series, i, 0, 0}, {11, 12});
      now = (draw[3] & 63) == 0 ? draw[3] * 2654435761u : now + (draw[3] >> 8) % 400;
      const Observation verdict = bench.give(wild_value(draw, i), now);
      ASSERT_TRUE(std::isfinite(verdict.decades) && verdict.decades >= 0);
      ASSERT_TRUE(verdict.score >= 0 && verdict.score < 1);
    }
    ASSERT_TRUE(finite(bench.row.core) && std::isfinite(bench.row.bucket_sum)) << series;
    ASSERT_TRUE(finite(bench.wide)) << series;
  }
}

void hash_bytes(std::uint64_t& hash, const void* data, std::size_t size) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  for (std::size_t i = 0; i < size; ++i) hash = (hash ^ bytes[i]) * 1099511628211ULL;
}

// The bits of every score and of the final state are part of the format: a journal written by one
// build is replayed by another. If this number changes on purpose, old journals no longer replay.
TEST(SeriesDetector, IsTheSameToTheLastBitEverywhere) {
  std::uint64_t hash = 14695981039346656037ULL;
  for (std::uint32_t series = 0; series < 20; ++series) {
    Bench bench;
    bench.settings.bucket_seconds = series % 2 == 0 ? 60 : 1;
    std::uint32_t now = start_seconds;
    double walk = 100;
    for (std::uint32_t i = 0; i < 6000; ++i) {
      const double shock = uniform(series + 100, i) - 0.5;
      walk += (series % 3 == 0 ? 0.2 : 0.0) * shock;
      const double level = i > 4000 && i < 4200 ? walk * 1.7 : walk;
      now += 5 + static_cast<std::uint32_t>(uniform(series + 200, i) * (20.0 * series + 5));
      const double spike = (i % 997) == 996 ? (series % 4 == 3 ? 1e18 : 1e4) : 0;
      const Observation verdict = bench.give(level + 8 * shock * shock + spike, now);
      hash_bytes(hash, &verdict.decades, sizeof verdict.decades);
      hash_bytes(hash, &verdict.score, sizeof verdict.score);
    }
    hash_bytes(hash, &bench.row, sizeof bench.row);
    hash_bytes(hash, &bench.wide, sizeof bench.wide);
  }
  EXPECT_EQ(hash, 0xdbc95212db5ccab6ULL) << std::hex << hash;
}

}  // namespace
}  // namespace selfheal
