#include "decision/audit/run_audit.hpp"

namespace selfheal {
namespace {

std::string start_key(const std::string& action_id, std::int64_t step, bool rollback,
                      std::int64_t attempt) {
  return action_id + "/" + std::to_string(step) + (rollback ? "r/" : "/") + std::to_string(attempt);
}

}  // namespace

void RunAudit::violate(int invariant, const std::string& place, const std::string& what) {
  // The first ones tell the story; a broken chain would otherwise list every record behind it.
  constexpr std::size_t violations_max = 100;
  if (violations_.size() < violations_max) violations_.push_back({invariant, place, what});
}

void RunAudit::take(const JournalRecord& record, const std::string& difference) {
  const std::string place = std::to_string(record.shard) + "/" + std::to_string(record.seq);
  if (record.kind == JournalKind::claim) ++counts_.claims;
  if (record.kind == JournalKind::failed) ++counts_.failed;
  if (record.kind == JournalKind::skip) ++counts_.skipped;
  if (!difference.empty()) violate(5, place, difference);
  if (record.kind == JournalKind::claim || record.kind == JournalKind::config) return;
  // A snapshot cuts nothing and has no tick.
  if (record.kind == JournalKind::snapshot) return;
  if (record.cut.tick_ms < tick_ms_) violate(7, place, "the tick falls");
  if (record.cut.caught_up_through_ms > record.cut.tick_ms) {
    violate(7, place, "it claims to have caught up beyond its own tick");
  }
  tick_ms_ = record.cut.tick_ms;
  if (record.kind != JournalKind::batch) return;
  ++counts_.batches;
  counts_.inputs += record.cut.records();
  for (std::size_t k = 0; k < record.events.size(); ++k) take_event(record, k, record.events[k]);
}

void RunAudit::take_event(const JournalRecord& record, std::size_t k, const Event& event) {
  ++counts_.decisions;
  const std::string place =
      std::to_string(record.shard) + "/" + std::to_string(record.seq) + "/" + std::to_string(k);
  if (const auto* opened = std::get_if<IncidentOpened>(&event.body)) {
    open_incidents_[opened->incident_id] = place;
  } else if (const auto* escalated = std::get_if<Escalated>(&event.body)) {
    reached_people_.insert(escalated->incident_id);
  } else if (const auto* asked = std::get_if<ApprovalRequested>(&event.body)) {
    reached_people_.insert(asked->incident_id);
  } else if (const auto* closed = std::get_if<IncidentClosed>(&event.body)) {
    if (open_incidents_.erase(closed->incident_id) == 0) {
      violate(10, place, closed->incident_id + " is closed without being open");
    }
  } else if (const auto* answered = std::get_if<ApprovalAnswered>(&event.body)) {
    answered_[answered->proposal_id] = answered->by;
  } else if (const auto* verdict = std::get_if<Verdict>(&event.body)) {
    if (verdict->verdict != "approved") return;
    approved_[verdict->proposal_id] = verdict->content_hash;
    const auto answer = answered_.find(verdict->proposal_id);
    const bool by_policy = verdict->approved_by == "policy";
    if (!by_policy && (answer == answered_.end() || answer->second != verdict->approved_by)) {
      violate(8, place, "approved in the name of " + verdict->approved_by + ", who never answered");
    }
    for (const CheckResult& check : verdict->checks) {
      if (by_policy && !check.passed) {
        violate(8, place, "approved by policy although check " + check.name + " failed");
      }
    }
  } else {
    take_run_event(place, event);
  }
}

void RunAudit::take_run_event(const std::string& place, const Event& event) {
  if (const auto* intent = std::get_if<RunIntent>(&event.body)) {
    const auto approval = approved_.find(intent->proposal_id);
    if (approval == approved_.end() || approval->second != intent->content_hash) {
      violate(8, place, intent->action_id + " is intended without an approval of its content");
    }
    const std::string subject = intent->service + "\n" + intent->resource_id;
    for (const auto& [action_id, run] : runs_) {
      if (!run.ended && run.subject == subject) {
        violate(
            9, place,
            intent->action_id + " begins while " + action_id + " still works on the same subject");
      }
    }
    runs_[intent->action_id] = {subject, place, false};
  } else if (const auto* started = std::get_if<RunStarted>(&event.body)) {
    if (!runs_.contains(started->action_id)) {
      violate(3, place, started->action_id + " starts a step without an intent");
    }
    const bool is_new = started_
                            .insert(start_key(started->action_id, started->step, started->rollback,
                                              started->attempt))
                            .second;
    if (!is_new) violate(3, place, started->action_id + " starts the same attempt twice");
  } else if (const auto* step = std::get_if<StepFinished>(&event.body)) {
    const std::string key = start_key(step->action_id, step->step, step->rollback, step->attempt);
    if (!started_.contains(key)) violate(3, place, key + " ends without having been started");
    if (!finished_.insert(key).second) violate(3, place, key + " ends twice");
  } else if (const auto* finished = std::get_if<RunFinished>(&event.body)) {
    const bool over = finished->result == "dry_run" || finished->result == "precondition_failed";
    if (const auto run = runs_.find(finished->action_id); over && run != runs_.end()) {
      run->second.ended = true;
    }
  } else if (const auto* outcome = std::get_if<Outcome>(&event.body)) {
    if (outcome->result == "in_doubt") ++counts_.in_doubt;
    const auto run = runs_.find(outcome->action_id);
    if (run == runs_.end()) return violate(9, place, outcome->action_id + " ends without a run");
    if (run->second.ended) violate(9, place, outcome->action_id + " ends twice");
    run->second.ended = true;
    if (outcome->awaits_answer) doubtful_.insert(outcome->action_id);
  } else if (const auto* resolved = std::get_if<DoubtResolved>(&event.body)) {
    if (doubtful_.erase(resolved->action_id) == 0) {
      violate(9, place, resolved->action_id + " is answered without being in doubt");
    }
    // It ends once more, by what the verification finds.
    if (const auto run = runs_.find(resolved->action_id); run != runs_.end()) {
      run->second.ended = false;
    }
  }
}

void RunAudit::finish(bool expect_everything_ended) {
  if (!expect_everything_ended) return;
  for (const auto& [action_id, run] : runs_) {
    if (!run.ended) violate(9, run.place, action_id + " never ends");
  }
  for (const auto& [incident_id, place] : open_incidents_) {
    if (!reached_people_.contains(incident_id)) {
      violate(10, place, incident_id + " neither ends nor reaches a person");
    }
  }
}

}  // namespace selfheal
