#pragma once
// Decisions about acting: verdicts, runs, verification, and what happened to inputs. See
// events.hpp.
#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "base/fields.hpp"
#include "base/time.hpp"

namespace selfheal {

// One check of a verdict or one condition of a verification; texts, so that any value fits.
struct CheckResult {
  static constexpr const char* kName = "check";
  std::string name;
  bool passed = false;
  std::string value;
  std::string limit;
  static constexpr auto fields() {
    return std::tuple{field("name", &CheckResult::name), field("passed", &CheckResult::passed),
                      field("value", &CheckResult::value), field("limit", &CheckResult::limit)};
  }
  bool operator==(const CheckResult&) const = default;
};

// What the approver said of a proposal, check by check.
struct Verdict {
  static constexpr const char* kName = "verdict";
  std::string proposal_id;
  std::string verdict;      // approved, held_for_person, held_for_window or denied
  std::string approved_by;  // policy, or a person's key name
  std::string reason;
  std::string action;  // self_heal_execute or self_heal_execute_proactive
  std::vector<CheckResult> checks;
  std::string policy_hash;
  std::string content_hash;     // of exactly what may run: playbook, subject and labels
  std::string mode;             // execute, dry_run or observe
  std::int64_t expires_ms = 0;  // of a held proposal
  static constexpr auto fields() {
    return std::tuple{field("proposal_id", &Verdict::proposal_id),
                      field("verdict", &Verdict::verdict),
                      field("approved_by", &Verdict::approved_by),
                      field("reason", &Verdict::reason),
                      field("action", &Verdict::action),
                      field("checks", &Verdict::checks),
                      field("policy_hash", &Verdict::policy_hash),
                      field("content_hash", &Verdict::content_hash),
                      field("mode", &Verdict::mode),
                      field("expires_ms", &Verdict::expires_ms)};
  }
  bool operator==(const Verdict&) const = default;
};

// A person is asked.
struct ApprovalRequested {
  static constexpr const char* kName = "approval_requested";
  std::string proposal_id;
  std::string incident_id;
  std::string playbook;
  std::string content_hash;
  std::string reason;
  std::int64_t expires_ms = 0;
  static constexpr auto fields() {
    return std::tuple{field("proposal_id", &ApprovalRequested::proposal_id),
                      field("incident_id", &ApprovalRequested::incident_id),
                      field("playbook", &ApprovalRequested::playbook),
                      field("content_hash", &ApprovalRequested::content_hash),
                      field("reason", &ApprovalRequested::reason),
                      field("expires_ms", &ApprovalRequested::expires_ms)};
  }
  bool operator==(const ApprovalRequested&) const = default;
};

// A person answered, with a signed message.
struct ApprovalAnswered {
  static constexpr const char* kName = "approval_answered";
  std::string proposal_id;
  std::string answer;  // approve or deny
  std::string by;      // the key's name
  std::string reason;
  std::string nonce;
  std::int64_t said_ms = 0;
  static constexpr auto fields() {
    return std::tuple{field("proposal_id", &ApprovalAnswered::proposal_id),
                      field("answer", &ApprovalAnswered::answer),
                      field("by", &ApprovalAnswered::by),
                      field("reason", &ApprovalAnswered::reason),
                      field("nonce", &ApprovalAnswered::nonce),
                      field("said_ms", &ApprovalAnswered::said_ms)};
  }
  bool operator==(const ApprovalAnswered&) const = default;
};

// A control message that was not obeyed, and why.
struct ControlRefused {
  static constexpr const char* kName = "control_refused";
  std::string kind;
  std::string target;
  std::string key_id;
  std::string reason;
  static constexpr auto fields() {
    return std::tuple{
        field("kind", &ControlRefused::kind), field("target", &ControlRefused::target),
        field("key_id", &ControlRefused::key_id), field("reason", &ControlRefused::reason)};
  }
  bool operator==(const ControlRefused&) const = default;
};

// An approved proposal is about to run; nothing outside has been touched.
struct RunIntent {
  static constexpr const char* kName = "run_intent";
  std::string action_id;
  std::string proposal_id;
  std::string incident_id;
  std::string playbook;
  std::string playbook_hash;
  std::string content_hash;
  std::string service;
  std::string resource_kind;
  std::string resource_id;
  std::map<std::string, std::string> labels;
  std::string code;
  std::string effect;  // idempotent, verifiable or neither
  std::string mode;
  std::string approved_by;
  bool proactive = false;
  std::int64_t signal_time_ms = 0;
  static constexpr auto fields() {
    return std::tuple{field("action_id", &RunIntent::action_id),
                      field("proposal_id", &RunIntent::proposal_id),
                      field("incident_id", &RunIntent::incident_id),
                      field("playbook", &RunIntent::playbook),
                      field("playbook_hash", &RunIntent::playbook_hash),
                      field("content_hash", &RunIntent::content_hash),
                      field("service", &RunIntent::service),
                      field("resource_kind", &RunIntent::resource_kind),
                      field("resource_id", &RunIntent::resource_id),
                      field("labels", &RunIntent::labels),
                      field("code", &RunIntent::code),
                      field("effect", &RunIntent::effect),
                      field("mode", &RunIntent::mode),
                      field("approved_by", &RunIntent::approved_by),
                      field("proactive", &RunIntent::proactive),
                      field("signal_time_ms", &RunIntent::signal_time_ms)};
  }
  bool operator==(const RunIntent&) const = default;
};

// One step may now touch the outside, until valid_until_ms.
struct RunStarted {
  static constexpr const char* kName = "run_started";
  std::string action_id;
  std::int64_t attempt = 0;  // of this step, from 1
  std::int64_t step = 0;     // index into the playbook's steps
  std::string step_name;
  bool rollback = false;
  std::int64_t epoch = 0;  // of the chain: the fence
  std::int64_t valid_until_ms = 0;
  std::int64_t runtime_limit_ms = 0;
  static constexpr auto fields() {
    return std::tuple{field("action_id", &RunStarted::action_id),
                      field("attempt", &RunStarted::attempt),
                      field("step", &RunStarted::step),
                      field("step_name", &RunStarted::step_name),
                      field("rollback", &RunStarted::rollback),
                      field("epoch", &RunStarted::epoch),
                      field("valid_until_ms", &RunStarted::valid_until_ms),
                      field("runtime_limit_ms", &RunStarted::runtime_limit_ms)};
  }
  bool operator==(const RunStarted&) const = default;
};

// A step ended, or is in doubt.
struct StepFinished {
  static constexpr const char* kName = "step_finished";
  std::string action_id;
  std::int64_t attempt = 0;
  std::int64_t step = 0;
  std::string step_name;
  bool rollback = false;
  std::string status;  // ok, failed, timeout, expired, fenced, in_doubt, lost, dry_run
  std::int64_t exit_code = 0;
  std::string output;  // a redacted excerpt
  std::string output_hash;
  std::int64_t took_ms = 0;
  static constexpr auto fields() {
    return std::tuple{field("action_id", &StepFinished::action_id),
                      field("attempt", &StepFinished::attempt),
                      field("step", &StepFinished::step),
                      field("step_name", &StepFinished::step_name),
                      field("rollback", &StepFinished::rollback),
                      field("status", &StepFinished::status),
                      field("exit_code", &StepFinished::exit_code),
                      field("output", &StepFinished::output),
                      field("output_hash", &StepFinished::output_hash),
                      field("took_ms", &StepFinished::took_ms)};
  }
  bool operator==(const StepFinished&) const = default;
};

// All steps ended, or nobody can say whether one had its effect.
struct RunFinished {
  static constexpr const char* kName = "run_finished";
  std::string action_id;
  std::string proposal_id;
  std::string incident_id;
  std::string result;  // succeeded, failed, in_doubt, dry_run, precondition_failed
  std::string reason;
  // In doubt, and kept for a person's answer. Journals of fold version 2 and before ended such runs
  // for good.
  bool awaits_answer = false;
  static constexpr auto fields() {
    return std::tuple{field("action_id", &RunFinished::action_id),
                      field("proposal_id", &RunFinished::proposal_id),
                      field("incident_id", &RunFinished::incident_id),
                      field("result", &RunFinished::result),
                      field("reason", &RunFinished::reason),
                      field("awaits_answer", &RunFinished::awaits_answer)};
  }
  bool operator==(const RunFinished&) const = default;
};

// A condition has to be looked at from outside; only reads.
struct ProbeRequested {
  static constexpr const char* kName = "probe_requested";
  std::string probe_id;
  std::string action_id;
  std::string purpose;         // verify, precondition, wait_for or effect
  std::int64_t condition = 0;  // index
  std::int64_t step = 0;       // that waits for it
  std::int64_t valid_until_ms = 0;
  static constexpr auto fields() {
    return std::tuple{field("probe_id", &ProbeRequested::probe_id),
                      field("action_id", &ProbeRequested::action_id),
                      field("purpose", &ProbeRequested::purpose),
                      field("condition", &ProbeRequested::condition),
                      field("step", &ProbeRequested::step),
                      field("valid_until_ms", &ProbeRequested::valid_until_ms)};
  }
  bool operator==(const ProbeRequested&) const = default;
};

// The verifier asks for a run to be undone; the runner does it.
struct RollbackRequested {
  static constexpr const char* kName = "rollback_requested";
  std::string action_id;
  std::string reason;
  std::vector<CheckResult> conditions;  // as they stood
  static constexpr auto fields() {
    return std::tuple{field("action_id", &RollbackRequested::action_id),
                      field("reason", &RollbackRequested::reason),
                      field("conditions", &RollbackRequested::conditions)};
  }
  bool operator==(const RollbackRequested&) const = default;
};

// The steps of a run that failed its verification were undone, last first.
struct RolledBack {
  static constexpr const char* kName = "rolled_back";
  std::string action_id;
  std::string result;  // succeeded, failed or in_doubt
  std::string reason;
  static constexpr auto fields() {
    return std::tuple{field("action_id", &RolledBack::action_id),
                      field("result", &RolledBack::result), field("reason", &RolledBack::reason)};
  }
  bool operator==(const RolledBack&) const = default;
};

// What the verifier found.
struct Outcome {
  static constexpr const char* kName = "outcome";
  std::string action_id;
  std::string proposal_id;
  std::string incident_id;
  std::string playbook;
  std::string service;
  std::string code;
  std::string result;  // recovered, not_recovered, rolled_back, in_doubt
  std::string reason;
  double seconds_to_recover = 0;  // from the first signal; 0 unless recovered
  bool proactive = false;
  std::string approved_by;
  std::vector<CheckResult> conditions;
  bool awaits_answer = false;  // in_doubt: another outcome follows a person's answer
  std::string answer;          // of the DoubtResolved, where a person ended the doubt
  static constexpr auto fields() {
    return std::tuple{field("action_id", &Outcome::action_id),
                      field("proposal_id", &Outcome::proposal_id),
                      field("incident_id", &Outcome::incident_id),
                      field("playbook", &Outcome::playbook),
                      field("service", &Outcome::service),
                      field("code", &Outcome::code),
                      field("result", &Outcome::result),
                      field("reason", &Outcome::reason),
                      field("seconds_to_recover", &Outcome::seconds_to_recover),
                      field("proactive", &Outcome::proactive),
                      field("approved_by", &Outcome::approved_by),
                      field("conditions", &Outcome::conditions),
                      field("awaits_answer", &Outcome::awaits_answer),
                      field("answer", &Outcome::answer)};
  }
  bool operator==(const Outcome&) const = default;
};

// A person said, with a signed message, whether the effect that a run left in doubt has happened.
struct DoubtResolved {
  static constexpr const char* kName = "doubt_resolved";
  std::string action_id;
  std::string proposal_id;
  std::string incident_id;
  std::string answer;  // happened or not_happened; of an undo: undone or not_undone
  std::string by;      // the key's name
  std::string reason;
  std::string nonce;
  std::int64_t said_ms = 0;
  static constexpr auto fields() {
    return std::tuple{field("action_id", &DoubtResolved::action_id),
                      field("proposal_id", &DoubtResolved::proposal_id),
                      field("incident_id", &DoubtResolved::incident_id),
                      field("answer", &DoubtResolved::answer),
                      field("by", &DoubtResolved::by),
                      field("reason", &DoubtResolved::reason),
                      field("nonce", &DoubtResolved::nonce),
                      field("said_ms", &DoubtResolved::said_ms)};
  }
  bool operator==(const DoubtResolved&) const = default;
};

// A circuit breaker counted a failure, opened, let one run try, or closed.
struct BreakerChanged {
  static constexpr const char* kName = "breaker_changed";
  std::string playbook;
  std::string resource_kind;
  std::string state;              // closed, open or half_open
  std::int64_t failures = 0;      // in a row
  std::int64_t failures_max = 0;  // as many open it
  std::int64_t open_until_ms = 0;
  std::string reason;
  static constexpr auto fields() {
    return std::tuple{field("playbook", &BreakerChanged::playbook),
                      field("resource_kind", &BreakerChanged::resource_kind),
                      field("state", &BreakerChanged::state),
                      field("failures", &BreakerChanged::failures),
                      field("failures_max", &BreakerChanged::failures_max),
                      field("open_until_ms", &BreakerChanged::open_until_ms),
                      field("reason", &BreakerChanged::reason)};
  }
  bool operator==(const BreakerChanged&) const = default;
};

// An input could not be read; its bytes are in the dead letters.
struct DeadLettered {
  static constexpr const char* kName = "dead_lettered";
  std::string topic;
  std::int64_t partition = 0;
  std::int64_t offset = 0;
  std::int64_t line = 0;  // -1: the whole record
  std::string reason;
  static constexpr auto fields() {
    return std::tuple{field("topic", &DeadLettered::topic),
                      field("partition", &DeadLettered::partition),
                      field("offset", &DeadLettered::offset), field("line", &DeadLettered::line),
                      field("reason", &DeadLettered::reason)};
  }
  bool operator==(const DeadLettered&) const = default;
};

// Signals of another shard that came in here leave as one committed message.
struct Forwarded {
  static constexpr const char* kName = "forwarded";
  std::int64_t target_shard = 0;
  std::int64_t signals = 0;  // how many
  std::string body;          // see topics/forward_body.hpp
  static constexpr auto fields() {
    return std::tuple{field("target_shard", &Forwarded::target_shard),
                      field("signals", &Forwarded::signals), field("body", &Forwarded::body)};
  }
  bool operator==(const Forwarded&) const = default;
};

// A forward from another shard was taken in; a second copy of it will not be.
struct ForwardTaken {
  static constexpr const char* kName = "forward_taken";
  std::int64_t source_shard = 0;
  std::int64_t source_seq = 0;
  std::int64_t source_k = 0;
  std::int64_t signals = 0;
  std::int64_t source_ms = 0;  // tick of the source's cut; 0 where it was not said
  static constexpr auto fields() {
    return std::tuple{
        field("source_shard", &ForwardTaken::source_shard),
        field("source_seq", &ForwardTaken::source_seq), field("source_k", &ForwardTaken::source_k),
        field("signals", &ForwardTaken::signals), field("source_ms", &ForwardTaken::source_ms)};
  }
  bool operator==(const ForwardTaken&) const = default;
};

// Another configuration took effect at this cut.
struct SettingsActivated {
  static constexpr const char* kName = "settings_activated";
  std::string content_hash;
  std::int64_t generation = 0;
  static constexpr auto fields() {
    return std::tuple{field("content_hash", &SettingsActivated::content_hash),
                      field("generation", &SettingsActivated::generation)};
  }
  bool operator==(const SettingsActivated&) const = default;
};

}  // namespace selfheal
