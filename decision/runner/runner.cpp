#include "decision/runner/runner.hpp"

#include <algorithm>

namespace selfheal {
namespace {

constexpr DurationMs step_backoff_ms_max = one_minute_ms;
// A start that came too late has touched nothing, so it costs no retry; but not for ever.
constexpr std::int64_t starts_of_a_step_max = 20;
// Runs moved by their timers in one cut, so that a batch stays within a record.
constexpr std::size_t moves_per_cut_max = 100;

std::string name_of(const Step& step) {
  return step.name.empty() ? kind_of(step) : step.name;
}

DurationMs backoff_of(const Step& step, std::int64_t tries_failed) {
  DurationMs wait_ms = step.backoff.ms;
  for (std::int64_t i = 1; i < tries_failed && wait_ms < step_backoff_ms_max; ++i) wait_ms *= 2;
  return std::min(wait_ms, step_backoff_ms_max);
}

bool is_metric(const Condition& condition) {
  return !condition.metric.empty();
}

// A step of which nobody knows how it ended is no failure of its own: where it may be sent again,
// with the same key, it is, once at least.
std::int64_t retries_of(const Step& step, const RunRow& run) {
  const bool may_repeat = run.tries_lost > 0 && run.intent.effect != "neither";
  return std::max<std::int64_t>(step.retries, may_repeat ? 1 : 0);
}

// Another step comes.
void forget_tries(RunRow& run) {
  run.attempt = 0;
  run.tries_failed = 0;
  run.tries_lost = 0;
}

}  // namespace

Runner::Runner() : runs_("runner/run/"), proposals_("runner/proposal/"), observed_("runner") {}

void Runner::save(PageSink& sink) {
  runs_.save(sink);
  locks_.save(sink);
  proposals_.save(sink);
  observed_.save(sink);
}

bool Runner::load(std::string_view page_key, std::string_view value) {
  return runs_.load(page_key, value) || locks_.load(page_key, value) ||
         proposals_.load(page_key, value) || observed_.load(page_key, value);
}

TimeMs Runner::next_due_ms() const {
  if (locks_.any_to_release()) return 0;
  TimeMs due_ms = Token::no_due;
  for (const auto& [action_id, run] : runs_.rows()) {
    if (run.phase != "done" && run.due_ms > 0) due_ms = std::min(due_ms, run.due_ms);
  }
  return due_ms;
}

const Playbook* Runner::approved_playbook(const RunRow& run) const {
  const Playbook* playbook = find_playbook(settings(), run.intent.playbook);
  if (playbook == nullptr || hash_of(*playbook) != run.intent.playbook_hash) return nullptr;
  return playbook;
}

const Step* Runner::current_step(const RunRow& run) const {
  const Playbook* playbook = approved_playbook(run);
  if (playbook == nullptr) return nullptr;
  if (run.rollback) return rollback_of(*playbook, run.step);
  if (run.step < 0 || run.step >= static_cast<std::int64_t>(playbook->steps.size())) {
    return nullptr;
  }
  return &playbook->steps[static_cast<std::size_t>(run.step)];
}

// --- evolve -------------------------------------------------------------------------------------

// Which conditions have held so far is known to those alone who have decided it.
void Runner::forget_soft() {
  observed_.clear();
  std::vector<std::string> known;
  for (const auto& [action_id, run] : runs_.rows()) known.push_back(action_id);
  for (const std::string& action_id : known) {
    RunRow* run = runs_.edit(action_id);
    run->condition = 0;
    run->held_since_ms = 0;
    const Step* step = run->phase == "started" ? current_step(*run) : nullptr;
    const bool waits = step != nullptr && !step->wait_for.empty();
    if (!waits && run->phase != "intent") continue;
    // What was asked is asked again.
    run->probe_id.clear();
    run->probe_purpose.clear();
    if (waits) run->due_ms = run->started_ms;
  }
}

void Runner::on_started(const RunStarted& started, const EventPlace& place) {
  RunRow* run = runs_.edit(started.action_id);
  if (run == nullptr) return;
  run->cause = place.id();
  run->phase = "started";
  run->step = started.step;
  run->attempt = started.attempt;
  run->epoch = started.epoch;
  run->started_ms = place.tick_ms;
  run->valid_until_ms = started.valid_until_ms;
  run->held_since_ms = 0;
  run->probe_id.clear();
  run->due_ms = 0;
  const Step* step = current_step(*run);
  if (step == nullptr) return;
  if (!touches_outside(*step)) {
    run->due_ms = place.tick_ms + (step->wait_for.empty() ? step->wait.ms : 0);
  }
}

void Runner::on_step_finished(const StepFinished& finished, const EventPlace& place) {
  RunRow* run = runs_.edit(finished.action_id);
  if (run == nullptr) return;
  const Step* step = current_step(*run);
  run->cause = place.id();
  run->phase = "ready";
  run->due_ms = place.tick_ms;
  run->probe_id.clear();
  if (finished.status == "ok" || finished.status == "dry_run") {
    if (!run->rollback) run->last_done_step = run->step;
    run->step += run->rollback ? -1 : 1;
    forget_tries(*run);
  } else if (finished.status != "expired") {
    // A step that failed half way is undone with the others.
    if (!run->rollback) run->last_done_step = std::max(run->last_done_step, run->step);
    ++run->tries_failed;
    if (finished.status == "lost" || finished.status == "in_doubt") ++run->tries_lost;
    // Where it is not tried again there is nothing to wait for.
    const bool again = step != nullptr && run->tries_failed <= retries_of(*step, *run);
    if (again) run->due_ms += backoff_of(*step, run->tries_failed);
  }
}

// The undo of a step has had its effect after all: the steps before it are undone as well.
void Runner::on_resolved(const DoubtResolved& resolved, const EventPlace& place) {
  RunRow* run = resolved.answer == "undone" ? runs_.edit(resolved.action_id) : nullptr;
  if (run == nullptr) return;
  run->cause = place.id();
  run->phase = "ready";
  --run->step;
  forget_tries(*run);
  run->due_ms = place.tick_ms;
}

void Runner::evolve(const Event& event, const EventPlace& place) {
  locks_.evolve(event);
  if (const auto* proposal = std::get_if<Proposal>(&event.body)) {
    proposals_.put(proposal->proposal_id, *proposal);
  } else if (const auto* verdict = std::get_if<Verdict>(&event.body)) {
    const bool over = verdict->verdict == "denied" ||
                      (verdict->verdict == "approved" && verdict->mode == "observe");
    if (over) proposals_.erase(verdict->proposal_id);
  } else if (const auto* intent = std::get_if<RunIntent>(&event.body)) {
    RunRow run;
    run.intent = *intent;
    run.due_ms = place.tick_ms;
    run.intent_ms = place.tick_ms;
    run.cause = place.id();
    runs_.put(intent->action_id, std::move(run));
    proposals_.erase(intent->proposal_id);
  } else if (const auto* started = std::get_if<RunStarted>(&event.body)) {
    on_started(*started, place);
  } else if (const auto* step = std::get_if<StepFinished>(&event.body)) {
    on_step_finished(*step, place);
  } else if (const auto* probe = std::get_if<ProbeRequested>(&event.body)) {
    if (RunRow* run = runs_.edit(probe->action_id); run != nullptr && probe->purpose != "verify") {
      run->cause = place.id();
      run->probe_id = probe->probe_id;
      run->probe_purpose = probe->purpose;
      run->condition = probe->condition;
      run->due_ms = probe->valid_until_ms;
    }
  } else if (const auto* finished = std::get_if<RunFinished>(&event.body)) {
    if (finished->result == "dry_run" || finished->result == "precondition_failed") {
      runs_.erase(finished->action_id);
    } else if (RunRow* run = runs_.edit(finished->action_id)) {
      run->cause = place.id();
      run->phase = "done";
    }
  } else if (const auto* request = std::get_if<RollbackRequested>(&event.body)) {
    if (RunRow* run = runs_.edit(request->action_id)) {
      run->cause = place.id();
      run->phase = "ready";
      run->rollback = true;
      run->step = run->last_done_step;
      forget_tries(*run);
      run->due_ms = place.tick_ms;
    }
  } else if (const auto* rolled_back = std::get_if<RolledBack>(&event.body)) {
    if (RunRow* run = runs_.edit(rolled_back->action_id)) {
      run->cause = place.id();
      run->phase = "done";
    }
  } else if (const auto* resolved = std::get_if<DoubtResolved>(&event.body)) {
    on_resolved(*resolved, place);
  } else if (const auto* requested = std::get_if<LockRequested>(&event.body)) {
    if (RunRow* run = runs_.edit(requested->action_id)) {
      run->cause = place.id();
      run->due_ms = requested->give_up_ms;
    }
  } else if (const auto* acquired = std::get_if<LockAcquired>(&event.body)) {
    if (RunRow* run = runs_.edit(acquired->action_id)) {
      run->cause = place.id();
      run->due_ms = place.tick_ms;
    }
  } else if (const auto* outcome = std::get_if<Outcome>(&event.body)) {
    // Kept in doubt: what a person says may still lead to a verification and its rollback.
    if (!outcome->awaits_answer) {
      runs_.erase(outcome->action_id);
    } else if (RunRow* run = runs_.edit(outcome->action_id)) {
      run->cause = place.id();
    }
  } else if (const auto* closed = std::get_if<IncidentClosed>(&event.body)) {
    observed_.forget_service(closed->service);
  }
}

// --- decide -------------------------------------------------------------------------------------

void Runner::decide(Token& token) {
  observed_.take(token);
  take_verdicts(token);
  take_results(token);
  take_lock_words(token);
  release_locks(token);
  std::vector<std::string> due;
  for (const auto& [action_id, run] : runs_.rows()) {
    const bool is_due = run.due_ms > 0 && run.due_ms <= token.cut.tick_ms;
    if (run.phase != "done" && is_due) due.push_back(action_id);
  }
  if (due.size() > moves_per_cut_max) due.resize(moves_per_cut_max);
  for (const std::string& action_id : due) move_due(token, action_id);
}

void Runner::take_verdicts(Token& token) {
  const std::size_t before = token.events.size();
  for (std::size_t k = 0; k < before; ++k) {
    const auto* found = std::get_if<Verdict>(&token.events[k].body);
    if (found == nullptr || found->verdict != "approved" || found->mode == "observe") continue;
    const Verdict verdict = *found;
    const Proposal* waiting = proposals_.find(verdict.proposal_id);
    CHECK(waiting != nullptr, "a verdict approves a proposal that was never made");
    const Proposal proposal = *waiting;
    const Playbook* playbook = find_playbook(settings(), proposal.playbook);
    RunIntent intent;
    intent.action_id = token.name_of("act", token.events.size());
    intent.proposal_id = proposal.proposal_id;
    intent.incident_id = proposal.incident_id;
    intent.playbook = proposal.playbook;
    intent.playbook_hash = proposal.playbook_hash;
    intent.content_hash = verdict.content_hash;
    intent.service = proposal.service;
    intent.resource_kind = proposal.resource_kind;
    intent.resource_id = proposal.resource_id;
    intent.labels = proposal.labels;
    intent.code = proposal.code;
    intent.effect = playbook != nullptr ? playbook->effect : "neither";
    intent.mode = verdict.mode;
    intent.approved_by = verdict.approved_by;
    intent.proactive = proposal.proactive;
    intent.signal_time_ms = proposal.signal_time_ms;
    emit(token, {proposal.service, proposal.incident_id, token.id_of(k), std::move(intent)});
  }
}

void Runner::take_results(Token& token) {
  for (const EmbeddedInput& input : token.cut.inputs) {
    if (const auto* result = std::get_if<StepResult>(&input)) take_step_result(token, *result);
    if (const auto* probe = std::get_if<ProbeResult>(&input)) take_probe_result(token, *probe);
  }
}

void Runner::take_step_result(Token& token, const StepResult& result) {
  const RunRow* run = runs_.find(result.action_id);
  // A result that was already taken comes again after a restart; it must not move anything.
  if (run == nullptr || run->phase != "started" || run->step != result.step ||
      run->attempt != result.attempt || run->rollback != result.rollback) {
    return;
  }
  finish_step(token, result.action_id, result);
}

void Runner::finish_step(Token& token, const std::string& action_id, const StepResult& result) {
  const RunRow run = *runs_.find(action_id);
  const Step* step = current_step(run);
  StepFinished finished{.action_id = action_id,
                        .attempt = run.attempt,
                        .step = run.step,
                        .step_name = step != nullptr ? name_of(*step) : "",
                        .rollback = run.rollback,
                        .status = result.status,
                        .exit_code = result.exit_code,
                        .output = result.output,
                        .output_hash = result.output_hash,
                        .took_ms = result.took_ms};
  emit(token, {run.intent.service, run.intent.incident_id, run.cause, finished});
  const bool unknown = result.status == "lost" || result.status == "in_doubt";
  const bool may_repeat = run.intent.effect == "idempotent";
  if ((unknown && !may_repeat) || result.status == "fenced") {
    const Playbook* playbook = approved_playbook(run);
    // The probe tells of the playbook's effect, not of how far its undo has come.
    if (unknown && !run.rollback && run.intent.effect == "verifiable" && playbook != nullptr &&
        !playbook->probe.empty()) {
      return ask_probe(token, action_id, "effect");
    }
    return finish_run(token, action_id, "in_doubt",
                      std::string("it is not known whether ") +
                          (run.rollback ? "the undo by step '" : "step '") + finished.step_name +
                          "' had its effect");
  }
  const RunRow* now = runs_.find(action_id);
  if (now != nullptr && now->due_ms <= token.cut.tick_ms) move_due(token, action_id);
}

void Runner::take_probe_result(Token& token, const ProbeResult& result) {
  if (result.purpose == "verify") return;  // the verifier's
  RunRow* run = runs_.edit(result.action_id);
  if (run == nullptr || run->probe_id != result.probe_id) return;
  if (result.purpose == "precondition") {
    if (!result.holds) {
      return finish_run(token, result.action_id, "precondition_failed", result.detail);
    }
    run->probe_id.clear();
    ++run->condition;
    return look_at_preconditions(token, result.action_id);
  }
  if (result.purpose == "effect") {
    run->probe_id.clear();
    if (!result.holds) return move_due(token, result.action_id);
    StepResult done{.action_id = result.action_id, .attempt = run->attempt, .step = run->step};
    done.status = "ok";
    done.output = "the probe found the effect: " + result.detail;
    return finish_step(token, result.action_id, done);
  }
  // wait_for: soft progress, until the condition has held long enough.
  run->probe_id.clear();
  if (!result.holds) run->held_since_ms = 0;
  if (result.holds && run->held_since_ms == 0) run->held_since_ms = token.cut.tick_ms;
  run->due_ms = token.cut.tick_ms + settings().run.probe_interval.ms;
  const Step* step = current_step(*run);
  if (step != nullptr && !step->wait_for.empty()) {
    look_at_wait_for(token, result.action_id, step->wait_for[0]);
  }
}

void Runner::move_due(Token& token, const std::string& action_id) {
  const RunRow* run = runs_.find(action_id);
  if (run == nullptr) return;
  const Playbook* playbook = approved_playbook(*run);
  if (playbook == nullptr && run->phase != "done") {
    return finish_run(token, action_id, "failed",
                      "the playbook is no longer what was approved; nothing further was started");
  }
  if (!run->probe_id.empty() && run->probe_purpose == "effect") {
    return finish_run(token, action_id, "in_doubt", "the probe of the effect gave no answer");
  }
  if (run->phase == "intent") return look_at_preconditions(token, action_id);
  if (run->phase == "ready") return start_step(token, action_id);
  if (run->phase != "started") return;
  const Step* step = current_step(*run);
  if (step == nullptr) return;
  if (!step->wait_for.empty()) return look_at_wait_for(token, action_id, step->wait_for[0]);
  if (!touches_outside(*step) && run->due_ms <= token.cut.tick_ms) {
    StepResult waited{.action_id = action_id, .attempt = run->attempt, .step = run->step};
    waited.status = "ok";
    waited.took_ms = token.cut.tick_ms - run->started_ms;
    finish_step(token, action_id, waited);
  }
}

void Runner::look_at_preconditions(Token& token, const std::string& action_id) {
  const RunRow& run = *runs_.find(action_id);
  const Playbook* playbook = approved_playbook(run);
  const std::vector<Condition>& conditions = playbook->preconditions;
  for (auto i = static_cast<std::size_t>(run.condition); i < conditions.size(); ++i) {
    const Condition& condition = conditions[i];
    if (!is_metric(condition)) {
      RunRow* row = runs_.edit(action_id);
      if (!row->probe_id.empty() && row->due_ms <= token.cut.tick_ms) {
        return finish_run(token, action_id, "precondition_failed",
                          describe(condition) + ": no answer in time");
      }
      if (!row->probe_id.empty()) return;
      row->condition = static_cast<std::int64_t>(i);
      return ask_probe(token, action_id, "precondition");
    }
    const ConditionView view =
        look_at(condition, run.intent.service, observed_, token.cut.tick_ms, observed_age_ms_max);
    if (!view.holds) {
      return finish_run(token, action_id, "precondition_failed",
                        describe(condition) + " does not hold: " + view.value);
    }
  }
  start_step(token, action_id);
}

void Runner::look_at_wait_for(Token& token, const std::string& action_id,
                              const Condition& condition) {
  RunRow* run = runs_.edit(action_id);
  const TimeMs now_ms = token.cut.tick_ms;
  if (is_metric(condition)) {
    const ConditionView view =
        look_at(condition, run->intent.service, observed_, now_ms, observed_age_ms_max);
    const bool fresh = view.time_ms >= run->started_ms;
    if (!view.holds || !fresh) run->held_since_ms = 0;
    if (view.holds && fresh && run->held_since_ms == 0) run->held_since_ms = now_ms;
    run->due_ms = now_ms + settings().run.probe_interval.ms;
  }
  StepResult result{.action_id = action_id, .attempt = run->attempt, .step = run->step};
  result.rollback = run->rollback;
  result.took_ms = now_ms - run->started_ms;
  if (run->held_since_ms > 0 && now_ms - run->held_since_ms >= condition.hold.ms) {
    result.status = "ok";
    return finish_step(token, action_id, result);
  }
  if (now_ms - run->started_ms >= condition.within.ms) {
    result.status = "timeout";
    result.output = describe(condition) + " did not hold in time";
    return finish_step(token, action_id, result);
  }
  if (!is_metric(condition) && run->due_ms <= now_ms) {
    ask_probe(token, action_id, "wait_for");
  }
}

void Runner::ask_probe(Token& token, const std::string& action_id, const std::string& purpose) {
  const RunRow& run = *runs_.find(action_id);
  ProbeRequested probe{.probe_id = token.name_of("probe", token.events.size()),
                       .action_id = action_id,
                       .purpose = purpose,
                       .condition = run.condition,
                       .step = run.step,
                       .valid_until_ms = token.cut.tick_ms + 2 * settings().run.start_valid.ms};
  emit(token, {run.intent.service, run.intent.incident_id, run.cause, probe});
}

void Runner::start_step(Token& token, const std::string& action_id) {
  const RunRow run = *runs_.find(action_id);
  const Playbook* playbook = approved_playbook(run);
  std::int64_t index = run.step;
  if (run.rollback) {
    while (index >= 0 && rollback_of(*playbook, index) == nullptr) --index;
  }
  RunRow at = run;
  at.step = index;
  const Step* step = current_step(at);
  if (step == nullptr) return finish_run(token, action_id, "succeeded", "");
  if (run.tries_failed > retries_of(*step, run) || run.attempt >= starts_of_a_step_max) {
    return finish_run(
        token, action_id, "failed",
        "step '" + name_of(*step) + "' failed " + std::to_string(run.tries_failed) + " times");
  }
  RunStarted started{.action_id = action_id,
                     .attempt = index == run.step ? run.attempt + 1 : 1,
                     .step = index,
                     .step_name = name_of(*step),
                     .rollback = run.rollback,
                     .epoch = token.facts.epoch,
                     .valid_until_ms = token.cut.tick_ms + settings().run.start_valid.ms,
                     .runtime_limit_ms = runtime_limit_of(*step)};
  const bool outside = touches_outside(*step);
  const TimeMs last_ms = started.valid_until_ms + started.runtime_limit_ms;
  if (outside && run.intent.mode != "dry_run" && !locks_.covers(action_id, last_ms)) {
    return ask_for_lock(token, action_id, started);
  }
  emit(token, {run.intent.service, run.intent.incident_id, run.cause, started});
  const bool waits = !touches_outside(*step);
  if (waits && step->wait_for.empty() && step->wait.ms == 0) move_due(token, action_id);
}

void Runner::finish_run(Token& token, const std::string& action_id, const std::string& result,
                        const std::string& reason) {
  const RunRow run = *runs_.find(action_id);
  if (run.rollback) {
    // In doubt its lock is kept: an undo of which nobody knows may still act.
    const bool known = result == "succeeded" || result == "in_doubt";
    RolledBack undone{action_id, known ? result : "failed", reason};
    emit(token, {run.intent.service, run.intent.incident_id, run.cause, undone});
    return;
  }
  RunFinished finished{.action_id = action_id,
                       .proposal_id = run.intent.proposal_id,
                       .incident_id = run.intent.incident_id,
                       .result = result,
                       .reason = reason,
                       .awaits_answer = result == "in_doubt"};
  if (run.intent.mode == "dry_run" && result == "succeeded") {
    finished.result = "dry_run";
    finished.reason = "dry run: the effect was left out";
  }
  emit(token, {run.intent.service, run.intent.incident_id, run.cause, finished});
}

}  // namespace selfheal
