#include "decision/predictor/season.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace selfheal {
namespace {

constexpr std::uint32_t day_seconds = 86400;
constexpr float memory_seconds = 25200;     // 7 hours of one hour of day: a week
constexpr std::uint32_t first_values = 10;  // of an hour, before it speaks for itself

float unpack(std::uint16_t stored) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(stored) << 16);
}

// `salt` picks the rounding: over many values up and down come out even.
std::uint16_t pack(float value, std::uint32_t salt) {
  const std::uint32_t dither = (salt * 2654435761u) >> 16;
  return static_cast<std::uint16_t>((std::bit_cast<std::uint32_t>(value) + dither) >> 16);
}

bool seen(const T2Row& row, std::uint32_t hour) {
  return ((row.season_mask >> hour) & 1u) != 0;
}

}  // namespace

void enter_hour(T2Row& row, std::uint32_t time_seconds) {
  const std::uint32_t hour = time_seconds % day_seconds / 3600;
  if (hour != row.hour || row.core.count == 1) {
    row.hour = static_cast<std::uint8_t>(hour);
    row.hour_count = 0;
    row.first_day = seen(row, hour) ? 0 : 1;
  }
  if (row.hour_count < UINT16_MAX) ++row.hour_count;
}

SeasonView view_season(const T2Row& row, std::uint32_t time_seconds) {
  // Half an hour back, so that the fraction counts from the middle of one hour to the next.
  const std::uint32_t shifted = (time_seconds % day_seconds + day_seconds - 1800) % day_seconds;
  const std::uint32_t early = shifted / 3600;
  const std::uint32_t late = (early + 1) % 24;
  const float fraction = static_cast<float>(shifted % 3600) * (1.0f / 3600);
  const float early_mean = unpack(row.season[early]);
  const float late_mean = unpack(row.season[late]);
  if (seen(row, early) && seen(row, late)) {
    return {early_mean + (late_mean - early_mean) * fraction, true};
  }
  if (seen(row, early)) return {early_mean, false};
  if (seen(row, late)) return {late_mean, false};
  return {row.core.level_30.mean, false};
}

void learn_season(T2Row& row, float x, float dt_seconds, const SeasonView& season) {
  // A lasting rise would soon be the usual level, and the rule would end by itself.
  if (row.rise.on()) return;
  float mean = unpack(row.season[row.hour]);
  if (row.first_day != 0) {
    float rate = 1.0f / static_cast<float>(row.hour_count);
    // Half-way to a verdict the hour's own mean must not run after what may be a rise.
    if (row.rise.score > 3) rate *= 0.125f;
    if (!seen(row, row.hour)) mean = x;
    mean += (x - mean) * rate;
    row.season_mask |= 1u << row.hour;
  } else {
    // At first the mean of all values so far, then a week's memory.
    const float per_hour = static_cast<float>(row.core.count) * (1.0f / 24);
    const float rate = std::min(
        0.5f, std::max(dt_seconds * (1.0f / memory_seconds), 1.0f / (row.hour_count + per_hour)));
    // One outage must not become what is expected of the hour tomorrow.
    const float edge = 4 * std::sqrt(row.core.level_30.variance + row.core.residual_10.variance);
    mean += rate * std::clamp(x - season.value, -edge, edge);
  }
  row.season[row.hour] = pack(mean, row.core.count);
}

bool has_finite_season(const T2Row& row) {
  return std::ranges::all_of(row.season,
                             [](std::uint16_t mean) { return std::isfinite(unpack(mean)); });
}

void shift_season(T2Row& row, float shift) {
  for (std::uint32_t hour = 0; hour < 24; ++hour) {
    if (seen(row, hour)) {
      row.season[hour] = pack(unpack(row.season[hour]) - shift, row.core.count + hour);
    }
  }
}

SeasonalLevel seasonal_level(const T2Row& row, std::uint32_t time_seconds) {
  if (row.first_day == 0) {
    const SeasonView season = view_season(row, time_seconds);
    return {row.core.reference + season.value, true};
  }
  // First day: the hour's running mean, held by the hour before as if that had ten values of it.
  const std::uint32_t before = (row.hour + 23u) % 24;
  const bool before_seen = seen(row, before);
  const bool own_seen = seen(row, row.hour);
  const float weight = own_seen ? static_cast<float>(row.hour_count - 1) : 0.0f;
  const float held = before_seen ? static_cast<float>(first_values) : 0.0f;
  if (weight + held < first_values) return {};
  const float mean =
      (weight * unpack(row.season[row.hour]) + held * unpack(row.season[before])) / (weight + held);
  return {row.core.reference + mean, true};
}

}  // namespace selfheal
