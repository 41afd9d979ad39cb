#pragma once
// Made-up series for the detector's tests: every draw is named, so a test can be cut anywhere.
#include <cmath>
#include <cstdint>

#include "base/philox.hpp"

namespace selfheal::synthetic {

inline constexpr std::uint32_t start_seconds = 1700000000;

inline double uniform(std::uint64_t seed, std::uint32_t i, std::uint32_t draw = 0) {
  return uniform_draw(seed, {i, 0, draw});
}

// About normal: mean 0, standard deviation 1, never beyond 6.
inline double normal(std::uint64_t seed, std::uint32_t i) {
  double sum = -6;
  for (std::uint32_t k = 0; k < 12; ++k) sum += uniform(seed, i, k);
  return sum;
}

// Day curve in [-1, 1]; only for tests that compare no bits.
inline double day_curve(std::uint32_t time_seconds) {
  return std::sin(static_cast<double>(time_seconds % 86400) * (6.283185307179586 / 86400));
}

}  // namespace selfheal::synthetic
