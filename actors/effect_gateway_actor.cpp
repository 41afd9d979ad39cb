#include "actors/effect_gateway_actor.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "actors/publisher.hpp"
#include "actors/spawn_io.hpp"
#include "actors/step_runner_actor.hpp"

namespace selfheal {
namespace {

using Self = effect_gateway_actor::stateful_pointer<EffectGatewayState>;

EffectContext context_of(const EnvironmentPtr& shared) {
  const Environment& environment = *shared;
  EffectContext context;
  context.actions_folder = environment.actions_folder;
  context.secrets_folder = environment.secrets_folder;
  context.program = environment.program;
  context.now_ms = environment.now_ms;
  context.failpoint = environment.failpoint;
  context.publish = [shared](const PublishCall& record, const std::string& key,
                             DurationMs limit_ms) {
    return publish_record(*shared, record, key, limit_ms);
  };
  return context;
}

void start_waiting(Self self) {
  EffectGatewayState& state = self->state;
  const TimeMs now_ms = state.environment->now_ms();
  const auto is_probe = [](const auto& live) { return live.second.is_probe; };
  auto live_probes = static_cast<std::size_t>(std::ranges::count_if(state.live, is_probe));
  while (auto next = state.waiting.next(state.live.size(), live_probes, now_ms)) {
    EffectTask task = std::move(*next);
    live_probes += task.is_probe ? 1 : 0;
    auto shared = std::make_shared<EffectTask>(task);
    const auto me = caf::actor_cast<effect_gateway_actor>(self);
    // Monitored, not linked: its death is an answer, not ours.
    const caf::actor runner = spawn_io(self->system(), Threading::own_thread, step_runner, shared,
                                       context_of(state.environment), me);
    self->monitor(runner);
    state.live.emplace(runner.address(), std::move(task));
  }
}

void send_answer(Self self, const EffectTask& task, EmbeddedInput input) {
  const auto found = self->state.shards.find(task.shard);
  // An answer for an incarnation that has ended is found again by the next one, in the files.
  if (found == self->state.shards.end() || found->second.incarnation != task.incarnation) return;
  auto ended = std::make_shared<EffectEnded>(EffectEnded{task.shard, std::move(input)});
  self->send(found->second.cutter, EffectPtr(std::move(ended)));
}

StepResult empty_result(const EffectTask& task, const std::string& status,
                        const std::string& output) {
  StepResult result;
  result.action_id = task.order.action_id;
  result.attempt = task.order.attempt;
  result.step = task.order.step;
  result.rollback = task.order.rollback;
  result.status = status;
  result.output = output;
  return result;
}

void runner_died(Self self, const caf::down_msg& down) {
  const auto found = self->state.live.find(down.source);
  if (found == self->state.live.end()) return;
  const EffectTask task = found->second;
  self->state.live.erase(found);
  if (down.reason) {
    spdlog::error("action {}: its runner died", task.order.action_id);
    if (!task.is_probe) send_answer(self, task, empty_result(task, "lost", "its runner died"));
  }
  start_waiting(self);
}

// A step of the playbook with its variables replaced, as an order.
EffectTask step_task(const LiveShard& shard, std::int64_t shard_number, const RunIntent& intent,
                     const RunStarted& started, const Settings& settings) {
  EffectTask task;
  task.shard = shard_number;
  task.incarnation = shard.incarnation;
  StepOrder& order = task.order;
  order.action_id = started.action_id;
  order.shard = shard_number;
  order.step = started.step;
  order.attempt = started.attempt;
  order.rollback = started.rollback;
  order.epoch = started.epoch;
  order.valid_until_ms = started.valid_until_ms;
  order.runtime_limit_ms = started.runtime_limit_ms;
  order.incident_id = intent.incident_id;
  order.service = intent.service;
  const Playbook* playbook = find_playbook(settings, intent.playbook);
  if (playbook == nullptr || playbook_hash(*playbook) != intent.playbook_hash ||
      started.step >= static_cast<std::int64_t>(playbook->steps.size())) {
    task.refused = "the playbook is not the one that was approved";
    return task;
  }
  const Step& step = playbook->steps[static_cast<std::size_t>(started.step)];
  const Step* chosen = started.rollback ? rollback_of(*playbook, started.step) : &step;
  const Result<Step> expanded = chosen == nullptr
                                    ? Result<Step>(Error{ErrorCode::not_found, "no such rollback"})
                                    : expand_step(*chosen, variables_of(intent));
  if (!expanded) {
    task.refused = expanded.error().context;
    return task;
  }
  order.what = *expanded;
  order.secrets = playbook->secrets;
  return task;
}

// What a time of the log's clock is by this machine's, at the earliest: the log took the record no
// sooner than it was given it, so its clock shows no more than this now. However long the process
// stood still in between, the start has become that much older.
TimeMs own_time_of(TimeMs log_ms, const CommittedRecord& committed,
                   const Environment& environment) {
  // Before the steady clock: standing still between the two must not make the start younger.
  const TimeMs own_now_ms = environment.now_ms();
  const DurationMs since_ms = (steady_us() - committed.produced_us) / 1000;
  const TimeMs log_now_ms = committed.append_ms + since_ms;
  return own_now_ms + (log_ms - log_now_ms);
}

void take_started(Self self, const CommittedRecord& committed, const RunStarted& started) {
  const std::int64_t shard_number = committed.record.shard;
  const auto shard = self->state.shards.find(shard_number);
  if (shard == self->state.shards.end()) return;
  const auto intent = shard->second.intents.find(started.action_id);
  if (intent == shard->second.intents.end()) return;
  EffectTask task =
      step_task(shard->second, shard_number, intent->second, started, *committed.settings);
  if (!task.refused.empty()) {
    return send_answer(self, task, empty_result(task, "failed", task.refused));
  }
  if (!touches_outside(task.order.what)) return;  // a wait is the runner stage's own timer
  if (intent->second.mode != "execute") {
    return send_answer(self, task, empty_result(task, "dry_run", "left out: dry run"));
  }
  task.order.valid_until_ms =
      own_time_of(started.valid_until_ms, committed, *self->state.environment);
  self->state.environment->failpoint("before_effect");
  self->state.waiting.push(std::move(task));
  start_waiting(self);
}

// The condition that a probe asks about: of the verification, a precondition, a wait_for or the
// playbook's own probe.
Result<Condition> probed_condition(const Playbook& playbook, const ProbeRequested& probe,
                                   std::int64_t step) {
  const auto index = static_cast<std::size_t>(probe.condition);
  if (probe.purpose == "verify" && index < playbook.verify.size()) return playbook.verify[index];
  if (probe.purpose == "precondition" && index < playbook.preconditions.size()) {
    return playbook.preconditions[index];
  }
  if (probe.purpose == "effect" && !playbook.probe.empty()) return playbook.probe[0];
  const auto at = static_cast<std::size_t>(step);
  if (probe.purpose == "wait_for" && at < playbook.steps.size() &&
      !playbook.steps[at].wait_for.empty()) {
    return playbook.steps[at].wait_for[0];
  }
  return Error{ErrorCode::not_found, "the playbook has no such condition"};
}

void take_probe(Self self, const CommittedRecord& committed, const ProbeRequested& probe) {
  const auto shard = self->state.shards.find(committed.record.shard);
  if (shard == self->state.shards.end()) return;
  const auto intent = shard->second.intents.find(probe.action_id);
  if (intent == shard->second.intents.end()) return;
  EffectTask task;
  task.shard = committed.record.shard;
  task.incarnation = shard->second.incarnation;
  task.is_probe = true;
  task.probe = probe;
  task.probe.valid_until_ms =
      own_time_of(probe.valid_until_ms, committed, *self->state.environment);
  const Playbook* playbook = find_playbook(*committed.settings, intent->second.playbook);
  Result<Condition> condition =
      playbook == nullptr ? Result<Condition>(Error{ErrorCode::not_found, "no such playbook"})
                          : probed_condition(*playbook, probe, probe.step);
  if (condition) condition = expand_condition(*condition, variables_of(intent->second));
  if (!condition) {
    ProbeResult refused{probe.probe_id,  probe.action_id, probe.purpose,
                        probe.condition, false,           condition.error().context};
    return send_answer(self, task, refused);
  }
  task.condition = *condition;
  self->state.waiting.push(std::move(task));
  start_waiting(self);
}

void take(Self self, const CommittedRecord& committed) {
  const auto shard = self->state.shards.find(committed.record.shard);
  if (shard == self->state.shards.end()) return;
  shard->second.log_time.hear(committed.append_ms);
  for (const Event& event : committed.record.events) {
    if (const auto* intent = std::get_if<RunIntent>(&event.body)) {
      shard->second.intents[intent->action_id] = *intent;
    } else if (const auto* started = std::get_if<RunStarted>(&event.body)) {
      take_started(self, committed, *started);
    } else if (const auto* probe = std::get_if<ProbeRequested>(&event.body)) {
      take_probe(self, committed, *probe);
    } else if (const auto* outcome = std::get_if<Outcome>(&event.body)) {
      // A run in doubt may still have to be verified, once a person has said that it happened.
      if (!outcome->awaits_answer) shard->second.intents.erase(outcome->action_id);
    } else if (const auto* finished = std::get_if<RunFinished>(&event.body)) {
      const bool over = finished->result == "dry_run" || finished->result == "precondition_failed";
      if (over) shard->second.intents.erase(finished->action_id);
    }
  }
}

void put_off(Self self, EffectTask task, const std::string& owner, const LogTime& log_time) {
  const DurationMs wait_ms = task.safe_at_ms - log_time.now_ms();
  spdlog::warn(
      "action {}: begun by {} with another actions_dir, or with this one before it was lost: "
      "waiting {} ms, after which it can no longer act",
      task.order.action_id, owner, wait_ms);
  self->state.put_off.push_back(std::move(task));
  self->delayed_send(self, std::chrono::milliseconds(wait_ms), Tick{});
}

void start_put_off(Self self) {
  EffectGatewayState& state = self->state;
  std::vector<EffectTask> later;
  for (EffectTask& task : state.put_off) {
    const auto shard = state.shards.find(task.shard);
    // Of an incarnation that has ended: the next one has put it off anew.
    if (shard == state.shards.end() || shard->second.incarnation != task.incarnation) continue;
    if (task.safe_at_ms <= shard->second.log_time.now_ms()) {
      state.waiting.push(std::move(task));
    } else {
      later.push_back(std::move(task));
    }
  }
  state.put_off = std::move(later);
  // A timer may come a moment early by the other clock.
  if (!state.put_off.empty()) {
    self->delayed_send(self, std::chrono::milliseconds(100), Tick{});
  }
  start_waiting(self);
}

// How long the step may act, once begun. Its playbook may have been edited since; a start was
// written only where all that it may do lies within the lock of its target.
DurationMs limit_of(const EffectTask& task, const AdoptedRun& run) {
  if (task.refused.empty()) return runtime_limit_of(task.order.what);
  return std::max<DurationMs>(0, run.locked_until_ms - run.row.valid_until_ms - lock_margin_ms);
}

// A start whose answer the owner before has not heard, or not recorded. Its files tell what became
// of it, whatever its playbook says by now; else the fence says that it will not begin.
void adopt_start(Self self, const AdoptShard& adopt, const AdoptedRun& run,
                 const std::vector<std::int64_t>& owned_here) {
  EffectGatewayState& state = self->state;
  const RunRow& row = run.row;
  const LiveShard& shard = state.shards.at(adopt.shard);
  const RunStarted started{.action_id = row.intent.action_id,
                           .attempt = row.attempt,
                           .step = row.step,
                           .rollback = row.rollback,
                           .epoch = row.epoch,
                           .valid_until_ms = row.valid_until_ms};
  EffectTask task = step_task(shard, adopt.shard, row.intent, started, *adopt.settings);
  if (row.intent.mode != "execute") {
    return send_answer(self, task, empty_result(task, "dry_run", "left out: dry run"));
  }
  task.adopted = true;
  task.order.runtime_limit_ms = limit_of(task, run);
  const bool fenced =
      std::find(owned_here.begin(), owned_here.end(), row.epoch) != owned_here.end();
  const auto is_traced = [&] {
    return trace_step(task.order, context_of(state.environment)).trace != StepTrace::none;
  };
  if (!fenced && !is_traced()) {
    // As its lock is kept: a program that is ended at its limit may still do something, and two
    // brokers' clocks differ a little, where one leads the journal after the other.
    task.safe_at_ms = row.valid_until_ms + task.order.runtime_limit_ms + lock_margin_ms;
    if (task.safe_at_ms > shard.log_time.now_ms()) {
      const auto owner = adopt.owners.find(row.epoch);
      const std::string name = owner == adopt.owners.end() ? "an owner before" : owner->second;
      return put_off(self, std::move(task), name, shard.log_time);
    }
  }
  state.waiting.push(std::move(task));
}

void adopt(Self self, const AdoptShard& adopt) {
  EffectGatewayState& state = self->state;
  LiveShard shard;
  shard.incarnation = ++state.incarnations;
  shard.epoch = adopt.epoch;
  shard.cutter = adopt.cutter;
  shard.log_time.hear(adopt.log_time_ms);
  for (const AdoptedRun& run : adopt.runs) shard.intents[run.row.intent.action_id] = run.row.intent;
  state.shards[adopt.shard] = shard;
  // First the fence: from here on no start of an earlier owner may begin from this folder.
  const auto owned_before = raise_fence(context_of(state.environment), adopt.shard, adopt.epoch);
  if (!owned_before) spdlog::error("shard {}: {}", adopt.shard, owned_before.error().context);
  // A fence that could not be raised holds nobody.
  const auto owned_here = owned_before ? *owned_before : std::vector<std::int64_t>();
  for (const AdoptedRun& run : adopt.runs) {
    const bool awaits_answer = run.row.phase == "started" && run.row.due_ms == 0;
    if (awaits_answer) adopt_start(self, adopt, run, owned_here);
  }
  start_waiting(self);
}

}  // namespace

effect_gateway_actor::behavior_type effect_gateway(Self self, EnvironmentPtr environment) {
  self->state.environment = std::move(environment);
  self->set_down_handler([self](const caf::down_msg& down) { runner_died(self, down); });
  return {
      [self](const CommittedPtr& committed) { take(self, *committed); },
      [self](const AdoptShardPtr& order) { adopt(self, *order); },
      [self](const ReleaseShard& release) { self->state.shards.erase(release.shard); },
      [self](const Tick&) { start_put_off(self); },
      [self](const EffectPtr& ended) {
        const auto found =
            self->state.live.find(caf::actor_cast<caf::actor_addr>(self->current_sender()));
        if (found != self->state.live.end()) send_answer(self, found->second, ended->input);
      },
  };
}

}  // namespace selfheal
