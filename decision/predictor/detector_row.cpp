#include "decision/predictor/detector_row.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "decision/predictor/season.hpp"
#include "decision/predictor/surprise_tail.hpp"

namespace selfheal {
namespace {

constexpr std::uint32_t horizon = 4000;      // points that a view remembers
constexpr std::uint32_t settled = 100;       // points after which outliers are clipped
constexpr std::uint32_t variance_from = 22;  // first point of the log-variance view
constexpr std::uint32_t cold_points = 1000;  // below this the surprise is capped
constexpr double value_limit = 1e18;         // its square times a few still fits a float
constexpr float stuck_margin = 30;

float squared(float x) {
  return x * x;
}

// One value, as both rows see it.
struct Point {
  float x = 0;        // relative to the reference
  float clipped = 0;  // x, or the edge of the plausible where it is far outside
  float floor = 0;    // variance below which only rounding is seen
  // The floor used to clip. That of one huge value would be huge as well, and let it pass.
  float clip_floor = 0;
  float rate = 1;  // 1/min(count, horizon)
  float dt_seconds = 0;
  float residual_10 = 0;
  float log_variance = 0;
  float rebased = 0;  // how far the reference has just moved
  bool gap = false;
  bool same = false;  // equal to its predecessor within rounding
};

// The z-score view of one quantity: returns log(1 + z^2)/2 in 1/4096 and learns afterwards.
struct Seen {
  std::uint32_t height = 0;
  bool below = false;
};

Seen see(Spread& spread, float x, float floor, float clip_floor, float rate, bool clip) {
  Seen seen;
  float error = x - spread.mean;
  seen.below = error < 0;
  const float spread_squared = spread.variance + floor;
  if (rate > 0.4f) {
    seen.height = 0;  // of two values nobody knows how much they vary
  } else if (spread_squared > 0) {
    // In this order what is no number is as far out as can be: squares of 1e19 are infinite.
    seen.height = log_height(std::min(1e12f, squared(error) / spread_squared));
  } else if (error != 0) {
    seen.height = log_height(400.0f);  // no spread known at all: 20 deviations
  }
  const float largest_squared = 16 * (spread.variance + clip_floor);
  if (clip && squared(error) > largest_squared) {
    const float edge = std::sqrt(largest_squared);
    error = std::clamp(error, -edge, edge);
  }
  spread.mean += rate * error;
  spread.variance += rate * (squared(error) - spread.variance);
  return seen;
}

// Moves the reference to the long mean when the series lives far from it compared with its spread.
float rebase(SeriesCore& core) {
  if (core.count % 64 != 0 || squared(core.level_30.mean) <= 16 * core.level_30.variance) return 0;
  const float shift = core.level_30.mean;
  core.reference += shift;
  core.previous -= shift;
  core.mean_10 -= shift;
  core.mean_30 -= shift;
  core.level_30.mean = 0;
  return shift;
}

// Time passes: learns the interval, and tells a gap (30 intervals and a minute of silence).
void pass_time(SeriesCore& core, std::uint32_t time_seconds, Point& point) {
  // Signed, so that a clock set back reads as "no time passed" and not as a century.
  const auto dt = static_cast<std::int32_t>(time_seconds - core.time_seconds);
  core.time_seconds = time_seconds;
  point.dt_seconds = dt > 0 ? static_cast<float>(dt) : 0.0f;
  if (dt < 0 || core.count < 2) return;
  point.gap =
      core.count > 2 && point.dt_seconds > 60 && point.dt_seconds > 30 * core.interval_seconds;
  // A gap is no interval; where the pace itself has changed, factors of 4 get there soon enough.
  const float interval =
      point.gap ? std::min(point.dt_seconds, 4 * core.interval_seconds + 1) : point.dt_seconds;
  const float rate = std::max(1.0f / 64, 1.0f / static_cast<float>(core.count - 1));
  core.interval_seconds += rate * (interval - core.interval_seconds);
}

// A single huge value must not blind the short means for a thousand points: it is clipped unless
// the value before it lay out there too, so that a step passes from its second point on.
void clip_outlier(const SeriesCore& core, Point& point, float& step) {
  point.clipped = point.x;
  if (core.count <= settled) return;
  const float edge =
      100 * std::sqrt(core.residual_10.variance + core.level_30.variance + point.clip_floor);
  const float away = point.x - core.level_30.mean;
  if (std::abs(step) <= edge) return;
  if (std::abs(away) > edge) point.clipped = core.level_30.mean + std::clamp(away, -edge, edge);
  step = std::clamp(step, -edge, edge);
}

// Everything that both rows do with a value before their views look at it.
Point advance(SeriesCore& core, double value, std::uint32_t time_seconds) {
  Point point;
  const double bounded = std::clamp(value, -value_limit, value_limit);
  if (core.count == 0) {
    core.reference = bounded;
    core.time_seconds = time_seconds;
  }
  // Wraps to a large count: what was learnt must not look like a cold start again.
  core.count = core.count == UINT32_MAX ? 0x80000000u : core.count + 1;
  point.rebased = rebase(core);
  point.x = static_cast<float>(bounded - core.reference);
  const float magnitude = static_cast<float>(bounded);
  point.floor = squared(1e-6f * magnitude);
  const float usual = core.residual_10.variance + core.level_30.variance;
  point.clip_floor = usual > 0 ? std::min(point.floor, usual) : point.floor;
  point.rate = 1.0f / static_cast<float>(std::min(core.count, horizon));
  pass_time(core, time_seconds, point);
  if (point.gap) {
    core.previous = point.x;
    core.mean_10 = point.x;
    core.mean_30 = core.level_30.mean;
  }
  float step = point.x - core.previous;
  point.same = core.count > 1 && squared(step) <= point.floor;
  clip_outlier(core, point, step);
  point.residual_10 = point.x - core.mean_10;
  core.mean_10 += (point.clipped - core.mean_10) * std::max(0.1f, point.rate);
  core.mean_30 += (point.clipped - core.mean_30) * std::max(1.0f / 30, point.rate);
  core.step_variance += (squared(step) - core.step_variance) * 0.1f;
  core.previous = point.x;
  point.log_variance =
      piecewise_log(core.step_variance + 1e-3f * core.residual_10.variance + point.floor + 1e-36f);
  return point;
}

// While little has been seen, a rank among n values cannot be rarer than 1/n.
float cold_cap(std::uint32_t count, float decades) {
  if (count >= cold_points) return decades;
  return std::min(decades, 0.3f + 0.43429448f * piecewise_log(static_cast<float>(count)));
}

// The views that T1 and T2 share; `tails` are the first three of either row.
void look(SeriesCore& core, TailPair* tails, const Point& point, SurpriseSum& sum) {
  const bool clip = core.count > settled;
  const TailRate rate = tail_rate(core.count);
  Seen seen =
      see(core.residual_10, point.residual_10, point.floor, point.clip_floor, point.rate, clip);
  sum.add(learn(tails[0], seen.height, seen.below, rate), seen.below);
  seen = see(core.level_30, core.mean_30, point.floor, point.clip_floor, point.rate, clip);
  sum.add(learn(tails[1], seen.height, seen.below, rate), seen.below);
  // Before this the short variance has not forgotten how it began.
  if (core.count < variance_from) return;
  const std::uint32_t looks = core.count - variance_from + 1;
  const float variance_rate = 1.0f / static_cast<float>(std::min(looks, horizon));
  seen = see(core.log_variance, point.log_variance, 1e-6f, 1e-6f, variance_rate, looks > settled);
  const float surprise = learn(tails[2], seen.height, seen.below, rate);
  // A more lively series is "above" whatever the level does; it must not hide a drop.
  sum.add(surprise, seen.below, 0.5f);
}

// On when a series that used to vary repeats one value for much longer than it ever has. Zero is
// exempt: most counts and error rates rest there, and a drop to zero is seen by the other views.
bool follow_run(T2Row& row, const Point& point, double value) {
  if (point.same) {
    if (row.run < UINT16_MAX) ++row.run;
  } else {
    row.longest_run = std::max(row.longest_run, row.run);
    row.run = 0;
  }
  const auto run = static_cast<std::uint32_t>(row.run);
  const bool varied = row.core.count > 300 + run;
  row.stuck =
      varied && value != 0 && static_cast<float>(run) > stuck_margin + 3.0f * row.longest_run ? 1
                                                                                              : 0;
  return row.stuck != 0;
}

// The seasonal view: what is left of the value after the hour of day, smoothed over 6 points.
void look_at_season(T2Row& row, const Point& point, std::uint32_t time_seconds, SurpriseSum& sum) {
  const SeasonView season = view_season(row, time_seconds);
  const bool usable = season.complete && row.first_day == 0;
  if (usable) {
    const float residual = point.clipped - season.value;
    // After a gap the smoothed residual is of another time; begin from what is usual.
    if (point.gap) row.season_residual = row.seasonal.mean;
    row.season_residual += (residual - row.season_residual) * (1.0f / 6);
    if (row.seasonal_count < UINT16_MAX) ++row.seasonal_count;
    const std::uint32_t looks = row.seasonal_count;
    const float rate = 1.0f / static_cast<float>(std::min(looks, horizon));
    const Seen seen = see(row.seasonal, row.season_residual, point.floor, point.clip_floor, rate,
                          looks > settled);
    // This view is a day younger than the row, and needs a cap of its own.
    const float surprise = learn(row.tails[3], seen.height, seen.below, tail_rate(looks));
    sum.add(cold_cap(looks, surprise), seen.below);
  }
  learn_season(row, point.clipped, point.dt_seconds, season);
}

bool is_sound(const Spread& spread) {
  return std::isfinite(spread.mean) && std::isfinite(spread.variance) && spread.variance >= 0;
}

bool is_sound(const SeriesCore& core) {
  return std::isfinite(core.reference) && std::isfinite(core.previous) &&
         std::isfinite(core.mean_10) && std::isfinite(core.mean_30) &&
         std::isfinite(core.step_variance) && core.step_variance >= 0 &&
         std::isfinite(core.interval_seconds) && is_sound(core.residual_10) &&
         is_sound(core.level_30) && is_sound(core.log_variance);
}

}  // namespace

bool is_sound(const T1Row& row) {
  return is_sound(row.core) && std::isfinite(row.bucket_sum);
}

bool is_sound(const T2Row& row) {
  return is_sound(row.core) && is_sound(row.seasonal) && std::isfinite(row.season_residual) &&
         has_finite_season(row) && is_sound(row.rise) && row.hour < row.season.size();
}

Surprise update(T1Row& row, double value, std::uint32_t time_seconds) {
  Surprise surprise;
  if (!std::isfinite(value)) return surprise;
  if (row.core.count == 0) start_tails(row.tails);
  const Point point = advance(row.core, value, time_seconds);
  // The open bucket is held relative to the reference, which may just have moved.
  row.bucket_sum -= point.rebased * static_cast<float>(row.bucket_count);
  SurpriseSum sum;
  look(row.core, row.tails.data(), point, sum);
  surprise.used = true;
  surprise.decades = cold_cap(row.core.count, sum.decades());
  surprise.direction = surprise.decades > 0 ? sum.direction() : std::int8_t{0};
  return surprise;
}

Surprise update(T2Row& row, double value, std::uint32_t time_seconds, const RiseLimit& rise) {
  Surprise surprise;
  if (!std::isfinite(value)) return surprise;
  if (row.core.count == 0) start_tails(row.tails);
  const Point point = advance(row.core, value, time_seconds);
  if (point.rebased != 0) shift_season(row, point.rebased);
  enter_hour(row, time_seconds);
  // Asked before the season learns: the value must not take part in what it is compared with.
  if (rise.log_rise > 0) {
    const SeasonalLevel level = seasonal_level(row, time_seconds);
    if (level.known && level.value > 0) {
      surprise.rise_edge = update(row.rise, value / level.value, rise);
    }
  }
  SurpriseSum sum;
  look(row.core, row.tails.data(), point, sum);
  look_at_season(row, point, time_seconds, sum);
  surprise.stuck = follow_run(row, point, value);
  surprise.used = true;
  surprise.decades = cold_cap(row.core.count, sum.decades());
  surprise.direction = surprise.decades > 0 ? sum.direction() : std::int8_t{0};
  return surprise;
}

void accept_level(T2Row& row) {
  // The mask alone decides what is known; the bytes are cleared so that equal rows are equal bytes.
  row.season_mask = 0;
  row.season.fill(0);
  row.hour_count = 0;
  row.first_day = 1;
  row.rise = RiseRow{};
}

}  // namespace selfheal
