#pragma once
// A Beta distribution cut into 64 equal bins of [0, 1], and the exact chances of a contest between
// several of them. Choosing on bins rather than on points makes two things exact that otherwise
// are not: the probability with which each arm wins (a finite sum, so a logged choice can later be
// weighted by it) and "among equals the preferred arm" (equal means: the same 1/64).
//
// Every bit of the result is the same on every CPU: only + - * /, sqrt and selfheal::math.
// All functions are pure and may be called from any thread.
#include <array>
#include <span>
#include <vector>

namespace selfheal {

inline constexpr int beta_bin_count = 64;

// The range of parameters in which the bins are good to 1e-10 absolute.
inline constexpr double beta_parameter_min = 0.5;
inline constexpr double beta_parameter_max = 2000.0;

// [k] = P(x < k/64): from exactly 0 at [0], never falling, to exactly 1 at [64].
using BetaBins = std::array<double, beta_bin_count + 1>;

// The bins of Beta(alpha, beta). Both parameters must lie within [0.5, 2000].
//
// Inner bins by Gauss-Legendre quadrature (Abramowitz and Stegun, 25.4.30), the two end bins by
// the power series of the incomplete beta function, all terms positive (DLMF 8.17.8). The density
// is scaled by its peak and divided by its own total, so no gamma function is needed.
BetaBins beta_bins(double alpha, double beta);

// The bin, 0 to 63, that a uniform number in [0, 1) falls into: inversion of the cumulative sum.
int bin_of(const BetaBins& bins, double uniform);

// Each contestant draws one bin independently; the highest bin wins, and of equal bins the
// contestant that stands earlier in the list. Returns each one's exact probability of winning, in
// the same order. Takes time proportional to 64 times the number of contestants.
std::vector<double> win_probabilities(std::span<const BetaBins> by_preference);

}  // namespace selfheal
