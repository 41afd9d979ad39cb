#include "actors/step_runner_actor.hpp"

namespace selfheal {
namespace {

// What became of a start whose owner ended before it heard the answer.
StepResult trace(const EffectTask& task, const EffectContext& context) {
  const StepOrder& order = task.order;
  StepResult unknown;
  unknown.action_id = order.action_id;
  unknown.attempt = order.attempt;
  unknown.step = order.step;
  unknown.rollback = order.rollback;
  const TracedStep traced = trace_step(order, context);
  switch (traced.trace) {
    case StepTrace::finished:
      return traced.result;
    case StepTrace::running:
      return await_step(order, context);
    case StepTrace::died:
      unknown.status = "in_doubt";
      unknown.output = "it was begun and nobody saw it end";
      return unknown;
    case StepTrace::none:
      break;
  }
  if (task.safe_at_ms > 0) {
    unknown.status = "in_doubt";
    unknown.output = "begun by a process whose files are not in this actions_dir, if at all";
  } else {
    // The fence has been raised before: what has not begun never will.
    unknown.status = "expired";
    unknown.output = "its owner ended before it began";
  }
  if (!task.refused.empty()) unknown.output += "; " + task.refused;
  return unknown;
}

EmbeddedInput perform(const EffectTask& task, const EffectContext& context) {
  if (!task.is_probe) {
    return task.adopted ? trace(task, context) : carry_out(task.order, context);
  }
  const ProbeAnswer answer = look(task.condition, context);
  return ProbeResult{task.probe.probe_id,  task.probe.action_id, task.probe.purpose,
                     task.probe.condition, answer.holds,         answer.detail};
}

}  // namespace

caf::behavior step_runner(caf::event_based_actor* self, std::shared_ptr<const EffectTask> task,
                          EffectContext context, effect_gateway_actor gateway) {
  auto ended = std::make_shared<EffectEnded>(EffectEnded{task->shard, perform(*task, context)});
  self->send(gateway, EffectPtr(std::move(ended)));
  self->quit();
  return {};
}

}  // namespace selfheal
