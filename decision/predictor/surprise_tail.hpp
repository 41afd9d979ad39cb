#pragma once
// Internal to the detector: how far out a z-score is, in decades, from two tracked numbers a side.
// Integer arithmetic but for the last division; see detector_row.hpp for the method.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "decision/predictor/detector_row.hpp"

namespace selfheal {

// Logarithm that is linear between powers of two: monotone, at most 6 % of an octave off, a
// subtraction and a product. z > 0 and normal.
inline float piecewise_log(float z) {
  const auto steps = static_cast<std::int32_t>(std::bit_cast<std::uint32_t>(z)) - 0x3f800000;
  return static_cast<float>(steps) * 8.2629582e-8f;  // ln 2 / 2^23
}

// log(1 + z_squared)/2 in 1/4096; z_squared in [0, 1e12], so at most 56,600.
inline std::uint32_t log_height(float z_squared) {
  return static_cast<std::uint32_t>(piecewise_log(1 + z_squared) * 2048);
}

// What a count of values says about the pace of learning, common to all views of a row.
struct TailRate {
  std::uint32_t rate = 0;     // 16-bit fraction: step size of the quantile
  std::uint32_t divisor = 0;  // horizon of the mean excess
  std::uint32_t dither = 0;   // 16 bits that round small steps up as often as they deserve
};

inline TailRate tail_rate(std::uint32_t count) {
  TailRate rate;
  const std::uint32_t n = std::max(count, 1u);
  rate.rate = std::max(13107u / std::max((n + 4) / 5, 1u), 26u);  // 0.2 max(min(1, 5/n), 0.002)
  rate.divisor = std::min(2 + n / 50, 80u);
  rate.dither = (n * 2654435761u) >> 16;
  return rate;
}

// About the tail of a normal distribution.
template <std::size_t size>
void start_tails(std::array<TailPair, size>& tails) {
  for (TailPair& pair : tails) pair.fill(Tail{3400, 512});
}

inline void lower_quantile(Tail& tail, const TailRate& rate) {
  const std::uint32_t step = std::max<std::uint32_t>(tail.excess, tail.quantile >> 10) * rate.rate;
  const std::uint32_t down = (step + rate.dither) >> 16;
  tail.quantile =
      static_cast<std::uint16_t>(tail.quantile - std::min<std::uint32_t>(tail.quantile, down));
}

// Takes a height on one side and returns its surprise in decades: 0 below the tracked 98 % point.
// Going up 49 steps for 1 down is what makes the tracked point the 98 % one.
inline float learn(TailPair& pair, std::uint32_t height, bool below, const TailRate& rate) {
  // Indexed, not branched on: the side is a coin flip and would be mispredicted half of the time.
  const auto side = static_cast<std::size_t>(below);
  Tail& tail = pair[side];
  lower_quantile(pair[1 - side], rate);
  if (height <= tail.quantile) {
    lower_quantile(tail, rate);
    return 0;
  }
  const std::uint32_t over = height - tail.quantile;
  const std::uint32_t excess = std::max<std::uint32_t>(tail.excess, 4);
  // -log10(0.02) at the point itself, less half a decade, so that it fades in.
  const float decades = std::min(
      1.19897f + static_cast<float>(over) / (static_cast<float>(excess) * 2.30258509f), 16.0f);
  const std::uint64_t step =
      std::uint64_t{49} * std::max<std::uint32_t>(excess, tail.quantile >> 10) * rate.rate;
  const std::uint64_t raised = tail.quantile + ((step + rate.dither) >> 16);
  tail.quantile = static_cast<std::uint16_t>(std::min<std::uint64_t>(raised, UINT16_MAX));
  const auto pull =
      static_cast<std::int64_t>(std::min(over, 5 * excess)) - static_cast<std::int64_t>(excess);
  // Arithmetic shift: rounds down, and the dither makes up for it.
  const std::int64_t move = (pull * 65536 / rate.divisor + rate.dither) >> 16;
  const std::int64_t moved = static_cast<std::int64_t>(excess) + move;
  tail.excess = static_cast<std::uint16_t>(std::clamp<std::int64_t>(moved, 4, UINT16_MAX));
  return decades;
}

// Joins the views by a 2-norm and remembers on which side most of the surprise was.
class SurpriseSum {
 public:
  void add(float surprise, bool below, float side_weight = 1.0f) {
    if (surprise == 0) return;
    squares_ += surprise * surprise;
    side_ += (below ? -surprise : surprise) * side_weight;
  }
  float decades() const { return std::sqrt(squares_); }
  std::int8_t direction() const { return static_cast<std::int8_t>(side_ < 0 ? -1 : 1); }

 private:
  float squares_ = 0;
  float side_ = 0;
};

}  // namespace selfheal
