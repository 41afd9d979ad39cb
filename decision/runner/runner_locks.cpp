// The part of the runner that deals with the fleet's shard: asks for locks, hears of them, and
// gives them back.
#include <algorithm>

#include "decision/runner/runner.hpp"
#include "topics/json_codec.hpp"

namespace selfheal {

// What the fleet's shard says. Only the answer to the last request counts; of an older one, or of a
// run that has dropped out, the fleet's shard hears by the release.
void Runner::take_lock_words(Token& token) {
  const auto awaits_lock = [&](const std::string& action_id, std::int64_t number) {
    const RunLock* lock = locks_.find(action_id);
    return lock != nullptr && runs_.find(action_id) != nullptr && lock->awaited &&
           lock->number == number;
  };
  for (const ControlInput& control : token.controls) {
    const ControlMessage& message = control.message;
    const bool grants = message.kind == "lock_grant";
    if (!grants && message.kind != "lock_wait") continue;
    const std::string cause = cause_of_control(control.offset);
    if (!is_signed_by_shard(settings(), message) ||
        message.source_shard != token.facts.partitions) {
      emit(token, {"", "", cause,
                   ControlRefused{message.kind, message.target, message.key_id,
                                  "word of a lock must be signed by the fleet's shard"}});
      continue;
    }
    if (grants) {
      const Result<LockGranted> granted = from_json_text<LockGranted>(message.body);
      if (!granted || !awaits_lock(granted->action_id, granted->number)) continue;
      const RunIntent intent = runs_.find(granted->action_id)->intent;
      emit(token,
           {intent.service, intent.incident_id, cause,
            LockAcquired{granted->action_id, granted->number, granted->target, granted->until_ms}});
      move_due(token, granted->action_id);
    } else {
      const Result<LockQueued> queued = from_json_text<LockQueued>(message.body);
      if (!queued) continue;
      const LockRequested& request = queued->request;
      if (!awaits_lock(request.action_id, request.number)) continue;
      if (!locks_.find(request.action_id)->waits_for.empty()) continue;  // told already
      const RunIntent& intent = runs_.find(request.action_id)->intent;
      emit(token, {intent.service, intent.incident_id, cause,
                   LockAwaited{request.action_id, request.number, request.target, queued->reason}});
    }
  }
}

void Runner::release_locks(Token& token) {
  for (const auto& [action_id, lock] : locks_.to_release()) {
    const RunRow* run = runs_.find(action_id);
    emit(token, {"", "", run == nullptr ? "" : run->cause, LockReleased{action_id, lock.target}});
  }
}

void Runner::ask_for_lock(Token& token, const std::string& action_id, const RunStarted& wanted) {
  const RunRow& run = *runs_.find(action_id);
  const TimeMs now_ms = token.cut.tick_ms;
  const RunLock* lock = locks_.find(action_id);
  if (lock != nullptr && lock->awaited) {
    if (lock->give_up_ms > now_ms) return;
    std::string reason = "no lock on " + lock->target + " within " +
                         std::to_string(settings().limits.fleet_wait.ms / 1000) + " s: ";
    reason += lock->waits_for.empty() ? "the fleet's shard has not answered" : lock->waits_for;
    const bool untouched = !run.rollback && run.step == 0 && run.attempt == 0;
    return finish_run(token, action_id, untouched ? "precondition_failed" : "failed", reason);
  }
  const Playbook* playbook = approved_playbook(run);
  const DurationMs next_step_ms =
      wanted.valid_until_ms - now_ms + wanted.runtime_limit_ms + 2 * lock_margin_ms;
  LockRequested request{.action_id = action_id,
                        .number = lock == nullptr ? 1 : lock->number + 1,
                        .target = lock_target(run.intent),
                        .service = run.intent.service,
                        .playbook = run.intent.playbook,
                        .hold_ms = std::max(lock_hold_ms(*playbook, settings()), next_step_ms),
                        .give_up_ms = now_ms + settings().limits.fleet_wait.ms};
  emit(token, {run.intent.service, run.intent.incident_id, run.cause, request});
}

}  // namespace selfheal
