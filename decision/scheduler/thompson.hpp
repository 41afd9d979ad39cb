#pragma once
// The choice of one playbook among several by Thompson sampling (Thompson 1933; Russo et al., "A
// Tutorial on Thompson Sampling", 2018), on Beta posteriors cut into 64 bins.
//
// 1. The arms that may run unattended (mean >= gate) compete; where there is none, all that are
//    not excluded compete, and the winner is only proposed.
// 2. Each draws one bin of its sharpened posterior; the highest bin wins; equal bins go to the
//    smaller blast radius, then the higher mean, then the lower id.
// 3. With a small probability the winner is instead drawn uniformly from the competitors, so that
//    every propensity has a floor and logged choices can value another policy afterwards.
//
// Pure, and the same to the last bit on every CPU. The order of the arms does not matter.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "decision/learner/posteriors.hpp"

namespace selfheal {

// What an arm must reach, in P(recovers) with context, to run without a person.
inline constexpr double unattended_mean_min = 0.7;

// Off-policy estimates need at least this; it costs a few per cent of the recoveries at stake.
inline constexpr double default_exploration = 0.02;

// The pseudo-arm that names the draws for exploration: draw 0 is the coin, draw 1 the pick.
inline constexpr std::uint32_t exploration_arm = 0xffffffff;

// One playbook that fits the incident.
struct Arm {
  std::string playbook;  // unique among the arms of a choice
  ArmBelief belief;
  std::int64_t blast_radius = 0;  // dependents at risk, uncapped or capped alike for all arms
  // Why it must not be drawn at all: floored, or it has failed in this incident. Empty: it may.
  std::string excluded;
  bool operator==(const Arm&) const = default;
};

struct ChoiceOptions {
  double exploration = default_exploration;  // probability, within [0, 1]
  double mean_min = unattended_mean_min;     // the gate
};

// One arm as the choice saw it.
struct RankedArm {
  std::string playbook;
  double draw = 0;        // lower edge of the bin drawn: 0, 1/64, ... 63/64; 0 if not drawn
  double uniform = 0;     // the random number behind it, in [0, 1); 0 if not drawn
  double propensity = 0;  // exact probability that this choice went to this arm; 0 if not drawn
  double alpha = 0;       // of the posterior after shrinkage and with context, not sharpened
  double beta = 0;
  double mean = 0;        // alpha / (alpha + beta)
  bool eligible = false;  // may run unattended
  std::string excluded;   // why it was not drawn; empty where it was
  bool operator==(const RankedArm&) const = default;
};

struct Choice {
  // In the order of the arms given. The propensities of a choice with a winner add up to 1.
  std::vector<RankedArm> candidates;
  std::optional<std::size_t> winner;  // none: every arm is excluded, or there is no arm
  bool explored = false;              // the winner came from exploration
  bool unattended = false;            // the winner may run without a person
  bool operator==(const Choice&) const = default;
};

// `shard_seed` and `decision_number` name the random numbers: the same pair and the same arms
// give the same choice for ever. An arm's own draw is named by its rank among the ids.
Choice choose(std::span<const Arm> arms, std::uint64_t shard_seed, std::uint64_t decision_number,
              const ChoiceOptions& options = {});

}  // namespace selfheal
