#include "decision/predictor/likelihood.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/decision/predictor/synthetic.hpp"

namespace selfheal {
namespace {

TEST(Likelihood, StartsFromTheFittedCurve) {
  EXPECT_NEAR(cold_start_likelihood(3), 1 / (1 + std::exp(1.34)), 1e-12);
  EXPECT_NEAR(cold_start_likelihood(6), 1 / (1 + std::exp(1.34 - 2.25)), 1e-12);
  EXPECT_EQ(cold_start_likelihood(6), cold_start_likelihood(40));
  EXPECT_EQ(cold_start_likelihood(0), cold_start_likelihood(-3));
  EXPECT_LT(cold_start_likelihood(2), cold_start_likelihood(4));
  EXPECT_EQ(likelihood(4, {}), cold_start_likelihood(4));
}

TEST(Likelihood, FirstOutcomeIsOneNewtonStep) {
  LikelihoodOffset learned;
  const double p = cold_start_likelihood(3);
  learn_outcome(learned, 3, true);
  EXPECT_NEAR(learned.offset, (1 - p) / (1 / 2.25 + p * (1 - p)), 1e-6);
  learn_outcome(learned, 3, false);
  EXPECT_LT(learned.offset, (1 - p) / (1 / 2.25 + p * (1 - p)));
}

TEST(Likelihood, BecomesWhatTheServiceShows) {
  for (const double rate : {0.05, 0.3, 0.8}) {
    LikelihoodOffset learned;
    for (std::uint32_t i = 0; i < 2000; ++i) {
      learn_outcome(learned, 4, synthetic::uniform(41, i) < rate);
    }
    EXPECT_NEAR(likelihood(4, learned), rate, 0.05);
  }
}

TEST(Likelihood, NeverBecomesCertain) {
  LikelihoodOffset learned;
  for (int i = 0; i < 100000; ++i) learn_outcome(learned, 6, true);
  EXPECT_LT(likelihood(6, learned), 0.9995);
  EXPECT_TRUE(std::isfinite(learned.offset) && std::isfinite(learned.information));
}

TEST(Episode, TakesTheLargestOfItsFirstTenPoints) {
  EpisodeRow row;
  EXPECT_EQ(follow_episode(row, 1.9), EpisodeStep::none);
  EXPECT_EQ(follow_episode(row, 2.5), EpisodeStep::begun);
  EXPECT_EQ(follow_episode(row, 4.5), EpisodeStep::running);
  for (int i = 0; i < 7; ++i) EXPECT_EQ(follow_episode(row, 0), EpisodeStep::running);
  EXPECT_EQ(follow_episode(row, 3), EpisodeStep::severity_final);
  EXPECT_EQ(follow_episode(row, 9), EpisodeStep::running);
  EXPECT_FLOAT_EQ(row.severity_decades, 4.5f);
  for (int i = 0; i < 49; ++i) EXPECT_EQ(follow_episode(row, 0), EpisodeStep::running);
  EXPECT_EQ(follow_episode(row, 0), EpisodeStep::ended);
  EXPECT_EQ(follow_episode(row, 0), EpisodeStep::none);
}

}  // namespace
}  // namespace selfheal
