#include "decision/verifier/verifier.hpp"

#include <algorithm>

#include "decision/runner/runner.hpp"

namespace selfheal {
namespace {
// Runs judged in one cut, so that a batch stays within a record; the others stay due.
constexpr std::size_t judged_per_cut_max = 100;
// A look that comes so late was kept from coming: more than a takeover and a busy shard take.
constexpr DurationMs outage_ms_min = 5 * one_second_ms;
// What senders have kept while they could not send needs so long to come.
constexpr DurationMs late_ms = 5 * one_second_ms;
}  // namespace

Verifier::Verifier() : rows_("verifier/run/"), observed_("verifier") {}

void Verifier::save(PageSink& sink) {
  rows_.save(sink);
  observed_.save(sink);
}

bool Verifier::load(std::string_view page_key, std::string_view value) {
  return rows_.load(page_key, value) || observed_.load(page_key, value);
}

TimeMs Verifier::next_due_ms() const {
  TimeMs due_ms = Token::no_due;
  for (const auto& [action_id, row] : rows_.rows()) {
    if (row.phase == "watching") due_ms = std::min(due_ms, row.next_probe_ms);
  }
  return due_ms;
}

// What conditions have shown so far is known to those alone who have decided it.
void Verifier::forget_soft() {
  observed_.clear();
  std::vector<std::string> watching;
  for (const auto& [action_id, row] : rows_.rows()) {
    if (row.phase == "watching") watching.push_back(action_id);
  }
  for (const std::string& action_id : watching) {
    VerificationRow* row = rows_.edit(action_id);
    begin_watching(*row, row->begun_ms);
  }
}

void Verifier::begin_watching(VerificationRow& row, TimeMs now_ms) const {
  row.phase = "watching";
  row.begun_ms = now_ms;
  row.next_probe_ms = now_ms;
  row.unheard_ms = 0;
  const Playbook* playbook = find_playbook(settings(), row.intent.playbook);
  row.progress.assign(playbook != nullptr ? playbook->verify.size() : 0, {});
}

void Verifier::on_resolved(const DoubtResolved& resolved, const EventPlace& place) {
  VerificationRow* row = rows_.edit(resolved.action_id);
  if (row == nullptr) return;
  row->answer = resolved.answer;
  row->cause = place.id();
  if (resolved.answer == "happened") return begin_watching(*row, place.tick_ms);
  if (resolved.answer == "undone") {
    row->phase = "undoing";
    return;
  }
  const std::string absent = resolved.by + " says that it has not happened" +
                             (resolved.reason.empty() ? "" : ": " + resolved.reason);
  row->phase = "absent";
  row->reason =
      resolved.answer == "not_undone" ? row->reason + "; the rollback failed: " + absent : absent;
}

void Verifier::evolve(const Event& event, const EventPlace& place) {
  if (const auto* intent = std::get_if<RunIntent>(&event.body)) {
    VerificationRow row;
    row.intent = *intent;
    row.cause = place.id();
    rows_.put(intent->action_id, std::move(row));
  } else if (const auto* finished = std::get_if<RunFinished>(&event.body)) {
    if (finished->result == "dry_run" || finished->result == "precondition_failed") {
      rows_.erase(finished->action_id);
    } else if (VerificationRow* row = rows_.edit(finished->action_id)) {
      row->reason = finished->reason;
      row->cause = place.id();
      if (finished->result != "succeeded") return;
      begin_watching(*row, place.tick_ms);
    }
  } else if (const auto* request = std::get_if<RollbackRequested>(&event.body)) {
    if (VerificationRow* row = rows_.edit(request->action_id)) {
      row->phase = "undoing";
      row->cause = place.id();
      row->reason = request->reason;
      row->conditions = request->conditions;
    }
  } else if (const auto* outcome = std::get_if<Outcome>(&event.body)) {
    VerificationRow* row = outcome->awaits_answer ? rows_.edit(outcome->action_id) : nullptr;
    if (row == nullptr) return rows_.erase(outcome->action_id);
    row->phase = "doubtful";
    row->cause = place.id();
  } else if (const auto* undone = std::get_if<RolledBack>(&event.body)) {
    if (VerificationRow* row = rows_.edit(undone->action_id)) row->cause = place.id();
  } else if (const auto* resolved = std::get_if<DoubtResolved>(&event.body)) {
    on_resolved(*resolved, place);
  } else if (const auto* closed = std::get_if<IncidentClosed>(&event.body)) {
    observed_.forget_service(closed->service);
  }
}

void Verifier::decide(Token& token) {
  observed_.take(token);
  take_run_ends(token);
  take_probes(token);
  std::vector<std::string> watching;
  for (const auto& [action_id, row] : rows_.rows()) {
    const bool due = row.next_probe_ms <= token.cut.tick_ms || !token.watched.empty() ||
                     !token.cut.inputs.empty();
    if (row.phase == "watching" && due) watching.push_back(action_id);
  }
  if (watching.size() > judged_per_cut_max) watching.resize(judged_per_cut_max);
  for (const std::string& action_id : watching) judge(token, action_id);
}

void Verifier::take_run_ends(Token& token) {
  const std::size_t before = token.events.size();
  for (std::size_t k = 0; k < before; ++k) {
    if (const auto* finished = std::get_if<RunFinished>(&token.events[k].body)) {
      const RunFinished run = *finished;
      if (run.result == "in_doubt") conclude(token, run.action_id, "in_doubt", run.reason);
      if (run.result == "failed") give_up(token, run.action_id, run.reason);
    } else if (const auto* resolved = std::get_if<DoubtResolved>(&token.events[k].body)) {
      const std::string action_id = resolved->action_id;
      const VerificationRow* row = rows_.find(action_id);
      if (row == nullptr || row->phase != "absent") continue;
      conclude(token, action_id, "not_recovered", std::string(row->reason));
    } else if (const auto* undone = std::get_if<RolledBack>(&token.events[k].body)) {
      const RolledBack rolled_back = *undone;
      const VerificationRow* row = rows_.find(rolled_back.action_id);
      if (row == nullptr) continue;
      take_rollback_end(token, rolled_back, std::string(row->reason));
    }
  }
}

void Verifier::take_rollback_end(Token& token, const RolledBack& ended, const std::string& reason) {
  if (ended.result == "succeeded") return conclude(token, ended.action_id, "rolled_back", reason);
  const bool doubtful = ended.result == "in_doubt";
  conclude(token, ended.action_id, doubtful ? "in_doubt" : "not_recovered",
           reason + (doubtful ? "; the rollback is in doubt: " : "; the rollback failed: ") +
               ended.reason);
}

void Verifier::take_probes(const Token& token) {
  for (const EmbeddedInput& input : token.cut.inputs) {
    const auto* probe = std::get_if<ProbeResult>(&input);
    if (probe == nullptr || probe->purpose != "verify") continue;
    VerificationRow* row = rows_.edit(probe->action_id);
    const auto index = static_cast<std::size_t>(probe->condition);
    if (row == nullptr || row->phase != "watching" || index >= row->progress.size()) continue;
    ConditionProgress& progress = row->progress[index];
    if (progress.probe_id == probe->probe_id) progress.probe_id.clear();
    progress.last_value = probe->detail;
    if (!probe->holds) progress.held_since_ms = 0;
    if (probe->holds && progress.held_since_ms == 0) progress.held_since_ms = token.cut.tick_ms;
  }
}

void Verifier::judge(Token& token, const std::string& action_id) {
  VerificationRow* row = rows_.edit(action_id);
  const TimeMs now_ms = token.cut.tick_ms;
  const Playbook* playbook = find_playbook(settings(), row->intent.playbook);
  if (playbook == nullptr || playbook->verify.size() != row->progress.size()) {
    return give_up(token, action_id, "the playbook changed before its run could be verified");
  }
  // A look is due every probe_interval. Where none was possible for long the log was away, and for
  // those too who would have said how the service is: what they have kept comes after that.
  const DurationMs overdue_ms = now_ms - row->next_probe_ms;
  if (overdue_ms > outage_ms_min) {
    row->unheard_ms += overdue_ms + late_ms;
    row->next_probe_ms = now_ms;
  }
  bool all_done = true;
  std::string late;
  for (std::size_t i = 0; i < playbook->verify.size(); ++i) {
    const Condition& condition = playbook->verify[i];
    ConditionProgress& progress = row->progress[i];
    if (!condition.metric.empty()) {
      const ConditionView view =
          look_at(condition, row->intent.service, observed_, now_ms, observed_age_ms_max);
      // Only what was observed after the run counts: older values describe the illness.
      const bool counts = view.holds && view.time_ms > row->begun_ms;
      progress.last_value = view.value;
      if (!counts) progress.held_since_ms = 0;
      if (counts && progress.held_since_ms == 0) progress.held_since_ms = now_ms;
    }
    if (progress.held_since_ms > 0 && now_ms - progress.held_since_ms >= condition.hold.ms) {
      progress.done = true;
    }
    if (progress.done) continue;
    all_done = false;
    // What has not been taken yet may still say that it holds.
    const bool by_signals = !condition.metric.empty();
    const TimeMs through_ms = by_signals ? token.cut.caught_up_through_ms : now_ms;
    if (through_ms - row->begun_ms - row->unheard_ms >= condition.within.ms) {
      late = describe(condition) + " did not hold within " + format_duration(condition.within.ms);
    }
  }
  if (all_done) {
    return conclude(token, action_id, "recovered",
                    playbook->verify.empty() ? "the steps succeeded; the playbook verifies nothing"
                                             : "every condition held for its time");
  }
  if (!late.empty()) return give_up(token, action_id, late);
  if (row->next_probe_ms <= now_ms) ask_probes(token, action_id, *playbook);
}

void Verifier::ask_probes(Token& token, const std::string& action_id, const Playbook& playbook) {
  VerificationRow* row = rows_.edit(action_id);
  row->next_probe_ms = token.cut.tick_ms + settings().run.probe_interval.ms;
  const RunIntent intent = row->intent;
  for (std::size_t i = 0; i < playbook.verify.size(); ++i) {
    ConditionProgress& progress = row->progress[i];
    if (!playbook.verify[i].metric.empty() || progress.done) continue;
    // A probe that hangs holds a thread: a second one would hold another and say no more.
    const bool awaited = !progress.probe_id.empty() && progress.probe_epoch == token.facts.epoch &&
                         progress.probe_until_ms > token.cut.tick_ms;
    if (awaited) continue;
    ProbeRequested probe{.probe_id = token.name_of("probe", token.events.size()),
                         .action_id = action_id,
                         .purpose = "verify",
                         .condition = static_cast<std::int64_t>(i),
                         .valid_until_ms = token.cut.tick_ms + 2 * settings().run.start_valid.ms};
    progress.probe_id = probe.probe_id;
    progress.probe_until_ms = probe.valid_until_ms;
    progress.probe_epoch = token.facts.epoch;
    emit(token, {intent.service, intent.incident_id, row->cause, probe});
  }
}

void Verifier::give_up(Token& token, const std::string& action_id, const std::string& reason) {
  const VerificationRow* row = rows_.find(action_id);
  if (row == nullptr) return;
  const Playbook* playbook = find_playbook(settings(), row->intent.playbook);
  const bool unchanged = playbook != nullptr && hash_of(*playbook) == row->intent.playbook_hash;
  if (!unchanged || !has_rollback(*playbook)) {
    return conclude(token, action_id, "not_recovered", reason);
  }
  emit(token, {row->intent.service, row->intent.incident_id, std::string(row->cause),
               RollbackRequested{action_id, reason, report(*row)}});
}

std::vector<CheckResult> Verifier::report(const VerificationRow& row) const {
  std::vector<CheckResult> checks;
  const Playbook* playbook = find_playbook(settings(), row.intent.playbook);
  for (std::size_t i = 0; i < row.progress.size(); ++i) {
    if (playbook == nullptr || i >= playbook->verify.size()) break;
    const Condition& condition = playbook->verify[i];
    checks.push_back({describe(condition), row.progress[i].done, row.progress[i].last_value,
                      "for " + format_duration(condition.hold.ms) + " within " +
                          format_duration(condition.within.ms)});
  }
  return checks;
}

void Verifier::conclude(Token& token, const std::string& action_id, const std::string& result,
                        const std::string& reason) {
  const VerificationRow* found = rows_.find(action_id);
  if (found == nullptr) return;
  const VerificationRow row = *found;
  Outcome outcome{.action_id = action_id,
                  .proposal_id = row.intent.proposal_id,
                  .incident_id = row.intent.incident_id,
                  .playbook = row.intent.playbook,
                  .service = row.intent.service,
                  .code = row.intent.code,
                  .result = result,
                  .reason = reason,
                  .proactive = row.intent.proactive,
                  .approved_by = row.intent.approved_by,
                  .conditions = row.phase == "undoing" ? row.conditions : report(row),
                  .awaits_answer = result == "in_doubt",
                  .answer = row.answer};
  if (result == "recovered") {
    // The signal's time is its sender's, whose clock may run ahead of ours.
    const DurationMs took_ms =
        std::max<DurationMs>(0, token.cut.tick_ms - row.intent.signal_time_ms);
    outcome.seconds_to_recover = static_cast<double>(took_ms) / 1000.0;
  }
  emit(token, {row.intent.service, row.intent.incident_id, row.cause, outcome});
}

}  // namespace selfheal
