#include "decision/learner/beta_bins.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <tuple>
#include <utility>

#include "base/check.hpp"
#include "base/philox.hpp"

namespace selfheal {
namespace {

constexpr double error_max = 1e-10;

// For whole a and b, P(Beta(a, b) < x) = P(Binomial(a+b-1, x) >= a).
double binomial_reference(int a, int b, int k) {
  if (k == 0) return 0;
  if (k == beta_bin_count) return 1;
  const int n = a + b - 1;
  const long double x = static_cast<long double>(k) / beta_bin_count;
  long double sum = 0;
  for (int j = a; j <= n; ++j) {
    sum += std::exp(std::lgamma(n + 1.0L) - std::lgamma(j + 1.0L) - std::lgamma(n - j + 1.0L) +
                    j * std::log(x) + (n - j) * std::log(1 - x));
  }
  return static_cast<double>(sum);
}

TEST(BetaBins, MatchBinomialSums) {
  const std::pair<int, int> cases[] = {{1, 1},   {2, 1},    {1, 9},     {7, 3},     {20, 4},
                                       {60, 60}, {123, 14}, {116, 19},  {137, 1},   {1, 137},
                                       {500, 3}, {900, 90}, {2000, 40}, {40, 2000}, {2000, 2000}};
  for (const auto& [a, b] : cases) {
    const BetaBins bins = beta_bins(a, b);
    for (int k = 0; k <= beta_bin_count; ++k) {
      ASSERT_NEAR(bins[k], binomial_reference(a, b, k), error_max) << a << " " << b << " " << k;
    }
  }
}

// Parameters without a closed form: values of the regularised incomplete beta function computed
// with SciPy's betainc, at these edges.
TEST(BetaBins, MatchIncompleteBetaAtBrokenParameters) {
  constexpr int edges[] = {1, 13, 32, 40, 58, 63};
  struct Case {
    double a;
    double b;
    double expected[6];
  };
  const Case cases[] = {
      {0.5,
       0.5,
       {0.079786175349536456, 0.29764681309816021, 0.5, 0.58043062325516626, 0.80189395724367363,
        0.92021382465046375}},
      {0.5, 2000, {0.99999999999999789, 1, 1, 1, 1, 1}},
      {137.25,
       12.5,
       {0, 0, 8.4221624032750823e-29, 6.5454278052529237e-17, 0.30164575845670599,
        0.9999981275204407}},
      {3.3,
       0.7,
       {5.738933648093765e-07, 0.0028543820989823765, 0.061526955960619516, 0.13581051809411826,
        0.57078210170952548, 0.86808031773552885}},
      {2000, 40.5, {0, 0, 0, 0, 2.7178010865384387e-43, 0.92288555549428963}},
      {48.5,
       20.25,
       {7.2581503382770606e-72, 1.4547352568831504e-19, 0.00025000603341825996,
        0.075978632773324506, 0.99999829246645033, 1}},
      {1234.5, 777.75, {0, 0, 7.3658284335027056e-25, 0.85555522791889105, 1, 1}},
  };
  for (const Case& c : cases) {
    const BetaBins bins = beta_bins(c.a, c.b);
    for (int i = 0; i < 6; ++i) {
      EXPECT_NEAR(bins[edges[i]], c.expected[i], error_max) << c.a << " " << c.b << " " << edges[i];
    }
  }
}

// A uniform belief has uniform bins; a mirrored belief has mirrored bins; all rise from 0 to 1.
TEST(BetaBins, AreCumulativeOverTheWholeRange) {
  for (double a = 0.5; a <= 2000; a *= 1.61) {
    for (double b = 0.5; b <= 2000; b *= 1.61) {
      const BetaBins bins = beta_bins(a, b);
      const BetaBins mirrored = beta_bins(b, a);
      ASSERT_EQ(bins[0], 0.0);
      ASSERT_EQ(bins[beta_bin_count], 1.0);
      for (int k = 0; k < beta_bin_count; ++k) {
        ASSERT_LE(bins[k], bins[k + 1]) << a << " " << b << " " << k;
        ASSERT_NEAR(bins[k], 1 - mirrored[beta_bin_count - k], 2 * error_max);
      }
    }
  }
}

TEST(BetaBins, RefuseParametersOutOfRange) {
  const StageScope stage;
  EXPECT_THROW(beta_bins(0.49, 1), CheckFailure);
  EXPECT_THROW(beta_bins(1, 2001), CheckFailure);
  EXPECT_THROW(beta_bins(std::nan(""), 1), CheckFailure);
}

TEST(BinOf, InvertsTheCumulativeSum) {
  const BetaBins flat = beta_bins(1, 1);
  for (int i = 0; i < 640; ++i) EXPECT_EQ(bin_of(flat, (i + 0.5) / 640), i / 10);
  const BetaBins bins = beta_bins(48.5, 20.25);
  for (int i = 0; i < 1000; ++i) {
    const double uniform = i / 1000.0;
    const int k = bin_of(bins, uniform);
    EXPECT_LE(bins[k], uniform);
    EXPECT_GT(bins[k + 1], uniform);
  }
  EXPECT_EQ(bin_of(beta_bins(2000, 0.5), 0x1.fffffffffffffp-1), 63);
}

TEST(WinProbabilities, AreExactForFlatBeliefs) {
  // Two uniform contestants: equal bins in one case of 64, and those go to the first.
  const std::vector<BetaBins> pair(2, beta_bins(1, 1));
  const auto chances = win_probabilities(pair);
  EXPECT_NEAR(chances[0], 0.5 + 0.5 / 64, 1e-12);
  EXPECT_NEAR(chances[1], 0.5 - 0.5 / 64, 1e-12);
  EXPECT_EQ(win_probabilities(std::vector<BetaBins>(1, beta_bins(3, 4)))[0], 1.0);
  EXPECT_TRUE(win_probabilities({}).empty());
}

TEST(WinProbabilities, AddUpToOneAndMatchTheFrequencyOfDraws) {
  const std::vector<BetaBins> bins = {beta_bins(60, 20), beta_bins(44, 16), beta_bins(30, 8),
                                      beta_bins(2.5, 0.8), beta_bins(118, 30)};
  const auto chances = win_probabilities(bins);
  EXPECT_NEAR(std::accumulate(chances.begin(), chances.end(), 0.0), 1.0, 1e-14);

  constexpr int draw_count = 200'000;
  std::vector<int> wins(bins.size(), 0);
  for (std::uint64_t decision = 0; decision < draw_count; ++decision) {
    std::size_t winner = 0;
    int highest = -1;
    for (std::uint32_t arm = 0; arm < bins.size(); ++arm) {
      const int bin = bin_of(bins[arm], uniform_draw(11, {decision, arm, 0}));
      if (bin > highest) std::tie(highest, winner) = std::pair<int, std::size_t>(bin, arm);
    }
    ++wins[winner];
  }
  for (std::size_t i = 0; i < bins.size(); ++i) {
    const double deviation = std::sqrt(chances[i] * (1 - chances[i]) / draw_count);
    EXPECT_NEAR(wins[i] / double{draw_count}, chances[i], 4 * deviation) << i;
  }
}

}  // namespace
}  // namespace selfheal
