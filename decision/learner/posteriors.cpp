#include "decision/learner/posteriors.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/check.hpp"
#include "base/math.hpp"
#include "decision/learner/beta_bins.hpp"

namespace selfheal {
namespace {

constexpr double ln2 = 0.69314718055994530942;

// The factor by which counts shrink from last_ms to now_ms. A clock that steps back ages nothing.
double age_factor(std::int64_t last_ms, std::int64_t now_ms) {
  if (now_ms <= last_ms) return 1.0;
  const double age_ms = static_cast<double>(now_ms) - static_cast<double>(last_ms);
  return math::exp(-ln2 * (age_ms / count_half_life_ms));
}

Counts aged(Counts counts, std::int64_t now_ms) {
  const double factor = age_factor(counts.last_ms, now_ms);
  counts.successes *= factor;
  counts.failures *= factor;
  counts.last_ms = std::max(counts.last_ms, now_ms);
  return counts;
}

// Ages the counts in time, then by one trial, then adds the outcome.
void add_outcome(Counts& counts, std::int64_t now_ms, bool success, double decay_per_trial) {
  counts = aged(counts, now_ms);
  counts.successes = counts.successes * decay_per_trial + (success ? 1.0 : 0.0);
  counts.failures = counts.failures * decay_per_trial + (success ? 0.0 : 1.0);
}

// The three shifts that apply in a context.
std::array<std::size_t, 3> active_shifts(const Context& context) {
  CHECK(context.time_of_day >= 0 && context.time_of_day < time_of_day_count,
        "time of day must be 0 to 3");
  CHECK(context.load >= 0 && context.load < load_count, "load must be 0 to 2");
  return {static_cast<std::size_t>(context.time_of_day),
          static_cast<std::size_t>(time_of_day_count + context.load),
          static_cast<std::size_t>(time_of_day_count + load_count + (context.proactive ? 1 : 0))};
}

// Moves a mean by the shifts of the context, on the odds: z = exp(sum of shifts).
double with_context(double mean, const WideRow& row, const std::array<std::size_t, 3>& active) {
  const double sum = row.shifts[active[0]] + row.shifts[active[1]] + row.shifts[active[2]];
  const double z = math::exp(std::clamp(sum, -shift_sum_max, shift_sum_max));
  return mean * z / (1.0 - mean + mean * z);
}

// One online Newton step of a ridge-penalised logistic regression with the context-free mean as
// offset. The last term lets a shift decay towards 0 as fast as the evidence behind it does.
void learn_shifts(WideRow& row, const Trial& outcome) {
  const auto active = active_shifts(outcome.context);
  const double expected = with_context(outcome.context_free_mean, row, active);
  for (double& information : row.information) information *= shift_decay_per_trial;
  for (const std::size_t j : active) {
    row.information[j] += expected * (1.0 - expected);
    const double weight = row.information[j] + shift_ridge;
    const double pull = (1.0 - shift_decay_per_trial) * shift_ridge / weight * row.shifts[j];
    row.shifts[j] += ((outcome.success ? 1.0 : 0.0) - expected) / weight - pull;
  }
}

std::int64_t floor_ms(std::uint32_t failure_streak) {
  std::int64_t wait_ms = floor_first_ms;
  for (std::uint32_t i = floor_failures; i < failure_streak && wait_ms < floor_max_ms; ++i) {
    wait_ms *= 2;
  }
  return std::min(wait_ms, floor_max_ms);
}

// Every failure from the third in a row on closes the arm anew, each time for twice as long.
void learn_narrow(NarrowRow& row, std::int64_t now_ms, const Trial& outcome) {
  const double factor = age_factor(row.counts.last_ms, now_ms);
  row.recovery_seconds_sum *= factor;
  row.recovery_weight *= factor;
  add_outcome(row.counts, now_ms, outcome.success, narrow_decay_per_trial);
  if (outcome.success) {
    row.recovery_seconds_sum =
        row.recovery_seconds_sum * narrow_decay_per_trial + outcome.seconds_to_recover;
    row.recovery_weight = row.recovery_weight * narrow_decay_per_trial + 1.0;
    ++row.success_total;
    row.failure_streak = 0;
    row.floored_until_ms = 0;
    return;
  }
  ++row.failure_total;
  if (row.failure_streak < std::numeric_limits<std::uint32_t>::max()) ++row.failure_streak;
  if (row.failure_streak >= floor_failures) {
    row.floored_until_ms = std::max(row.floored_until_ms, now_ms + floor_ms(row.failure_streak));
  }
}

// The row of a key, or an empty one: absence and no evidence are the same.
template <class Rows, class Key>
typename Rows::mapped_type find_or_empty(const Rows& rows, const Key& key) {
  const auto found = rows.find(key);
  return found == rows.end() ? typename Rows::mapped_type{} : found->second;
}

}  // namespace

ArmBelief Posteriors::read(std::int64_t now_ms, std::string_view service,
                           std::string_view diagnosis, std::string_view playbook,
                           const Prior& prior, const Context& context) const {
  CHECK(prior.mean >= 0 && prior.mean <= 1, "a prior mean must lie within [0, 1]");
  CHECK(prior.weight > 0, "a prior weight must be positive");
  const Counts all = aged(find_or_empty(playbooks_, playbook).counts, now_ms);
  const WideRow wide_row = find_or_empty(wide_, KeyLess::WideView{diagnosis, playbook});
  const Counts wide = aged(wide_row.counts, now_ms);
  const NarrowRow narrow_row =
      find_or_empty(narrow_, KeyLess::ArmView{service, diagnosis, playbook});
  const Counts narrow = aged(narrow_row.counts, now_ms);

  // The widest level without this diagnosis, so that no outcome speaks twice. The two levels
  // decay by their own trials, which may bring the difference below 0.
  const double other_successes = std::max(all.successes - wide.successes, 0.0);
  const double other_failures = std::max(all.failures - wide.failures, 0.0);
  const double playbook_mean = (other_successes + prior.weight * prior.mean) /
                               (other_successes + other_failures + prior.weight);
  const double wide_mean = (wide.successes + prior.weight * playbook_mean) /
                           (wide.successes + wide.failures + prior.weight);

  ArmBelief belief;
  belief.alpha = narrow.successes + narrow_prior_weight * wide_mean;
  belief.beta = narrow.failures + narrow_prior_weight * (1.0 - wide_mean);
  const double weight = belief.alpha + belief.beta;
  belief.context_free_mean = belief.alpha / weight;
  belief.mean = with_context(belief.context_free_mean, wide_row, active_shifts(context));
  belief.draw_alpha =
      std::clamp(draw_sharpening * weight * belief.mean, beta_parameter_min, beta_parameter_max);
  belief.draw_beta = std::clamp(draw_sharpening * weight * (1.0 - belief.mean), beta_parameter_min,
                                beta_parameter_max);
  return belief;
}

void Posteriors::learn(std::int64_t now_ms, const ArmKey& key, const Trial& outcome) {
  CHECK(outcome.context_free_mean >= 0 && outcome.context_free_mean <= 1,
        "a recorded mean must lie within [0, 1]");
  CHECK(!outcome.success || outcome.seconds_to_recover >= 0,
        "a time to recover must not be negative");
  learn_narrow(narrow_[key], now_ms, outcome);
  WideRow& wide = wide_[WideKey{key.diagnosis, key.playbook}];
  add_outcome(wide.counts, now_ms, outcome.success, wide_decay_per_trial);
  learn_shifts(wide, outcome);
  add_outcome(playbooks_[key.playbook].counts, now_ms, outcome.success, wide_decay_per_trial);
}

std::int64_t Posteriors::floored_until_ms(std::int64_t now_ms, std::string_view service,
                                          std::string_view diagnosis,
                                          std::string_view playbook) const {
  const auto found = narrow_.find(KeyLess::ArmView{service, diagnosis, playbook});
  if (found == narrow_.end() || found->second.floored_until_ms <= now_ms) return 0;
  return found->second.floored_until_ms;
}

TrackRecord Posteriors::track_record(std::int64_t now_ms, std::string_view service,
                                     std::string_view diagnosis, std::string_view playbook) const {
  TrackRecord record;
  const auto found = narrow_.find(KeyLess::ArmView{service, diagnosis, playbook});
  if (found == narrow_.end()) return record;
  const NarrowRow& row = found->second;
  record.successes = row.success_total;
  record.failures = row.failure_total;
  // Both counts age alike, so neither quotient depends on the time of asking.
  const double weight = row.counts.successes + row.counts.failures;
  if (weight > 0) record.success_rate = row.counts.successes / weight;
  if (row.recovery_weight > 0) {
    record.mean_seconds_to_recover = row.recovery_seconds_sum / row.recovery_weight;
  }
  record.last_outcome_ms = row.counts.last_ms;
  record.floored_until_ms = row.floored_until_ms > now_ms ? row.floored_until_ms : 0;
  return record;
}

void Posteriors::set(ArmKey key, const NarrowRow& row) {
  narrow_.insert_or_assign(std::move(key), row);
}

void Posteriors::set(WideKey key, const WideRow& row) {
  wide_.insert_or_assign(std::move(key), row);
}

void Posteriors::set(std::string playbook, const PlaybookRow& row) {
  playbooks_.insert_or_assign(std::move(playbook), row);
}

}  // namespace selfheal
