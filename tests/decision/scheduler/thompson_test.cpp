#include "decision/scheduler/thompson.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "base/check.hpp"
#include "base/philox.hpp"

namespace selfheal {
namespace {

constexpr std::uint64_t seed = 2024;

// An arm with a belief of weight 20, sharpened as the learner does.
Arm make_arm(std::string playbook, double mean, std::int64_t blast_radius = 0,
             std::string excluded = "") {
  Arm arm;
  arm.playbook = std::move(playbook);
  arm.belief.alpha = 20 * mean;
  arm.belief.beta = 20 * (1 - mean);
  arm.belief.mean = mean;
  arm.belief.context_free_mean = mean;
  arm.belief.draw_alpha = draw_sharpening * arm.belief.alpha;
  arm.belief.draw_beta = draw_sharpening * arm.belief.beta;
  arm.blast_radius = blast_radius;
  arm.excluded = std::move(excluded);
  return arm;
}

// An arm whose draw is all but certain to fall into the bin of 0.9.
Arm make_certain_arm(std::string playbook, std::int64_t blast_radius, double mean = 0.9) {
  Arm arm = make_arm(std::move(playbook), mean, blast_radius);
  arm.belief.draw_alpha = 2000;
  arm.belief.draw_beta = 0.5;
  return arm;
}

double propensity_sum(const Choice& choice) {
  return std::accumulate(choice.candidates.begin(), choice.candidates.end(), 0.0,
                         [](double sum, const RankedArm& arm) { return sum + arm.propensity; });
}

TEST(Choose, RecordsEveryCandidate) {
  const std::vector<Arm> arms = {make_arm("restart", 0.85), make_arm("failover", 0.5),
                                 make_arm("reboot", 0.8, 2, "failed in this incident")};
  const Choice choice = choose(arms, seed, 1, {0.0});
  ASSERT_EQ(choice.candidates.size(), 3U);
  const RankedArm& restart = choice.candidates[0];
  EXPECT_EQ(restart.playbook, "restart");
  EXPECT_TRUE(restart.eligible);
  EXPECT_EQ(restart.propensity, 1.0);
  EXPECT_DOUBLE_EQ(restart.alpha, 17);
  EXPECT_DOUBLE_EQ(restart.beta, 3);
  EXPECT_LE(restart.draw, 63.0 / 64);
  EXPECT_EQ(restart.draw * 64, std::floor(restart.draw * 64));
  EXPECT_EQ(restart.excluded, "");
  EXPECT_EQ(choice.candidates[1].excluded, "mean below the gate");
  EXPECT_EQ(choice.candidates[1].propensity, 0.0);
  EXPECT_EQ(choice.candidates[2].excluded, "failed in this incident");
  EXPECT_FALSE(choice.candidates[2].eligible);
  EXPECT_EQ(choice.winner, 0U);
  EXPECT_TRUE(choice.unattended);
}

TEST(Choose, BelowTheGateTheWinnerIsOnlyProposed) {
  const std::vector<Arm> arms = {make_arm("a", 0.69), make_arm("b", 0.4)};
  std::map<std::size_t, int> wins;
  for (std::uint64_t decision = 0; decision < 2000; ++decision) {
    const Choice choice = choose(arms, seed, decision);
    ASSERT_TRUE(choice.winner.has_value());
    EXPECT_FALSE(choice.unattended);
    EXPECT_NEAR(propensity_sum(choice), 1.0, 1e-12);
    ++wins[*choice.winner];
  }
  EXPECT_GT(wins[0], wins[1]);
  EXPECT_GT(wins[1], 0);
}

TEST(Choose, TheGateIncludesItsBound) {
  EXPECT_TRUE(choose(std::vector{make_arm("a", 0.7)}, seed, 1).unattended);
  EXPECT_FALSE(choose(std::vector{make_arm("a", 0.6999999)}, seed, 1).unattended);
  EXPECT_TRUE(choose(std::vector{make_arm("a", 0.5)}, seed, 1, {0.02, 0.5}).unattended);
}

TEST(Choose, NothingIsChosenWhereAllAreExcluded) {
  const Choice choice = choose(std::vector{make_arm("a", 0.9, 0, "floored")}, seed, 1);
  EXPECT_FALSE(choice.winner.has_value());
  EXPECT_FALSE(choice.unattended);
  EXPECT_EQ(propensity_sum(choice), 0.0);
  EXPECT_FALSE(choose({}, seed, 1).winner.has_value());
}

TEST(Choose, EqualBinsGoToBlastRadiusThenMeanThenId) {
  const auto winner = [](const std::vector<Arm>& arms) {
    const Choice choice = choose(arms, seed, 3, {0.0});
    EXPECT_GT(choice.candidates[*choice.winner].propensity, 1 - 1e-9);
    return choice.candidates[*choice.winner].playbook;
  };
  EXPECT_EQ(winner({make_certain_arm("a", 3, 0.99), make_certain_arm("b", 1, 0.8)}), "b");
  EXPECT_EQ(winner({make_certain_arm("a", 1, 0.8), make_certain_arm("b", 1, 0.9)}), "b");
  EXPECT_EQ(winner({make_certain_arm("b", 1), make_certain_arm("a", 1)}), "a");
}

TEST(Choose, IsAPureFunctionAndIgnoresTheOrderOfArms) {
  std::vector<Arm> arms = {make_arm("a", 0.8), make_arm("b", 0.82), make_arm("c", 0.78, 1)};
  for (std::uint64_t decision = 0; decision < 500; ++decision) {
    const Choice forward = choose(arms, seed, decision);
    EXPECT_EQ(forward, choose(arms, seed, decision));
    std::ranges::reverse(arms);
    Choice backward = choose(arms, seed, decision);
    std::ranges::reverse(arms);
    std::ranges::reverse(backward.candidates);
    EXPECT_EQ(forward.candidates, backward.candidates);
    EXPECT_EQ(*forward.winner, 2 - *backward.winner);
  }
}

// Exact propensities, against how often each arm wins; exploration included.
TEST(Choose, PropensitiesMatchTheFrequencyOfChoices) {
  const std::vector<Arm> arms = {make_arm("a", 0.82, 2), make_arm("b", 0.82), make_arm("c", 0.78),
                                 make_arm("d", 0.6), make_arm("e", 0.9, 0, "floored")};
  constexpr int decision_count = 100'000;
  std::vector<int> wins(arms.size(), 0);
  int explored = 0;
  Choice choice;
  for (std::uint64_t decision = 0; decision < decision_count; ++decision) {
    choice = choose(arms, seed, decision, {0.05});
    ++wins[*choice.winner];
    explored += choice.explored ? 1 : 0;
  }
  EXPECT_NEAR(propensity_sum(choice), 1.0, 1e-12);
  const auto expect_frequency = [](int count, double chance) {
    const double deviation = std::sqrt(chance * (1 - chance) / decision_count);
    EXPECT_NEAR(count / double{decision_count}, chance, 4 * deviation);
  };
  for (std::size_t i = 0; i < arms.size(); ++i) {
    expect_frequency(wins[i], choice.candidates[i].propensity);
  }
  expect_frequency(explored, 0.05);
  EXPECT_GT(choice.candidates[1].propensity, choice.candidates[0].propensity);
  EXPECT_EQ(wins[3] + wins[4], 0);
}

TEST(Choose, ExplorationGivesEveryCompetitorAFloor) {
  const std::vector<Arm> arms = {make_certain_arm("a", 0, 0.99), make_arm("b", 0.7)};
  const Choice rarely = choose(arms, seed, 1);
  EXPECT_NEAR(rarely.candidates[1].propensity, default_exploration / 2, 1e-6);
  std::map<std::size_t, int> wins;
  for (std::uint64_t decision = 0; decision < 10'000; ++decision) {
    const Choice always = choose(arms, seed, decision, {1.0});
    EXPECT_TRUE(always.explored);
    EXPECT_EQ(always.candidates[0].propensity, 0.5);
    ++wins[*always.winner];
  }
  EXPECT_NEAR(wins[0], 5000, 4 * 50);
  EXPECT_FALSE(choose(arms, seed, 1, {0.0}).explored);
}

TEST(Choose, RefusesTwoArmsOfOneName) {
  const StageScope stage;
  EXPECT_THROW(choose(std::vector{make_arm("a", 0.8), make_arm("a", 0.9)}, seed, 1), CheckFailure);
  EXPECT_THROW(choose(std::vector{make_arm("a", 0.8)}, seed, 1, {1.5}), CheckFailure);
}

// A learner and a chooser together find the playbook that works, and unlearn one that breaks.
TEST(Choose, LearnsFromOutcomesAndFollowsAChange) {
  Posteriors posteriors;
  const std::vector<std::string> playbooks = {"failover", "reboot", "restart"};
  int recoveries_late = 0;
  for (std::uint32_t i = 0; i < 600; ++i) {
    const std::int64_t now_ms = std::int64_t{i} * 60'000;
    std::vector<Arm> arms;
    for (const std::string& playbook : playbooks) {
      arms.push_back(
          {playbook, posteriors.read(now_ms, "api", "down", playbook, {0.9, 8}, {}), 0, ""});
    }
    const std::size_t winner = *choose(arms, seed, i).winner;
    // Until half-time the last playbook is the good one, then the first.
    const bool good = winner == (i < 300 ? 2U : 0U);
    const bool success = uniform_draw(99, {i, 0, 0}) < (good ? 0.95 : 0.3);
    posteriors.learn(now_ms, {"api", "down", playbooks[winner]},
                     {success, 30, arms[winner].belief.context_free_mean, {}});
    if (i % 300 >= 200) recoveries_late += success ? 1 : 0;
  }
  EXPECT_GT(recoveries_late, 170);
}

}  // namespace
}  // namespace selfheal
