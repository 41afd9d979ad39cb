#include "decision/predictor/series_detector.hpp"

#include <algorithm>
#include <cmath>

#include "decision/predictor/surprise_tail.hpp"

namespace selfheal {
namespace {

constexpr float shortest_interval_seconds = 0.05f;
constexpr float peak_unit = 16;       // held_peak counts 1/16 decades
constexpr float worse_decades = 2;    // above the peak of a hold: a new alarm all the same
constexpr float held_decades = 0.5f;  // what a held-back surprise shows at most

std::uint32_t bucket_of(std::uint32_t time_seconds, const DetectorSettings& settings) {
  return time_seconds / std::max(settings.bucket_seconds, 1u);
}

// Joins the surprise of a row into the verdict, on the common scale.
void join(Observation& verdict, const Surprise& surprise, const SeriesCore& core) {
  // The offset is taken off the surprise rather than added to every threshold.
  const float decades = surprise.decades - interval_decades(core.interval_seconds);
  if (surprise.decades > 0 && decades > verdict.decades) {
    verdict.decades = decades;
    verdict.direction = surprise.direction;
  }
}

void take_wide(Observation& verdict, T2Row& wide, double value, std::uint32_t time_seconds,
               const DetectorSettings& settings) {
  const Surprise surprise = update(wide, value, time_seconds, settings.rise);
  join(verdict, surprise, wide.core);
  verdict.bucket_closed = true;
  verdict.stuck = surprise.stuck;
  // One value may close a bucket and be one itself; an edge of the first must not be lost.
  if (surprise.rise_edge != Edge::none) verdict.rise_edge = surprise.rise_edge;
}

void flush(Observation& verdict, T1Row& row, T2Row& wide, const DetectorSettings& settings) {
  const double mean = row.core.reference +
                      static_cast<double>(row.bucket_sum / static_cast<float>(row.bucket_count));
  const std::uint32_t start =
      bucket_of(row.core.time_seconds, settings) * std::max(settings.bucket_seconds, 1u);
  row.bucket_sum = 0;
  row.bucket_count = 0;
  take_wide(verdict, wide, mean, start, settings);
}

// One disturbance is one alarm: after it only one that is far worse counts for a while. Held-back
// surprises show a low score, so that this holds for a reader's own threshold too.
void hold_back(Observation& verdict, T1Row& row, const DetectorSettings& settings) {
  if (row.hold > 0) --row.hold;
  const float scaled = std::min(verdict.decades * peak_unit, 255.0f);
  if (row.hold > 0 && scaled <= static_cast<float>(row.held_peak) + worse_decades * peak_unit) {
    verdict.held = verdict.decades >= settings.threshold_decades;
    verdict.score = static_cast<float>(anomaly_score(std::min(verdict.decades, held_decades)));
    return;
  }
  verdict.score = static_cast<float>(anomaly_score(verdict.decades));
  verdict.alarm = verdict.decades >= settings.threshold_decades;
  if (!verdict.alarm) return;
  row.hold = settings.hold_points;
  row.held_peak = static_cast<std::uint8_t>(scaled);
}

}  // namespace

float interval_decades(float interval_seconds) {
  const float interval = std::max(interval_seconds, shortest_interval_seconds);
  if (interval >= 300) return 0;
  return 0.43429448f * (piecewise_log(300) - piecewise_log(interval));
}

double anomaly_score(double decades) {
  return decades > 0 ? decades / (decades + static_cast<double>(shipped_threshold_decades)) : 0.0;
}

Observation observe(T1Row& row, T2Row* wide, double value, std::uint32_t time_seconds,
                    const DetectorSettings& settings) {
  Observation verdict;
  if (!std::isfinite(value)) return verdict;
  // The value belongs to a later (or, with a clock set back, another) bucket: close the open one.
  if (wide != nullptr && row.bucket_count > 0 &&
      bucket_of(time_seconds, settings) != bucket_of(row.core.time_seconds, settings)) {
    flush(verdict, row, *wide, settings);
  }
  const Surprise surprise = update(row, value, time_seconds);
  verdict.used = true;
  join(verdict, surprise, row.core);
  if (wide != nullptr) {
    // Points slower than a bucket need not wait for the next one to close it.
    const bool slow = row.core.count > 1 && row.bucket_count == 0 &&
                      row.core.interval_seconds >= static_cast<float>(settings.bucket_seconds);
    if (slow) {
      take_wide(verdict, *wide, value, time_seconds, settings);
    } else if (row.bucket_count < UINT16_MAX) {
      row.bucket_sum += row.core.previous;  // the value just taken, relative to the reference
      ++row.bucket_count;
    }
  }
  hold_back(verdict, row, settings);
  return verdict;
}

Observation close_bucket(T1Row& row, T2Row& wide, std::uint32_t now_seconds,
                         const DetectorSettings& settings) {
  Observation verdict;
  if (row.bucket_count == 0 ||
      bucket_of(now_seconds, settings) <= bucket_of(row.core.time_seconds, settings)) {
    return verdict;
  }
  flush(verdict, row, wide, settings);
  verdict.used = true;
  // No point has come, so the hold does not run down.
  if (row.hold > 0) ++row.hold;
  hold_back(verdict, row, settings);
  return verdict;
}

}  // namespace selfheal
