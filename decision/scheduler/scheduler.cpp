#include "decision/scheduler/scheduler.hpp"

#include <algorithm>

#include "decision/learner/posterior_pages.hpp"
#include "decision/runner/runner.hpp"

namespace selfheal {
namespace {

const std::string arm_prefix = "scheduler/posterior/";
const std::string counters_key = "all";
// Below this a prediction is recorded and scored, and opens nothing: a lone odd series is no
// incident.
constexpr double incident_likelihood_min = 0.5;
// A settled incident that nobody has said anything about for this long has passed.
constexpr DurationMs quiet_ms_max = one_hour_ms;
// Incidents moved in one cut: a proposal with its verdict takes some 6 KB of the batch.
constexpr std::size_t moves_per_cut_max = 40;

// Of one incident: senders choose their codes freely.
constexpr std::size_t codes_max = 32;

std::string subject_key(const std::string& service, const std::string& resource_id) {
  return service + "\n" + resource_id;
}

}  // namespace

std::string impact_of(const std::string& risk, const std::string& tier) {
  const std::vector<std::string> levels = {"low", "medium", "high", "critical"};
  std::size_t level = 1;
  if (risk == "low") level = 0;
  if (risk == "high") level = 2;
  if (risk == "critical") level = 3;
  if (tier == "critical") level = std::min<std::size_t>(level + 1, 3);
  return levels[level];
}

Scheduler::Scheduler()
    : incidents_("scheduler/incident/"),
      counters_("scheduler/counters/"),
      issues_("scheduler/issue/"),
      observed_("scheduler") {}

void Scheduler::configure(std::shared_ptr<const Settings> settings) {
  Stage::configure(settings);
  std::vector<ServiceNode> services;
  for (const ServiceEntry& entry : settings->graph.services) {
    const Result<RiskTier> tier = parse_risk_tier(entry.risk_tier);
    CHECK(tier, "a graph with an unknown risk tier passed validation");
    services.push_back({entry.name, *tier, entry.depends_on, entry.replicas, entry.profile});
  }
  Result<Graph> graph = Graph::build(std::move(services));
  CHECK(graph, "an invalid graph passed validation");
  graph_ = std::move(*graph);
}

void Scheduler::save(PageSink& sink) {
  incidents_.save(sink);
  counters_.save(sink);
  issues_.save(sink);
  observed_.save(sink);
  for (const ArmKey& key : changed_arms_) save_arm(posteriors_, key, arm_prefix, sink);
  changed_arms_.clear();
}

bool Scheduler::load(std::string_view page_key, std::string_view value) {
  if (incidents_.load(page_key, value)) {
    by_subject_.clear();
    for (const auto& [id, row] : incidents_.rows()) {
      by_subject_[subject_key(row.opened.service, row.opened.resource_id)] = id;
    }
    return true;
  }
  return counters_.load(page_key, value) || issues_.load(page_key, value) ||
         observed_.load(page_key, value) || load_arm(posteriors_, arm_prefix, page_key, value);
}

TimeMs Scheduler::next_due_ms() const {
  TimeMs due_ms = Token::no_due;
  for (const auto& [id, row] : incidents_.rows()) {
    if (row.phase == "open" || row.phase == "recovered" || row.phase == "failing") {
      due_ms = std::min(due_ms, row.due_ms);
    }
    if (row.phase == "settled" && row.doubtful_action.empty()) {
      due_ms = std::min(due_ms, row.last_evidence_ms + quiet_ms_max);
    }
  }
  return due_ms;
}

const std::string* Scheduler::incident_of(const std::string& service,
                                          const std::string& resource_id) const {
  const auto found = by_subject_.find(subject_key(service, resource_id));
  return found == by_subject_.end() ? nullptr : &found->second;
}

std::string Scheduler::tier_of(const std::string& service) const {
  const ServiceNode* node = graph_.node(service);
  return node == nullptr ? "medium" : to_string(node->risk_tier);
}

IncidentRow* Scheduler::edit_by_proposal(const std::string& proposal_id) {
  for (const auto& [id, row] : incidents_.rows()) {
    if (row.proposal_id == proposal_id) return incidents_.edit(id);
  }
  return nullptr;
}

// --- evolve -------------------------------------------------------------------------------------

void Scheduler::on_opened(const IncidentOpened& opened, const EventPlace& place) {
  IncidentRow row;
  row.opened = opened;
  row.opened_ms = place.tick_ms;
  // The values that its conditions ask for reach the stages with the next cut.
  row.due_ms = place.tick_ms;
  // An issue that failed to heal and comes back waits longer each time.
  const IssueRow* issue = issues_.find(subject_key(opened.service, opened.code));
  if (issue != nullptr) row.due_ms = std::max(row.due_ms, issue->next_allowed_ms);
  row.last_evidence_ms = place.tick_ms;
  row.codes = {opened.code};
  row.proactive = opened.proactive;
  row.confidence = opened.confidence;
  row.lead_deadline_ms = opened.lead_deadline_ms;
  row.cause = place.id();
  incidents_.put(opened.incident_id, std::move(row));
  by_subject_[subject_key(opened.service, opened.resource_id)] = opened.incident_id;
}

void Scheduler::on_noted(const IncidentNoted& noted, const EventPlace& place) {
  IncidentRow* row = incidents_.edit(noted.incident_id);
  if (row == nullptr) return;
  row->last_evidence_ms = place.tick_ms;
  row->cause = place.id();
  const bool is_new = !contains(row->codes, noted.code);
  // Nothing more is done about what it was settled for. This is something else, and is answered
  // first: whoever was asked or told before knew nothing of it.
  const bool reopens = is_new && row->phase == "settled" && row->doubtful_action.empty();
  if (is_new) row->codes.insert(reopens ? row->codes.begin() : row->codes.end(), noted.code);
  if (reopens) {
    row->phase = "open";
    row->settled_by.clear();
    row->due_ms = place.tick_ms;
  }
  if (!noted.now_present) return;
  row->proactive = false;
  row->lead_deadline_ms = 0;
  row->confidence = std::max(row->confidence, noted.confidence);
  // A prediction that was held or dropped has come true: choose again, as for present trouble.
  if (row->phase == "settled" && row->settled_by == "denied") {
    row->phase = "open";
    row->due_ms = place.tick_ms;
  }
}

void Scheduler::on_cleared(const DiagnosisCleared& cleared, const EventPlace& place) {
  const std::string* id = incident_of(cleared.service, cleared.resource_id);
  IncidentRow* row = id == nullptr ? nullptr : incidents_.edit(*id);
  if (row == nullptr || std::erase(row->codes, cleared.code) == 0) return;
  if (row->codes.empty()) row->cause = place.id();
}

void Scheduler::on_verdict(const Verdict& verdict, const EventPlace& place) {
  IncidentRow* row = edit_by_proposal(verdict.proposal_id);
  if (row == nullptr) return;
  row->cause = place.id();
  if (verdict.verdict == "approved") {
    row->phase = verdict.mode == "observe" ? "settled" : "running";
    row->settled_by = verdict.mode == "observe" ? "observed" : "";
    if (row->phase == "running") ++row->attempts;
  } else if (verdict.verdict == "denied") {
    // A person who said no knows already; trouble that is only predicted wakes nobody.
    const bool quietly = verdict.approved_by != "policy" || row->proactive;
    row->phase = quietly ? "settled" : "failing";
    row->settled_by = quietly ? "denied" : "";
    row->reason = verdict.reason;
    row->due_ms = place.tick_ms;
  }
  row->last_evidence_ms = place.tick_ms;
}

void Scheduler::on_run_finished(const RunFinished& finished, const EventPlace& place) {
  IncidentRow* row = incidents_.edit(finished.incident_id);
  if (row == nullptr) return;
  row->cause = place.id();
  if (finished.result == "dry_run") {
    row->phase = "settled";
    row->settled_by = "observed";
    row->last_evidence_ms = place.tick_ms;
  } else if (finished.result == "precondition_failed") {
    row->phase = "open";
    row->due_ms = place.tick_ms;
    row->reason = finished.reason;
    row->failed_playbooks.push_back(row->chosen);
  }
}

void Scheduler::on_outcome(const Outcome& outcome, const EventPlace& place) {
  IncidentRow* row = incidents_.edit(outcome.incident_id);
  if (outcome.answer == "not_happened") {
    // Nothing was tried: no failure to wait for, and the same playbook may be chosen again.
    if (row == nullptr) return;
    row->cause = place.id();
    row->phase = "open";
    row->reason = outcome.reason;
    row->due_ms = place.tick_ms;
    row->last_evidence_ms = place.tick_ms;
    return;
  }
  IssueRow& issue = issues_.at(subject_key(outcome.service, outcome.code));
  const LimitSettings& limits = settings().limits;
  if (place.tick_ms - issue.last_ms > limits.backoff_reset.ms) issue = {};
  issue.last_ms = place.tick_ms;
  if (outcome.result == "recovered") {
    issue = {};
  } else {
    double wait_ms = static_cast<double>(limits.backoff_base.ms);
    for (std::int64_t i = 0; i < issue.failures && i < 64; ++i) wait_ms *= limits.backoff_factor;
    wait_ms = std::min(wait_ms, static_cast<double>(limits.backoff_cap.ms));
    ++issue.failures;
    issue.next_allowed_ms = place.tick_ms + static_cast<DurationMs>(wait_ms);
  }
  if (row == nullptr) return;
  row->cause = place.id();
  row->last_evidence_ms = place.tick_ms;
  row->reason = outcome.reason;
  row->due_ms = place.tick_ms;
  if (outcome.result == "recovered") {
    row->phase = "recovered";
  } else if (outcome.result == "in_doubt") {
    row->phase = "failing";
    if (outcome.awaits_answer) row->doubtful_action = outcome.action_id;
  } else {
    row->phase = "open";
    row->failed_playbooks.push_back(outcome.playbook);
    // The wait is one before the next attempt: where there is none, a person hears of it now.
    if (has_more_to_try(*row)) row->due_ms = issue.next_allowed_ms;
  }
}

void Scheduler::on_resolved(const DoubtResolved& resolved, const EventPlace& place) {
  IncidentRow* row = incidents_.edit(resolved.incident_id);
  if (row == nullptr || row->doubtful_action != resolved.action_id) return;
  row->cause = place.id();
  row->doubtful_action.clear();
  row->last_evidence_ms = place.tick_ms;
  row->settled_by.clear();
  // Until the verification has an outcome, which for an effect that never happened is at once.
  row->phase = "running";
}

void Scheduler::on_learned(const Learned& learned) {
  learn_from(posteriors_, learned);
  changed_arms_.insert({learned.service, learned.code, learned.playbook});
}

void Scheduler::evolve(const Event& event, const EventPlace& place) {
  if (const auto* opened = std::get_if<IncidentOpened>(&event.body)) {
    on_opened(*opened, place);
  } else if (const auto* noted = std::get_if<IncidentNoted>(&event.body)) {
    on_noted(*noted, place);
  } else if (const auto* cleared = std::get_if<DiagnosisCleared>(&event.body)) {
    on_cleared(*cleared, place);
  } else if (const auto* proposal = std::get_if<Proposal>(&event.body)) {
    counters_.at(counters_key).decisions = proposal->decision_number + 1;
    if (IncidentRow* row = incidents_.edit(proposal->incident_id)) {
      row->phase = "proposed";
      row->proposal_id = proposal->proposal_id;
      row->chosen = proposal->playbook;
    }
  } else if (const auto* verdict = std::get_if<Verdict>(&event.body)) {
    on_verdict(*verdict, place);
  } else if (const auto* finished = std::get_if<RunFinished>(&event.body)) {
    on_run_finished(*finished, place);
  } else if (const auto* outcome = std::get_if<Outcome>(&event.body)) {
    on_outcome(*outcome, place);
  } else if (const auto* resolved = std::get_if<DoubtResolved>(&event.body)) {
    on_resolved(*resolved, place);
  } else if (const auto* learned = std::get_if<Learned>(&event.body)) {
    on_learned(*learned);
  } else if (const auto* escalated = std::get_if<Escalated>(&event.body)) {
    if (IncidentRow* row = incidents_.edit(escalated->incident_id)) {
      row->phase = "settled";
      row->settled_by = "escalated";
      row->last_evidence_ms = place.tick_ms;
      row->cause = place.id();
    }
  } else if (const auto* closed = std::get_if<IncidentClosed>(&event.body)) {
    if (const IncidentRow* row = incidents_.find(closed->incident_id)) {
      by_subject_.erase(subject_key(row->opened.service, row->opened.resource_id));
      observed_.forget_service(row->opened.service);
      incidents_.erase(closed->incident_id);
    }
  }
}

// --- decide -------------------------------------------------------------------------------------

void Scheduler::decide(Token& token) {
  observed_.take(token);
  // Incidents opened in this cut are moved in the next: see on_opened.
  std::vector<std::string> due;
  for (const auto& [id, row] : incidents_.rows()) {
    const bool moves = row.phase == "open" || row.phase == "recovered" || row.phase == "failing";
    const bool quiet = row.phase == "settled" && row.doubtful_action.empty() &&
                       row.last_evidence_ms + quiet_ms_max <= token.cut.tick_ms;
    if ((moves && row.due_ms <= token.cut.tick_ms) || quiet) due.push_back(id);
  }
  take_troubles(token);
  if (due.size() > moves_per_cut_max) due.resize(moves_per_cut_max);
  for (const std::string& id : due) move(token, id);
}

void Scheduler::take_troubles(Token& token) {
  const std::size_t before = token.events.size();
  for (std::size_t k = 0; k < before; ++k) {
    const std::string cause = token.id_of(k);
    if (const auto* found = std::get_if<Prediction>(&token.events[k].body)) {
      const Prediction& p = *found;
      if (p.stale || p.shadow || p.likelihood < incident_likelihood_min) continue;
      take_trouble(token, Trouble{.code = p.code,
                                  .service = p.service,
                                  .confidence = p.likelihood,
                                  .proactive = true,
                                  .lead_time_seconds = p.lead_time_seconds,
                                  .evidence = p.evidence,
                                  .suggested_playbooks = p.suggested_playbooks,
                                  .signal_time_ms = p.signal_time_ms,
                                  .cause = cause});
    } else if (const auto* diagnosis = std::get_if<Diagnosis>(&token.events[k].body)) {
      const Diagnosis& d = *diagnosis;
      if (d.stale) continue;
      take_trouble(token, Trouble{.code = d.code,
                                  .service = d.service,
                                  .resource_kind = d.resource_kind,
                                  .resource_id = d.resource_id,
                                  .confidence = d.confidence,
                                  .labels = d.labels,
                                  .evidence = d.evidence,
                                  .signal_time_ms = d.signal_time_ms,
                                  .cause = cause});
    } else if (const auto* cleared = std::get_if<DiagnosisCleared>(&token.events[k].body)) {
      take_cleared(token, DiagnosisCleared(*cleared), cause);
    }
  }
}

void Scheduler::take_trouble(Token& token, const Trouble& trouble) {
  if (const std::string* id = incident_of(trouble.service, trouble.resource_id)) {
    const IncidentRow& row = *incidents_.find(*id);
    const bool turns_real = row.proactive && !trouble.proactive;
    // Repeating what is known would flood the journal while nothing new is learnt.
    const bool is_known = contains(row.codes, trouble.code);
    if (!turns_real && (is_known || row.codes.size() >= codes_max)) return;
    IncidentNoted noted{.incident_id = *id,
                        .code = trouble.code,
                        .service = trouble.service,
                        .note = trouble.evidence,
                        .now_present = turns_real,
                        .confidence = trouble.confidence};
    emit(token, {trouble.service, noted.incident_id, trouble.cause, noted});
    return;
  }
  IncidentOpened opened{.incident_id = token.name_of("inc", token.events.size()),
                        .code = trouble.code,
                        .service = trouble.service,
                        .resource_kind = trouble.resource_kind,
                        .resource_id = trouble.resource_id,
                        .severity = tier_of(trouble.service),
                        .confidence = trouble.confidence,
                        .proactive = trouble.proactive,
                        .labels = trouble.labels,
                        .evidence = trouble.evidence,
                        .signal_time_ms = trouble.signal_time_ms,
                        .suggested_playbooks = trouble.suggested_playbooks};
  if (trouble.proactive && trouble.lead_time_seconds > 0) {
    opened.lead_deadline_ms =
        token.cut.tick_ms + static_cast<DurationMs>(trouble.lead_time_seconds * 1000);
  }
  emit(token, {trouble.service, opened.incident_id, trouble.cause, opened});
}

void Scheduler::take_cleared(Token& token, const DiagnosisCleared& cleared,
                             const std::string& cause) {
  const std::string* id = incident_of(cleared.service, cleared.resource_id);
  if (id == nullptr) return;
  const IncidentRow& row = *incidents_.find(*id);
  // A run in progress is judged by its verification, not by the trouble going away meanwhile.
  const bool waiting = row.phase == "open" || row.phase == "proposed" || row.phase == "settled";
  if (!waiting || !row.codes.empty() || !row.doubtful_action.empty()) return;
  close(token, std::string(*id),
        row.settled_by == "escalated" ? "escalated_and_cleared" : "cleared", cause);
}

void Scheduler::move(Token& token, const std::string& incident_id) {
  const IncidentRow* row = incidents_.find(incident_id);
  if (row == nullptr) return;
  const std::string cause = row->cause;
  if (row->phase == "recovered") return close(token, incident_id, "recovered", cause);
  if (row->phase == "failing") return escalate(token, incident_id, std::string(row->reason));
  if (row->phase == "settled") return close(token, incident_id, "cleared", cause);
  if (row->phase != "open") return;
  // The trouble went away between two attempts.
  if (row->codes.empty()) return close(token, incident_id, "cleared", cause);
  propose(token, incident_id);
}

void Scheduler::close(Token& token, const std::string& incident_id, const std::string& reason,
                      const std::string& cause) {
  const IncidentRow row = *incidents_.find(incident_id);
  IncidentClosed closed{.incident_id = incident_id, .service = row.opened.service};
  closed.reason = reason;
  closed.open_seconds = static_cast<double>(token.cut.tick_ms - row.opened_ms) / 1000.0;
  emit(token, {row.opened.service, incident_id, cause, closed});
}

void Scheduler::escalate(Token& token, const std::string& incident_id, const std::string& reason) {
  const IncidentRow& row = *incidents_.find(incident_id);
  // A failed attempt raises the severity by one level.
  const std::vector<std::string> levels = {"low", "medium", "high", "critical"};
  auto level = std::find(levels.begin(), levels.end(), row.opened.severity);
  if (level == levels.end()) level = levels.begin() + 1;
  if (row.attempts > 0 && level + 1 != levels.end()) ++level;
  Escalated escalated{.incident_id = incident_id, .service = row.opened.service};
  escalated.severity = *level;
  escalated.reason = reason;
  escalated.evidence = row.opened.evidence;
  emit(token, {row.opened.service, incident_id, row.cause, escalated});
}

void Scheduler::propose(Token& token, const std::string& incident_id) {
  const IncidentRow& incident = *incidents_.find(incident_id);
  if (incident.attempts >= settings().limits.attempts_per_incident) {
    return escalate(
        token, incident_id,
        "not healed after " + std::to_string(incident.attempts) + " attempts: " + incident.reason);
  }
  std::vector<Arm> arms;
  IncidentRow subject = incident;
  for (const std::string& code : incident.codes) {
    arms = arms_for(incident, code, token.cut.tick_ms, Fit::trigger);
    subject.opened.code = code;
    if (!arms.empty()) break;
  }
  if (arms.empty() && contains(incident.codes, incident.opened.code)) {
    subject.opened.code = incident.opened.code;
    arms = arms_for(incident, incident.opened.code, token.cut.tick_ms, Fit::suggestion);
  }
  if (arms.empty()) {
    return escalate(token, incident_id, "no playbook fits " + incident.opened.code);
  }
  const SchedulerCounters* counters = counters_.find(counters_key);
  const std::int64_t number = counters == nullptr ? 0 : counters->decisions;
  const Choice choice = choose(arms, token.facts.shard_seed, static_cast<std::uint64_t>(number),
                               {settings().choice.exploration, settings().choice.gate});
  if (!choice.winner) {
    return escalate(token, incident_id,
                    "no playbook is left to try; " + choice.candidates[0].playbook + ": " +
                        choice.candidates[0].excluded);
  }
  Proposal proposal = make_proposal(token, subject, arms, choice);
  proposal.decision_number = number;
  emit(token, {subject.opened.service, incident_id, subject.cause, proposal});
}

}  // namespace selfheal
