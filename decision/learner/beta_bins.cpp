#include "decision/learner/beta_bins.hpp"

#include <algorithm>
#include <cmath>

#include "base/check.hpp"
#include "base/math.hpp"

namespace selfheal {
namespace {

constexpr double bin_width = 1.0 / beta_bin_count;

// Below this scaled log density at both of its edges a bin holds less than 1e-19 of the mass.
constexpr double negligible_log_density = -46.0;

// Four nodes reach 1e-10 only where the density is wide against a bin and both ends of [0, 1],
// where it may have a pole, are at least five bins away.
constexpr double coarse_deviation_min = 0.033;
constexpr int coarse_bin_first = 5;
constexpr int coarse_bin_last = 58;

// Eight nodes are good for panels up to this many standard deviations wide.
constexpr double panel_deviations_max = 1.5;

// Nodes on [-1, 1] and their weights, as in the standard tables.
template <int count>
struct GaussLegendre;

template <>
struct GaussLegendre<4> {
  static constexpr std::array<double, 4> nodes = {-0.8611363115940526, -0.33998104358485626,
                                                  0.33998104358485626, 0.8611363115940526};
  static constexpr std::array<double, 4> weights = {0.34785484513745385, 0.6521451548625461,
                                                    0.6521451548625461, 0.34785484513745385};
};

template <>
struct GaussLegendre<8> {
  static constexpr std::array<double, 8> nodes = {
      -0.9602898564975362, -0.7966664774136267, -0.5255324099163290, -0.1834346424956498,
      0.1834346424956498,  0.5255324099163290,  0.7966664774136267,  0.9602898564975362};
  static constexpr std::array<double, 8> weights = {
      0.1012285362903763, 0.2223810344533745, 0.3137066458778873, 0.3626837833783620,
      0.3626837833783620, 0.3137066458778873, 0.2223810344533745, 0.1012285362903763};
};

// ln x and ln(1-x) of one point.
struct LogPair {
  double low = 0;
  double high = 0;
};

LogPair logs_at(double x) {
  return {math::log(x), math::log(1.0 - x)};
}

// Everything about the fixed grid that costs a logarithm.
struct GridLogs {
  std::array<LogPair, beta_bin_count + 1> edges{};  // [0] and [64] are never read
  std::array<std::array<LogPair, 4>, beta_bin_count> coarse{};
  std::array<std::array<LogPair, 8>, beta_bin_count> fine{};

  GridLogs() {
    for (int k = 0; k < beta_bin_count; ++k) {
      if (k > 0) edges[k] = logs_at(k * bin_width);
      fill(coarse[k], GaussLegendre<4>::nodes, k);
      fill(fine[k], GaussLegendre<8>::nodes, k);
    }
  }

 private:
  template <std::size_t count>
  static void fill(std::array<LogPair, count>& logs, const std::array<double, count>& nodes,
                   int k) {
    for (std::size_t i = 0; i < count; ++i)
      logs[i] = logs_at((k + 0.5 + 0.5 * nodes[i]) * bin_width);
  }
};

const GridLogs& grid_logs() {
  static const GridLogs logs;
  return logs;
}

// The density of Beta(alpha, beta) up to a constant factor: x^a (1-x)^b has its peak at a/(a+b),
// and dividing by that peak keeps every exponent at or below 0 before the poles are added back.
struct ScaledDensity {
  double alpha;
  double beta;
  double log_peak;
  double deviation;  // standard deviation of x
  double mean;

