#pragma once
// What the service believes about its playbooks: how likely each is to heal a diagnosis of a
// service, learnt from outcomes. A thin history borrows from the wider levels:
//
//   level 0  (service, diagnosis, playbook)   the arm itself
//   level 1  (diagnosis, playbook)            the same trouble anywhere, plus the context shifts
//   level 2  (playbook)                       the playbook anywhere
//
// Each level is shrunk towards the next wider one and the widest towards the configured prior, as
// in beta-binomial partial pooling (Gelman et al., "Bayesian Data Analysis", chapter 5). The
// context moves the result on the logit scale by shifts that are learnt online (one step of
// Newton's method an outcome, ridge penalty).
//
// The state is a pure function of the sequence of learn() calls: no clock, no randomness, ordered
// containers, bit-stable arithmetic. Not synchronised: one thread writes, or many read a constant.
#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <tuple>

#include "base/time.hpp"

namespace selfheal {

// Half-lives. Those in trials do the forgetting when a service changes under us: a rare incident
// does not age by idling. The long one in time lets a closed arm drift back to its prior.
inline constexpr double count_half_life_ms = 180.0 * 24 * 3600 * 1000;
inline constexpr double narrow_decay_per_trial = 0.93303299153680741;  // 2^(-1/10)
inline constexpr double wide_decay_per_trial = 0.98623270449335920;    // 2^(-1/50)
inline constexpr double shift_decay_per_trial = 0.99654026282786782;   // 2^(-1/200)

// Trials that the wider belief counts for in an arm's own posterior.
inline constexpr double narrow_prior_weight = 8.0;

// Trials that the prior counts for where the configuration names no weight.
inline constexpr double default_prior_weight = 8.0;

// Ridge weight that holds a context shift at 0 until outcomes speak.
inline constexpr double shift_ridge = 5.0;

// The three active shifts together move the odds by at most e^4.
inline constexpr double shift_sum_max = 4.0;

// The draw uses a posterior this many times as concentrated as the belief. The wide levels are
// explored by all services together, so exploring each service anew would waste incidents.
inline constexpr double draw_sharpening = 6.0;

// A playbook that failed this often in a row on one arm is out for a time that doubles.
inline constexpr std::uint32_t floor_failures = 3;
inline constexpr std::int64_t floor_first_ms = one_hour_ms;
inline constexpr std::int64_t floor_max_ms = 7 * one_day_ms;

inline constexpr int time_of_day_count = 4;
inline constexpr int load_count = 3;
inline constexpr int shift_count = time_of_day_count + load_count + 2;

// The configured belief in a playbook before any outcome.
struct Prior {
  double mean = 0.6;                     // probability of recovery, within [0, 1]
  double weight = default_prior_weight;  // in trials, above 0
  bool operator==(const Prior&) const = default;
};

// The circumstances of a choice.
struct Context {
  int time_of_day = 0;     // quarter of the day, 0 to 3
  int load = 0;            // 0 low, 1 usual, 2 high
  bool proactive = false;  // started by a prediction, before anything failed
  bool operator==(const Context&) const = default;
};

struct ArmKey {
  std::string service;
  std::string diagnosis;
  std::string playbook;
  auto operator<=>(const ArmKey&) const = default;
};

struct WideKey {
  std::string diagnosis;
  std::string playbook;
  auto operator<=>(const WideKey&) const = default;
};

// Decayed outcomes as of `last_ms` (milliseconds since the epoch).
struct Counts {
  double successes = 0;
  double failures = 0;
  std::int64_t last_ms = 0;
  bool operator==(const Counts&) const = default;
};

// The rows below are all the state there is; a store may write and restore each by itself.
struct NarrowRow {
  Counts counts;                    // its last_ms is the time of the latest outcome
  double recovery_seconds_sum = 0;  // over successes, decayed like the counts
  double recovery_weight = 0;
  std::int64_t floored_until_ms = 0;  // 0: not floored
  std::uint64_t success_total = 0;    // never decayed
  std::uint64_t failure_total = 0;
  std::uint32_t failure_streak = 0;  // failures since the latest success
  bool operator==(const NarrowRow&) const = default;
};

struct WideRow {
  Counts counts;
  // Order of both: four times of day, three loads, reactive, proactive.
  std::array<double, shift_count> shifts{};       // b, on the logit scale
  std::array<double, shift_count> information{};  // V, decayed sum of p(1-p)
  bool operator==(const WideRow&) const = default;
};

struct PlaybookRow {
  Counts counts;
  bool operator==(const PlaybookRow&) const = default;
};

// A belief about one arm at one moment.
struct ArmBelief {
  // The arm's posterior after shrinkage, without context: A = S0 + 8 m1, B = F0 + 8 (1 - m1) with
  // m1 the mean of the wider levels. alpha / (alpha + beta) is context_free_mean.
  double alpha = 0;
  double beta = 0;
  double context_free_mean = 0;  // record it with a choice; learn() asks for it again
  double mean = 0;               // with context: P(recovers), which the gate looks at
  // The sharpened Beta to draw from, clamped into the range of beta_bins().
  double draw_alpha = 0;
  double draw_beta = 0;
  bool operator==(const ArmBelief&) const = default;
};

// What an arm has done so far, for people.
struct TrackRecord {
  std::uint64_t successes = 0;
  std::uint64_t failures = 0;
  double success_rate = 0;             // of the decayed counts; 0 without any
  double mean_seconds_to_recover = 0;  // of the decayed sums; 0 without a success
  std::int64_t last_outcome_ms = 0;    // 0: never tried
  std::int64_t floored_until_ms = 0;   // 0: not floored
  bool operator==(const TrackRecord&) const = default;
};

// One outcome of a choice.
struct Trial {
  bool success = false;           // recovered, and verified in its time
  double seconds_to_recover = 0;  // at least 0; ignored after a failure
  double context_free_mean = 0;   // as the choice recorded it, within [0, 1]
  Context context;                // of the choice
};

// Orders keys and views of keys alike, so that a look-up copies no string.
struct KeyLess {
  using is_transparent = void;
  using ArmView = std::tuple<std::string_view, std::string_view, std::string_view>;
  using WideView = std::tuple<std::string_view, std::string_view>;
  static ArmView view(const ArmKey& key) { return {key.service, key.diagnosis, key.playbook}; }
  static WideView view(const WideKey& key) { return {key.diagnosis, key.playbook}; }
  static ArmView view(const ArmView& key) { return key; }
  static WideView view(const WideView& key) { return key; }
  template <class Left, class Right>
  bool operator()(const Left& left, const Right& right) const {
    return view(left) < view(right);
  }
};

class Posteriors {
 public:
  using NarrowRows = std::map<ArmKey, NarrowRow, KeyLess>;
  using WideRows = std::map<WideKey, WideRow, KeyLess>;
  using PlaybookRows = std::map<std::string, PlaybookRow, std::less<>>;

