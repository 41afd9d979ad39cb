#pragma once
// Every decision that a stage can add to the journal: one struct each, with one field list from
// which JSON, CAF inspection and the documentation derive. Fields are only ever added, with
// defaults; a change of meaning is a new struct. The JSON of every version ever released must still
// decode.
#include <string>
#include <variant>

#include "topics/incident_events.hpp"
#include "topics/lock_events.hpp"
#include "topics/run_events.hpp"

namespace selfheal {

using EventBody =
    std::variant<IncidentOpened, Prediction, Diagnosis, DiagnosisCleared, Scored, Proposal, Verdict,
                 ApprovalRequested, ApprovalAnswered, ControlRefused, RunIntent, RunStarted,
                 StepFinished, RunFinished, ProbeRequested, RollbackRequested, RolledBack, Outcome,
                 Learned, Escalated, IncidentNoted, IncidentClosed, DeadLettered, Forwarded,
                 ForwardTaken, SettingsActivated, ThresholdChanged, BreakerChanged, DoubtResolved,
                 LockRequested, LockAwaited, LockAcquired, LockReleased, LockGranted, LockQueued,
                 LockFreed, InputPathChanged>;

// A decision: a body and where it belongs. Its id is "<shard>/<seq>/<k>", k counting from 0 in its
// batch.
struct Event {
  std::string service;      // the subject's service: key on the decisions topic
  std::string incident_id;  // empty where none
  std::string
      causation_id;  // id of the decision, or "signals:<offset>" / "control:<offset>" / "timer"
  EventBody body;
  bool operator==(const Event&) const = default;
};

// "incident_opened" …: the part behind "self_heal." in the CloudEvents type.
const char* event_name(const EventBody& body);

}  // namespace selfheal
