#include "decision/runner/locks.hpp"

#include <algorithm>

#include "decision/runner/runner.hpp"

namespace selfheal {
namespace {

DurationMs step_ms(const Step& step, const Settings& settings) {
  const DurationMs once_ms =
      settings.run.start_valid.ms + runtime_limit_of(step) + step.backoff.ms + step.wait.ms;
  DurationMs sum_ms = once_ms * (step.retries + 1);
  for (const Condition& condition : step.wait_for) sum_ms += condition.within.ms;
  for (const Step& rollback : step.rollback) sum_ms += step_ms(rollback, settings);
  return sum_ms;
}

}  // namespace

std::string lock_target(const RunIntent& intent) {
  if (intent.resource_id.empty()) return "service/" + intent.service;
  const std::string& kind = intent.resource_kind;
  return (kind.empty() ? "service" : kind) + "/" + intent.resource_id;
}

DurationMs lock_hold_ms(const Playbook& playbook, const Settings& settings) {
  DurationMs sum_ms = lock_margin_ms;
  for (const Step& step : playbook.steps) sum_ms += step_ms(step, settings);
  DurationMs checks_ms = 0;
  for (const Condition& condition : playbook.verify) {
    checks_ms = std::max(checks_ms, condition.within.ms);
  }
  return std::min(sum_ms + checks_ms, lock_hold_ms_max);
}

bool RunLocks::covers(const std::string& action_id, TimeMs last_ms) const {
  const RunLock* lock = rows_.find(action_id);
  return lock != nullptr && lock->until_ms >= last_ms + lock_margin_ms;
}

std::vector<std::pair<std::string, RunLock>> RunLocks::to_release() const {
  std::vector<std::pair<std::string, RunLock>> over;
  for (const auto& [action_id, lock] : rows_.rows()) {
    if (lock.over) over.emplace_back(action_id, lock);
  }
  return over;
}

bool RunLocks::any_to_release() const {
  return std::any_of(rows_.rows().begin(), rows_.rows().end(),
                     [](const auto& row) { return row.second.over; });
}

void RunLocks::evolve(const Event& event) {
  const auto end = [&](const std::string& action_id) {
    if (RunLock* lock = rows_.edit(action_id)) lock->over = true;
  };
  if (const auto* requested = std::get_if<LockRequested>(&event.body)) {
    RunLock& lock = rows_.at(requested->action_id);
    lock.target = requested->target;
    lock.number = requested->number;
    lock.give_up_ms = requested->give_up_ms;
    lock.awaited = true;
    lock.waits_for.clear();
  } else if (const auto* awaited = std::get_if<LockAwaited>(&event.body)) {
    if (RunLock* lock = rows_.edit(awaited->action_id)) lock->waits_for = awaited->reason;
  } else if (const auto* acquired = std::get_if<LockAcquired>(&event.body)) {
    if (RunLock* lock = rows_.edit(acquired->action_id)) {
      lock->awaited = false;
      lock->waits_for.clear();
      lock->until_ms = acquired->until_ms;
    }
  } else if (const auto* released = std::get_if<LockReleased>(&event.body)) {
    rows_.erase(released->action_id);
  } else if (const auto* outcome = std::get_if<Outcome>(&event.body)) {
    // What is in doubt may still act: its lock ends by itself, after that. The row stays, because a
    // person's word may let the run go on.
    if (outcome->result != "in_doubt") end(outcome->action_id);
  } else if (const auto* finished = std::get_if<RunFinished>(&event.body)) {
    // Other results are looked at first, and may have to be undone.
    if (finished->result == "precondition_failed") end(finished->action_id);
  }
}

}  // namespace selfheal