  // The belief as of `now_ms`. An arm never tried has the belief of its wider levels and prior.
  ArmBelief read(std::int64_t now_ms, std::string_view service, std::string_view diagnosis,
                 std::string_view playbook, const Prior& prior, const Context& context) const;

  // Takes in one outcome at the time it arrives. Delayed and overlapping outcomes need no care;
  // one older than the row's latest counts as if it came at the same time.
  void learn(std::int64_t now_ms, const ArmKey& key, const Trial& outcome);

  // Until when the arm must not be tried; 0 where it may be.
  std::int64_t floored_until_ms(std::int64_t now_ms, std::string_view service,
                                std::string_view diagnosis, std::string_view playbook) const;

  TrackRecord track_record(std::int64_t now_ms, std::string_view service,
                           std::string_view diagnosis, std::string_view playbook) const;

  // Every row in key order, for a store or a listing.
  const NarrowRows& narrow_rows() const { return narrow_; }
  const WideRows& wide_rows() const { return wide_; }
  const PlaybookRows& playbook_rows() const { return playbooks_; }

  // Restores one row, replacing what is there.
  void set(ArmKey key, const NarrowRow& row);
  void set(WideKey key, const WideRow& row);
  void set(std::string playbook, const PlaybookRow& row);

  bool operator==(const Posteriors&) const = default;

 private:
  NarrowRows narrow_;
  WideRows wide_;
  PlaybookRows playbooks_;
};

}  // namespace selfheal
