#include "decision/predictor/rise_rule.hpp"

#include <algorithm>
#include <cmath>

#include "base/math.hpp"

namespace selfheal {
namespace {

constexpr unsigned count_mask = 0x3ffu;
constexpr unsigned block_shift = 10;
constexpr unsigned on_bit = 0x2000u;
constexpr unsigned judge_from = 16;                      // buckets learnt before the first verdict
constexpr unsigned count_limit = 1000;                   // horizon of the variances, in buckets
constexpr float smallest_sigma_squared = 0.04f * 0.04f;  // 4 % noise: nothing real is quieter
constexpr float block_unit = 2000;

float squared(float x) {
  return x * x;
}

// Learns how much the log ratio varies, per bucket and per mean of 8 buckets. The second is what
// keeps slow, correlated noise from adding up to a rise.
void learn_variance(RiseRow& row, float log_ratio) {
  unsigned count = std::min((row.packed & count_mask) + 1, count_limit);
  unsigned in_block = (row.packed >> block_shift) & 7u;
  // Clipped, so that a burst does not make the rule deaf to the rise that may follow it.
  const float sigma = std::sqrt(std::max(row.variance, smallest_sigma_squared));
  const float clipped = std::clamp(log_ratio, -3 * sigma, 3 * sigma);
  const float rate = 1.0f / static_cast<float>(count);
  row.variance += rate * (squared(clipped) - row.variance);
  row.block_sum = static_cast<std::int16_t>(row.block_sum + static_cast<int>(clipped * block_unit));
  if (++in_block == 8) {
    const float mean = static_cast<float>(row.block_sum) / (8 * block_unit);
    const float block_rate = std::min(1.0f, 8 * rate);
    row.variance_8 += block_rate * (squared(mean) - row.variance_8);
    row.block_sum = 0;
    in_block = 0;
  }
  row.packed =
      static_cast<std::uint16_t>((row.packed & on_bit) | (in_block << block_shift) | count);
}

}  // namespace

RiseLimit RiseLimit::from_fraction(double rise_fraction) {
  RiseLimit limit;
  const double fraction = rise_fraction > 0 ? std::min(rise_fraction, 10.0) : 0.0;
  limit.log_rise = static_cast<float>(math::log(1.0 + fraction));
  return limit;
}

Edge update(RiseRow& row, double ratio, const RiseLimit& limit) {
  if (!(ratio > 0) || !(limit.log_rise > 0)) return Edge::none;
  // Beyond a factor of e^2 a larger ratio tells nothing new, and one such bucket must not decide.
  const float log_ratio = static_cast<float>(std::clamp(math::log(ratio), -2.0, 2.0));
  row.mean_8 += (log_ratio - row.mean_8) * 0.125f;
  const bool warm = (row.packed & count_mask) >= judge_from;
  if (warm) {
    const float sigma_squared =
        std::max({row.variance, 8 * row.variance_8, smallest_sigma_squared});
    const float largest_gain = limit.cost / 6;
    const float gain = (log_ratio - limit.log_rise * 0.5f) * limit.log_rise / sigma_squared;
    row.score =
        std::clamp(row.score + std::clamp(gain, -largest_gain, largest_gain), 0.0f, 2 * limit.cost);
  }
  // From half-way on the ratios may be of a rise, and say nothing of how it usually varies.
  if (!row.on() && row.score < limit.cost * 0.5f) learn_variance(row, log_ratio);
  // The mean keeps a smaller rise, whose score also climbs in the end, from being reported.
  if (!row.on() && row.score >= limit.cost && row.mean_8 > 0.6f * limit.log_rise) {
    row.packed = static_cast<std::uint16_t>(row.packed | on_bit);
    return Edge::on;
  }
  if (row.on() && row.score <= 0) {
    row.packed = static_cast<std::uint16_t>(row.packed & ~on_bit);
    return Edge::off;
  }
  return Edge::none;
}

bool is_sound(const RiseRow& row) {
  return std::isfinite(row.variance) && row.variance >= 0 && std::isfinite(row.variance_8) &&
         row.variance_8 >= 0 && std::isfinite(row.score) && std::isfinite(row.mean_8);
}

double error_rate_limit(double base) {
  return std::min(std::max(3 * base, base + 0.03), (1 + base) * 0.5);
}

Edge update(ErrorRateRow& row, double ratio) {
  if (ratio != ratio) return Edge::none;
  const double latest = std::clamp(ratio, 0.0, 1.0);
  // Rounds the one number just below a half up as well. Decisions already taken rest on it.
  // NOLINTNEXTLINE(bugprone-incorrect-roundings)
  row.recent[row.next & 7u] = static_cast<std::uint16_t>(latest * 65535.0 + 0.5);
  row.next = static_cast<std::uint8_t>((row.next + 1) & 7);
  if (row.filled < 8) ++row.filled;
  unsigned sum = 0;  // an integer, so that no rounding is carried from bucket to bucket
  for (std::uint16_t value : row.recent) sum += value;
  const double mean = sum / (65535.0 * row.filled);
  const double limit = error_rate_limit(row.base);

  if (row.on != 0) {
    // 1.25 base: for a high base half of the limit would lie below what is usual.
    const double low = std::max(limit * 0.5, 1.25 * row.base);
    if (mean >= low || latest >= low) return Edge::none;
    row.on = 0;
    row.over = 0;
    return Edge::off;
  }
  const bool judged = row.count >= 8 && row.base <= 0.5f;
  const bool above = judged && latest > limit && mean > limit;
  row.over = static_cast<std::uint8_t>(above ? std::min(row.over + 1, 255) : 0);
  if (row.over >= 3) {
    row.on = 1;
    return Edge::on;
  }
  // A bucket above the limit may be the first of a rise, and a young base would follow it so fast
  // that the limit is never passed. If it is only a burst, leaving it out costs nothing.
  if (judged && latest > limit) return Edge::none;
  if (row.count < 1000) ++row.count;
  row.base += static_cast<float>((latest - row.base) / row.count);
  return Edge::none;
}

}  // namespace selfheal
