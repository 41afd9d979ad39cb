#include "decision/approver/approver.hpp"

#include <algorithm>
#include <array>

#include "decision/runner/runner.hpp"

namespace selfheal {
namespace {

const std::string all_starts = "all";
const std::string all_input = "all";
// Nonces are kept for longer than a message may be old.
constexpr DurationMs nonce_kept_ms = one_hour_ms;
constexpr DurationMs start_window_ms = one_minute_ms;
// Held proposals moved in one cut, so that a batch stays within a record; the others stay due.
constexpr std::size_t moves_per_cut_max = 50;

std::string number(double value) {
  return dump(Json(value));
}
std::string number(std::int64_t value) {
  return std::to_string(value);
}
std::string truth(bool value) {
  return value ? "true" : "false";
}

void add(Verdict& verdict, std::string name, bool passed, std::string value, std::string limit) {
  verdict.checks.push_back({std::move(name), passed, std::move(value), std::move(limit)});
}

std::int64_t count_since(const RateRow* row, TimeMs since_ms) {
  if (row == nullptr) return 0;
  return std::count_if(row->proposed_ms.begin(), row->proposed_ms.end(),
                       [&](TimeMs time_ms) { return time_ms > since_ms; });
}

void note_time(RateRow& row, TimeMs now_ms, DurationMs kept_ms) {
  std::erase_if(row.proposed_ms, [&](TimeMs time_ms) { return time_ms <= now_ms - kept_ms; });
  row.proposed_ms.push_back(now_ms);
}

// Checks whose failure ends a proposal; every other failure only needs a person.
bool is_hard(const std::string& check) {
  return check == "rate_limit" || check == "breaker" || check == "freshness" ||
         check == "fleet_concurrent" || check == "fleet_starts" || check == "precondition" ||
         check == "policy_deny";
}

std::string failed_names(const Verdict& verdict, bool hard_only) {
  std::string names;
  for (const CheckResult& check : verdict.checks) {
    if (check.passed || (hard_only && !is_hard(check.name))) continue;
    if (!names.empty()) names += ", ";
    names += check.name + " " + check.value + " (limit " + check.limit + ")";
  }
  return names;
}

// Whether all checks but this one passed.
bool failed_only(const Verdict& verdict, std::string_view name) {
  const auto failed = [](const CheckResult& check) { return !check.passed; };
  return std::ranges::count_if(verdict.checks, failed) == 1 &&
         std::ranges::find_if(verdict.checks, failed)->name == name;
}

}  // namespace

Approver::Approver()
    : held_("approver/held/"),
      rates_("approver/rate/"),
      active_("approver/active/"),
      doubts_("approver/doubt/"),
      nonces_("approver/nonce/"),
      starts_("approver/starts/"),
      suspected_("approver/suspected/"),
      observed_("approver") {}

void Approver::save(PageSink& sink) {
  held_.save(sink);
  rates_.save(sink);
  breakers_.save(sink);
  active_.save(sink);
  doubts_.save(sink);
  nonces_.save(sink);
  starts_.save(sink);
  suspected_.save(sink);
  observed_.save(sink);
}

// What a trial ended by nothing done left behind, in pages of builds that never took it back.
void Approver::forget_soft() {
  observed_.clear();
  breakers_.forget_trials([this](const std::string& id) { return active_.find(id) == nullptr; });
}

bool Approver::load(std::string_view page_key, std::string_view value) {
  return held_.load(page_key, value) || rates_.load(page_key, value) ||
         breakers_.load(page_key, value) || active_.load(page_key, value) ||
         doubts_.load(page_key, value) || nonces_.load(page_key, value) ||
         starts_.load(page_key, value) || suspected_.load(page_key, value) ||
         observed_.load(page_key, value);
}

TimeMs Approver::next_due_ms() const {
  TimeMs due_ms = Token::no_due;
  for (const auto& [id, held] : held_.rows()) {
    due_ms = std::min(due_ms, held.expires_ms);
    if (held.state == "held_for_window" && held.window_ms > 0) {
      due_ms = std::min(due_ms, held.window_ms);
    }
    if (held.for_input && suspected_.rows().empty()) due_ms = 0;
  }
  return std::min(due_ms, breakers_.next_due_ms());
}

// --- evolve -------------------------------------------------------------------------------------

void Approver::on_outcome(const Outcome& outcome, const EventPlace& place) {
  const ActiveRun* run = active_.find(outcome.action_id);
  if (run == nullptr) return;
  if (outcome.awaits_answer) {
    doubts_.put(outcome.action_id, {outcome.service, outcome.proposal_id, outcome.incident_id,
                                    run->breaker, run->undoing});
  }
  // It counted the run when the undo was left in doubt.
  const bool counted = outcome.answer == "undone" || outcome.answer == "not_undone";
  if (!counted) breakers_.on_outcome(run->breaker, outcome, place, settings().breaker);
  active_.erase(outcome.action_id);
}

void Approver::on_resolved(const DoubtResolved& resolved, const EventPlace& place) {
  nonces_.at(resolved.nonce).until_ms = place.tick_ms + nonce_kept_ms;
  const DoubtRow* doubt = doubts_.find(resolved.action_id);
  if (doubt == nullptr) return;
  // It is verified like any other run, or undone further. What has not happened tells the breaker
  // nothing.
  if (resolved.answer == "happened" || resolved.answer == "undone") {
    active_.put(resolved.action_id,
                {doubt->service, doubt->breaker, place.tick_ms, doubt->undoing});
  }
  doubts_.erase(resolved.action_id);
}

// A place and a trial are taken by the approval itself, not by the run that it leads to: others are
// judged in the same cut, before the runner has said anything. Its intent follows in that cut.
void Approver::on_approved(const Proposal& proposal, const EventPlace& place) {
  const std::string breaker = Breakers::key_of(proposal.playbook, proposal.resource_kind);
  active_.put(proposal.proposal_id, {proposal.service, breaker, place.tick_ms});
  note_time(starts_.at(all_starts), place.tick_ms, start_window_ms);
  breakers_.on_approved(breaker, proposal.proposal_id);
}

void Approver::on_intent(const RunIntent& intent, const EventPlace& place) {
  const std::string breaker = Breakers::key_of(intent.playbook, intent.resource_kind);
  active_.erase(intent.proposal_id);
  active_.put(intent.action_id, {intent.service, breaker, place.tick_ms});
  breakers_.on_intent(breaker, intent.proposal_id, intent.action_id);
}

void Approver::on_run_finished(const RunFinished& finished) {
  // All others end with an outcome.
  if (finished.result != "dry_run" && finished.result != "precondition_failed") return;
  if (const ActiveRun* run = active_.find(finished.action_id)) {
    breakers_.on_nothing_done(run->breaker, finished.action_id);
  }
  active_.erase(finished.action_id);
}

void Approver::evolve(const Event& event, const EventPlace& place) {
  if (const auto* proposal = std::get_if<Proposal>(&event.body)) {
    // Further attempts of one incident have their own limit and do not count.
    if (proposal->attempt == 1) {
      note_time(rates_.at(proposal->service), place.tick_ms, one_hour_ms);
    }
    HeldProposal held;
    held.proposal = *proposal;
    held.expires_ms = Token::no_due;
    held.cause = place.id();
    held_.put(proposal->proposal_id, std::move(held));
  } else if (const auto* verdict = std::get_if<Verdict>(&event.body)) {
    HeldProposal* held = held_.edit(verdict->proposal_id);
    if (held == nullptr) return;
    if (verdict->verdict == "approved" || verdict->verdict == "denied") {
      const bool runs = verdict->verdict == "approved" && verdict->mode != "observe";
      if (runs) on_approved(held->proposal, place);
      held_.erase(verdict->proposal_id);
      return;
    }
    held->cause = place.id();
    held->state = verdict->verdict;
    held->content_hash = verdict->content_hash;
    held->policy_hash = verdict->policy_hash;
    held->action = verdict->action;
    held->expires_ms = verdict->expires_ms;
    held->window_ms = verdict->verdict == "held_for_window"
                          ? next_change_window_ms(settings(), place.tick_ms)
                          : 0;
    held->for_input = failed_only(*verdict, "input_path");
  } else if (const auto* answered = std::get_if<ApprovalAnswered>(&event.body)) {
    nonces_.at(answered->nonce).until_ms = place.tick_ms + nonce_kept_ms;
  } else if (const auto* intent = std::get_if<RunIntent>(&event.body)) {
    on_intent(*intent, place);
  } else if (const auto* finished = std::get_if<RunFinished>(&event.body)) {
    on_run_finished(*finished);
  } else if (const auto* request = std::get_if<RollbackRequested>(&event.body)) {
    if (ActiveRun* run = active_.edit(request->action_id)) run->undoing = true;
  } else if (const auto* outcome = std::get_if<Outcome>(&event.body)) {
    on_outcome(*outcome, place);
  } else if (const auto* resolved = std::get_if<DoubtResolved>(&event.body)) {
    on_resolved(*resolved, place);
  } else if (const auto* closed = std::get_if<IncidentClosed>(&event.body)) {
    std::vector<std::string> gone;
    for (const auto& [id, held] : held_.rows()) {
      if (held.proposal.incident_id == closed->incident_id) gone.push_back(id);
    }
    for (const std::string& id : gone) held_.erase(id);
    observed_.forget_service(closed->service);
  } else if (const auto* changed = std::get_if<BreakerChanged>(&event.body)) {
    breakers_.on_told(*changed);
  } else if (const auto* path = std::get_if<InputPathChanged>(&event.body)) {
    suspected_.clear();
    if (path->suspected) suspected_.put(all_input, {path->reason});
  }
}

// --- decide -------------------------------------------------------------------------------------

void Approver::decide(Token& token) {
  observed_.take(token);
  tell_breakers(token);
  take_controls(token);
  const std::size_t before = token.events.size();
  for (std::size_t k = 0; k < before; ++k) {
    if (const auto* proposal = std::get_if<Proposal>(&token.events[k].body)) {
      judge(token, Proposal(*proposal), token.id_of(k));
    }
  }
  move_held(token);
}

void Approver::tell_breakers(Token& token) {
  for (const BreakerNews& each : breakers_.news(settings().breaker, token.cut.tick_ms)) {
    emit(token, {"", "", each.cause, each.changed});
  }
}

void Approver::check_limits(const Token& token, const Proposal& proposal, Verdict& verdict) const {
  const LimitSettings& limits = settings().limits;
  const TimeMs now_ms = token.cut.tick_ms;
  if (proposal.attempt == 1) {
    const std::int64_t count = count_since(rates_.find(proposal.service), now_ms - one_hour_ms);
    add(verdict, "rate_limit", count <= limits.proposals_per_hour_per_service, number(count),
        number(limits.proposals_per_hour_per_service));
  }
  const bool closed =
      breakers_.lets_through(Breakers::key_of(proposal.playbook, proposal.resource_kind), now_ms);
  add(verdict, "breaker", closed, closed ? "closed" : "open", "closed");
  add(verdict, "fleet_concurrent",
      static_cast<std::int64_t>(active_.size()) < limits.fleet_concurrent,
      number(static_cast<std::int64_t>(active_.size())), number(limits.fleet_concurrent - 1));
  const std::int64_t starts = count_since(starts_.find(all_starts), now_ms - start_window_ms);
  add(verdict, "fleet_starts", starts < limits.fleet_starts_per_minute, number(starts),
      number(limits.fleet_starts_per_minute - 1));
  add(verdict, "freshness", !proposal.stale, truth(!proposal.stale), "true");
}

void Approver::check_autonomy(const Token& token, const Proposal& proposal,
                              Verdict& verdict) const {
  const ApprovalSettings& approval = settings().approval;
  const Playbook* playbook = find_playbook(settings(), proposal.playbook);
  const ServiceEntry* service = find_service(settings(), proposal.service);
  const std::string tier = service == nullptr ? "unknown" : service->risk_tier;
  const bool willing = playbook != nullptr && playbook->auto_approve;
  add(verdict, "playbook_auto_approve", willing, truth(willing), "true");
  add(verdict, "risk", proposal.risk == "low", proposal.risk, "low");
  add(verdict, "auto_approve_low_risk", approval.auto_approve_low_risk,
      truth(approval.auto_approve_low_risk), "true");
  const bool impact_fits = std::find(approval.impacts.begin(), approval.impacts.end(),
                                     proposal.impact) != approval.impacts.end();
  add(verdict, "impact", impact_fits, proposal.impact, dump(Json(approval.impacts)));
  add(verdict, "blast_radius",
      proposal.blast_radius.known && proposal.blast_radius.count <= approval.blast_radius_max,
      proposal.blast_radius.known ? number(proposal.blast_radius.count) : "unknown",
      number(approval.blast_radius_max));
  const double least = proposal.proactive ? approval.likelihood_min : approval.confidence_min;
  add(verdict, proposal.proactive ? "likelihood" : "confidence", proposal.confidence >= least,
      number(proposal.confidence), number(least));
  add(verdict, "change_window", in_change_window(settings(), token.cut.tick_ms),
      truth(in_change_window(settings(), token.cut.tick_ms)), "true");
  const SuspectedInput* suspected = suspected_.find(all_input);
  add(verdict, "input_path", suspected == nullptr,
      suspected == nullptr ? "trusted" : suspected->reason, "trusted");
  add(verdict, "tier", service != nullptr && tier != "critical", tier, "not critical");
  // Names that this version does not know allow nothing.
  constexpr std::array<std::string_view, 3> acting = {"low_risk", "moderate_risk", "full"};
  const std::string profile = service == nullptr ? "unknown" : service->profile;
  add(verdict, "profile", std::ranges::find(acting, profile) != acting.end(), profile,
      "low_risk, moderate_risk or full");
  const bool elevated = playbook != nullptr && playbook->requires_elevation;
  add(verdict, "elevation", !elevated, truth(elevated), "false");
  // A service without history is trusted neither more nor less than any other.
  add(verdict, "trust", true, "neutral", "not low");
  add(verdict, "success_belief", proposal.unattended, number(proposal.mean),
      number(settings().choice.gate));
}

PolicyFacts Approver::facts_of(const Proposal& proposal, bool in_window) const {
  const ServiceEntry* service = find_service(settings(), proposal.service);
  return {{"impact", proposal.impact},
          {"blast_radius", number(proposal.blast_radius.count)},
          {"confidence", number(proposal.confidence)},
          {"change_window", truth(in_window)},
          {"proactive", truth(proposal.proactive)},
          {"service", proposal.service},
          {"code", proposal.code},
          {"playbook", proposal.playbook},
          {"risk", proposal.risk},
          {"tier", service == nullptr ? "unknown" : service->risk_tier},
          {"resource_kind", proposal.resource_kind}};
}

void Approver::check_policy(const Token& token, const Proposal& proposal, Verdict& verdict) const {
  const bool in_window = in_change_window(settings(), token.cut.tick_ms);
  const PolicyRuling ruling =
      rule(settings().policies, verdict.action, facts_of(proposal, in_window));
  verdict.policy_hash = ruling.hash;
  const std::string name = ruling.decision == "deny" ? "policy_deny" : "policy";
  add(verdict, name, ruling.decision == "allow", ruling.decision, "allow");
}

void Approver::check_preconditions(const Token& token, const Proposal& proposal,
                                   Verdict& verdict) const {
  const Playbook* playbook = find_playbook(settings(), proposal.playbook);
  if (playbook == nullptr) return;
  for (const Condition& condition : playbook->preconditions) {
    if (condition.metric.empty()) continue;  // probes are asked by the runner, before the start
    const ConditionView view =
        look_at(condition, proposal.service, observed_, token.cut.tick_ms, observed_age_ms_max);
    add(verdict, "precondition", view.holds, describe(condition) + ": " + view.value, "holds");
  }
}

Verdict Approver::examine(const Token& token, const Proposal& proposal) const {
  Verdict verdict{.proposal_id = proposal.proposal_id};
  verdict.approved_by = "policy";
  verdict.action = proposal.proactive ? "self_heal_execute_proactive" : "self_heal_execute";
  verdict.mode = settings().mode;
  verdict.content_hash =
      approval_hash(proposal.playbook_hash, proposal.service, proposal.resource_kind,
                    proposal.resource_id, proposal.labels);
  check_limits(token, proposal, verdict);
  check_preconditions(token, proposal, verdict);
  check_autonomy(token, proposal, verdict);
  check_policy(token, proposal, verdict);
  const std::string hard = failed_names(verdict, true);
  const std::string all = failed_names(verdict, false);
  const bool only_window = proposal.proactive && failed_only(verdict, "change_window");
  if (!hard.empty()) {
    verdict.verdict = "denied";
    verdict.reason = "refused: " + hard;
  } else if (all.empty()) {
    verdict.verdict = "approved";
    verdict.reason = "trust_core:auto-approved: every check passed";
  } else if (only_window) {
    verdict.verdict = "held_for_window";
    verdict.reason = "outside the change window";
    verdict.expires_ms = proposal.lead_deadline_ms > 0
                             ? proposal.lead_deadline_ms
                             : token.cut.tick_ms + settings().approval.request_expires.ms;
  } else {
    verdict.verdict = "held_for_person";
    verdict.reason = "needs a person: " + all;
    verdict.expires_ms = token.cut.tick_ms + settings().approval.request_expires.ms;
  }
  return verdict;
}

void Approver::judge(Token& token, const Proposal& proposal, const std::string& cause) {
  const Verdict verdict = examine(token, proposal);
  const std::string id = emit(token, {proposal.service, proposal.incident_id, cause, verdict});
  if (verdict.verdict != "held_for_person") return;
  ApprovalRequested request{proposal.proposal_id, proposal.incident_id, proposal.playbook,
                            verdict.content_hash, verdict.reason,       verdict.expires_ms};
  emit(token, {proposal.service, proposal.incident_id, id, request});
}

void Approver::move_held(Token& token) {
  const TimeMs now_ms = token.cut.tick_ms;
  std::vector<HeldProposal> due;
  for (const auto& [id, held] : held_.rows()) {
    const bool window =
        held.state == "held_for_window" && held.window_ms > 0 && held.window_ms <= now_ms;
    const bool input = held.for_input && suspected_.rows().empty();
    if (held.expires_ms > now_ms && !window && !input) continue;
    due.push_back(held);
    if (due.size() >= moves_per_cut_max) break;
  }
  for (const HeldProposal& held : due) {
    if (held.expires_ms <= now_ms) {
      end_held(token, held,
               held.state == "held_for_window" ? "its lead time ended before a change window opened"
                                               : "nobody answered in time");
    } else {
      judge(token, held.proposal, held.cause);
    }
  }
}

void Approver::end_held(Token& token, const HeldProposal& held, const std::string& reason) {
  Verdict verdict{.proposal_id = held.proposal.proposal_id};
  verdict.verdict = "denied";
  verdict.approved_by = "policy";
  verdict.reason = "refused: " + reason;
  verdict.action = held.action;
  verdict.policy_hash = held.policy_hash;
  verdict.content_hash = held.content_hash;
  verdict.mode = settings().mode;
  emit(token, {held.proposal.service, held.proposal.incident_id, held.cause, verdict});
}

}  // namespace selfheal
