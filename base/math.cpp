#include "base/math.hpp"

#include <bit>
#include <cstdint>
#include <limits>

namespace selfheal::math {
namespace {

// ln 2 split so that k * ln2_high is exact for every exponent k (33 significant bits).
constexpr double ln2_high = 6.93147180369123816490e-01;
constexpr double ln2_low = 1.90821492927058770002e-10;

// 2^k for any k in the range of normal numbers; two factors cover the subnormal results.
double power_of_two(int k) {
  return std::bit_cast<double>(static_cast<std::uint64_t>(k + 1023) << 52);
}

}  // namespace

double log(double x) {
  if (!(x > 0)) return -std::numeric_limits<double>::infinity();
  if (x > std::numeric_limits<double>::max()) return x;
  int exponent = 0;
  if (x < std::numeric_limits<double>::min()) {
    x *= 0x1p54;
    exponent = -54;
  }
  std::uint64_t bits = std::bit_cast<std::uint64_t>(x);
  exponent += static_cast<int>(bits >> 52) - 1023;
  bits = (bits & 0x000fffffffffffffULL) | 0x3ff0000000000000ULL;
  double mantissa = std::bit_cast<double>(bits);
  if (mantissa > 1.41421356237309504880) {
    mantissa *= 0.5;
    ++exponent;
  }
  // log(1+f) = 2 atanh(f/(2+f)), arranged so that the rounding of f itself is not lost:
  // log(1+f) = f - (f^2/2 - s (f^2/2 + R)) with R = 2 (s^2/3 + s^4/5 + ...).
  const double f = mantissa - 1.0;
  const double s = f / (2.0 + f);
  const double z = s * s;
  double series = 0.0;
  for (int denominator = 21; denominator >= 3; denominator -= 2) {
    series = z * (2.0 / denominator + series);
  }
  const double half_square = 0.5 * f * f;
  const double k = exponent;
  return k * ln2_high - ((half_square - (s * (half_square + series) + k * ln2_low)) - f);
}

double exp(double x) {
  if (x != x) return x;
  if (x > 709.782712893384) return std::numeric_limits<double>::infinity();
  if (x < -745.2) return 0.0;
  const double scaled = x * 1.44269504088896338700;
  const int k = static_cast<int>(scaled + (scaled < 0 ? -0.5 : 0.5));
  const double r = (x - k * ln2_high) - k * ln2_low;
  double series = 0.0;
  for (int n = 13; n >= 1; --n) series = (r / n) * (1.0 + series);
  const double value = 1.0 + series;
  if (k < -1000) return value * power_of_two(k + 100) * power_of_two(-100);
  if (k > 1000) return value * power_of_two(k - 100) * power_of_two(100);
  return value * power_of_two(k);
}

double sigmoid(double x) {
  if (x >= 0) return 1.0 / (1.0 + exp(-x));
  const double e = exp(x);
  return e / (1.0 + e);
}

}  // namespace selfheal::math
