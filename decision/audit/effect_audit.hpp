#pragma once
// Invariant 3, against what targets themselves logged: no effect without a START committed in an
// accepted epoch, and at most one a start. Not thread-safe.
#include <map>
#include <set>
#include <string>

#include "decision/audit/audit_report.hpp"
#include "topics/journal.hpp"

namespace selfheal {

// One effect, as a target saw it: what the step found in SELF_HEAL_ACTION_ID and SELF_HEAL_ATTEMPT,
// or in the header Idempotency-Key (then without an attempt).
struct LoggedEffect {
  static constexpr const char* kName = "logged_effect";
  std::string action_id;
  std::int64_t attempt = 0;  // 0: the target was not told
  std::string step;          // name; empty: the target was not told
  static constexpr auto fields() {
    return std::tuple{field("action_id", &LoggedEffect::action_id),
                      field("attempt", &LoggedEffect::attempt), field("step", &LoggedEffect::step)};
  }
};

class EffectAudit {
 public:
  // Accepted records of all chains, in any order, before the effects.
  void take(const JournalRecord& record);
  void take_effect(const LoggedEffect& effect, const std::string& place, AuditReport& report);
  // A start that the action files of a machine say has begun.
  void take_begun(const std::string& action_id, std::int64_t step, bool rollback,
                  std::int64_t attempt, const std::string& place, AuditReport& report) const;

 private:
  using Start = std::pair<std::string, std::int64_t>;  // action id, attempt
  std::map<Start, int> starts_;                        // committed, of any step
  std::map<std::string, int> starts_of_run_;
  std::set<std::string> exact_;  // with step and direction
  std::map<Start, int> effects_;
  std::map<std::string, int> effects_of_run_;
};

}  // namespace selfheal