  ScaledDensity(double a, double b) : alpha(a), beta(b) {
    const double n = a + b;
    mean = a / n;
    log_peak = a * math::log(mean) + b * math::log(b / n);
    deviation = std::sqrt(a * b / (n + 1.0)) / n;
  }
  double log_value(const LogPair& logs) const {
    return (alpha - 1.0) * logs.low + (beta - 1.0) * logs.high - log_peak;
  }
};

template <std::size_t count>
double quadrature(const ScaledDensity& density, const std::array<LogPair, count>& logs) {
  double sum = 0.0;
  for (std::size_t i = 0; i < count; ++i) {
    sum +=
        GaussLegendre<static_cast<int>(count)>::weights[i] * math::exp(density.log_value(logs[i]));
  }
  return 0.5 * sum;
}

// A bin wide against the density, in several panels whose logarithms no table holds. Evidence in
// the service is bounded far below the parameters that lead here.
double paneled_quadrature(const ScaledDensity& density, int k, int panels) {
  double sum = 0.0;
  for (int panel = 0; panel < panels; ++panel) {
    std::array<LogPair, 8> logs;
    for (std::size_t i = 0; i < logs.size(); ++i) {
      const double within_bin = (panel + 0.5 + 0.5 * GaussLegendre<8>::nodes[i]) / panels;
      logs[i] = logs_at((k + within_bin) * bin_width);
    }
    sum += quadrature(density, logs);
  }
  return sum / panels;
}

// The mass of [0, 1/64] where x is the distance from the end with exponent `near`: the series
// z^a (1-z)^b / a * sum_k prod_{i<k} (a+b+i)/(a+1+i) z. At z = 1/64 and parameters up to 2000 the
// terms may grow for about 32 steps and then fall at least geometrically.
double end_mass(double near, double far, double log_peak) {
  const double z = bin_width;
  double term = 1.0;
  double sum = 1.0;
  for (int i = 0; i < 1000; ++i) {
    const double ratio = (near + far + i) / (near + 1.0 + i) * z;
    term *= ratio;
    sum += term;
    if (ratio < 0.5 && term < 1e-18 * sum) break;
  }
  const LogPair& edge = grid_logs().edges[1];
  return math::exp(near * edge.low + far * edge.high - log_peak) / near * sum;
}

double inner_mass(const ScaledDensity& density, int k, int panels) {
  const GridLogs& logs = grid_logs();
  // Between edges of negligible density there is mass only where the mean lies between them.
  const bool around_mean =
      density.mean * beta_bin_count >= k && density.mean * beta_bin_count <= k + 1;
  if (!around_mean && density.log_value(logs.edges[k]) < negligible_log_density &&
      density.log_value(logs.edges[k + 1]) < negligible_log_density) {
    return 0.0;
  }
  double average = 0.0;
  if (density.deviation > coarse_deviation_min && k >= coarse_bin_first && k <= coarse_bin_last) {
    average = quadrature(density, logs.coarse[k]);
  } else if (panels == 1) {
    average = quadrature(density, logs.fine[k]);
  } else {
    average = paneled_quadrature(density, k, panels);
  }
  return average * bin_width;
}

}  // namespace

BetaBins beta_bins(double alpha, double beta) {
  CHECK(alpha >= beta_parameter_min && alpha <= beta_parameter_max && beta >= beta_parameter_min &&
            beta <= beta_parameter_max,
        "Beta parameters must lie within [0.5, 2000]");
  const ScaledDensity density(alpha, beta);
  const double panels_exact = bin_width / (panel_deviations_max * density.deviation);
  int panels = static_cast<int>(panels_exact);
  if (panels < panels_exact) ++panels;

  BetaBins bins{};  // first as running sums of masses, then divided by their total
  bins[1] = end_mass(alpha, beta, density.log_peak);
  for (int k = 1; k < beta_bin_count - 1; ++k) {
    bins[k + 1] = bins[k] + inner_mass(density, k, panels);
  }
  bins[beta_bin_count] = bins[beta_bin_count - 1] + end_mass(beta, alpha, density.log_peak);
  const double total = bins[beta_bin_count];
  for (double& edge : bins) edge /= total;
  return bins;
}

int bin_of(const BetaBins& bins, double uniform) {
  CHECK(uniform >= 0.0 && uniform < 1.0, "a uniform number must lie within [0, 1)");
  // Invariant: bins[low] <= uniform < bins[low + step * 2]; six halvings of 64 leave one bin.
  int low = 0;
  for (int step = beta_bin_count / 2; step > 0; step /= 2) {
    if (bins[low + step] <= uniform) low += step;
  }
  return low;
}

std::vector<double> win_probabilities(std::span<const BetaBins> by_preference) {
  const std::size_t count = by_preference.size();
  std::vector<double> chances(count, 0.0);
  std::vector<double> later(count + 1, 1.0);
  for (int k = 0; k < beta_bin_count; ++k) {
    // later[i] = the chance that all of i, i+1, ... draw at most bin k, which beats nobody earlier.
    for (std::size_t i = count; i-- > 0;) later[i] = later[i + 1] * by_preference[i][k + 1];
    double earlier = 1.0;  // the chance that all before i draw below bin k
    for (std::size_t i = 0; i < count; ++i) {
      const BetaBins& bins = by_preference[i];
      chances[i] += (bins[k + 1] - bins[k]) * earlier * later[i + 1];
      earlier *= bins[k];
    }
  }
  return chances;
}

}  // namespace selfheal
