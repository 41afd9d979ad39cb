#include "decision/audit/effect_audit.hpp"

namespace selfheal {
namespace {

std::string exact_key(const std::string& action_id, std::int64_t step, bool rollback,
                      std::int64_t attempt) {
  return action_id + "/" + std::to_string(step) + (rollback ? ".rollback." : ".") +
         std::to_string(attempt);
}

}  // namespace

void EffectAudit::take(const JournalRecord& record) {
  for (const Event& event : record.events) {
    const auto* started = std::get_if<RunStarted>(&event.body);
    // A step that only waits touches nothing.
    if (started == nullptr || started->runtime_limit_ms == 0) continue;
    ++starts_[{started->action_id, started->attempt}];
    ++starts_of_run_[started->action_id];
    exact_.insert(
        exact_key(started->action_id, started->step, started->rollback, started->attempt));
  }
}

void EffectAudit::take_effect(const LoggedEffect& effect, const std::string& place,
                              AuditReport& report) {
  report.count(3);
  const int starts_of_run = starts_of_run_[effect.action_id];
  if (starts_of_run == 0) {
    return report.violate(3, place, effect.action_id + " had an effect and was never started");
  }
  if (++effects_of_run_[effect.action_id] > starts_of_run) {
    return report.violate(3, place, effect.action_id + " had more effects than starts");
  }
  if (effect.attempt == 0) return;
  const Start start{effect.action_id, effect.attempt};
  if (++effects_[start] > starts_[start]) {
    report.violate(3, place,
                   effect.action_id + ", attempt " + std::to_string(effect.attempt) +
                       ", had more effects than starts");
  }
}

void EffectAudit::take_begun(const std::string& action_id, std::int64_t step, bool rollback,
                             std::int64_t attempt, const std::string& place,
                             AuditReport& report) const {
  report.count(6);
  if (exact_.contains(exact_key(action_id, step, rollback, attempt))) return;
  report.violate(6, place, "a step has begun on this machine and no journal says so");
}

}  // namespace selfheal
