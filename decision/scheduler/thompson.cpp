#include "decision/scheduler/thompson.hpp"

#include <algorithm>
#include <numeric>
#include <tuple>

#include "base/check.hpp"
#include "base/philox.hpp"
#include "decision/learner/beta_bins.hpp"

namespace selfheal {
namespace {

// Positions of `arms` sorted by id; the rank of an arm in it names its random number.
std::vector<std::size_t> sorted_by_id(std::span<const Arm> arms) {
  std::vector<std::size_t> order(arms.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, {},
                    [&](std::size_t i) -> const std::string& { return arms[i].playbook; });
  for (std::size_t i = 1; i < order.size(); ++i) {
    CHECK(arms[order[i]].playbook != arms[order[i - 1]].playbook,
          "playbook '" + arms[order[i]].playbook + "' stands in one choice twice");
  }
  return order;
}

RankedArm describe(const Arm& arm, double mean_min) {
  const ArmBelief& belief = arm.belief;
  const double weight = belief.alpha + belief.beta;
  RankedArm ranked;
  ranked.playbook = arm.playbook;
  ranked.alpha = weight * belief.mean;
  ranked.beta = weight * (1.0 - belief.mean);
  ranked.mean = belief.mean;
  ranked.excluded = arm.excluded;
  // The gate looks at the belief, never at the draw: luck must not open it.
  ranked.eligible = arm.excluded.empty() && belief.mean >= mean_min;
  return ranked;
}

// One arm in the contest.
struct Competitor {
  std::size_t position;  // among the arms given
  std::uint32_t rank;    // among the ids
};

// Who competes, in order of id: the eligible if there are any, else all that are not excluded.
std::vector<Competitor> select_competitors(std::span<const std::size_t> by_id,
                                           std::vector<RankedArm>& candidates) {
  const bool gated = std::ranges::any_of(candidates, &RankedArm::eligible);
  std::vector<Competitor> competitors;
  for (std::size_t rank = 0; rank < by_id.size(); ++rank) {
    RankedArm& candidate = candidates[by_id[rank]];
    if (!candidate.excluded.empty()) continue;
    if (gated && !candidate.eligible) {
      candidate.excluded = "mean below the gate";
      continue;
    }
    competitors.push_back({by_id[rank], static_cast<std::uint32_t>(rank)});
  }
  return competitors;
}

// Draws for every competitor, fills in draws and propensities, and returns the winner's position.
// `competitors` stand in order of preference.
std::size_t contest(std::span<const Competitor> competitors, std::span<const Arm> arms,
                    std::uint64_t shard_seed, std::uint64_t decision_number, double exploration,
                    std::vector<RankedArm>& candidates) {
  std::vector<BetaBins> bins;
  bins.reserve(competitors.size());
  std::size_t winner = competitors.front().position;
  for (const auto& [position, rank] : competitors) {
    const ArmBelief& belief = arms[position].belief;
    bins.push_back(beta_bins(belief.draw_alpha, belief.draw_beta));
    RankedArm& candidate = candidates[position];
    candidate.uniform = uniform_draw(shard_seed, {decision_number, rank, 0});
    candidate.draw = bin_of(bins.back(), candidate.uniform) / double{beta_bin_count};
    // Only a higher bin takes the lead: among equals the preferred one has it already.
    if (candidate.draw > candidates[winner].draw) winner = position;
  }
  const std::vector<double> chances = win_probabilities(bins);
  const double floor = exploration / static_cast<double>(competitors.size());
  for (std::size_t i = 0; i < competitors.size(); ++i) {
    candidates[competitors[i].position].propensity = (1.0 - exploration) * chances[i] + floor;
  }
  return winner;
}

}  // namespace

Choice choose(std::span<const Arm> arms, std::uint64_t shard_seed, std::uint64_t decision_number,
              const ChoiceOptions& options) {
  CHECK(options.exploration >= 0 && options.exploration <= 1, "exploration must be a probability");
  CHECK(arms.size() < exploration_arm, "more arms than names of random numbers");
  const std::vector<std::size_t> by_id = sorted_by_id(arms);
  Choice choice;
  choice.candidates.reserve(arms.size());
  for (const Arm& arm : arms) choice.candidates.push_back(describe(arm, options.mean_min));
  std::vector<Competitor> competitors = select_competitors(by_id, choice.candidates);
  if (competitors.empty()) return choice;

  std::ranges::sort(competitors, {}, [&](const Competitor& competitor) {
    const Arm& arm = arms[competitor.position];
    return std::tuple(arm.blast_radius, -arm.belief.mean, competitor.rank);
  });
  std::size_t winner = contest(competitors, arms, shard_seed, decision_number, options.exploration,
                               choice.candidates);
  const double coin = uniform_draw(shard_seed, {decision_number, exploration_arm, 0});
  if (coin < options.exploration) {
    choice.explored = true;
    const double pick = uniform_draw(shard_seed, {decision_number, exploration_arm, 1});
    // Below 1 times the count may round up to the count itself.
    const auto index =
        std::min(static_cast<std::size_t>(pick * static_cast<double>(competitors.size())),
                 competitors.size() - 1);
    winner = competitors[index].position;
  }
  choice.winner = winner;
  choice.unattended = choice.candidates[winner].eligible;
  return choice;
}

}  // namespace selfheal
