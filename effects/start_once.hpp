#pragma once
// The order of writes that makes a start happen at most once (step_effect.hpp lists it), around an
// effect of any kind: the shim runs programs and calls in it, the service publishes in it.
#include <functional>
#include <string>

#include "effects/secrets.hpp"
#include "effects/step_effect.hpp"

namespace selfheal {

// Has the effect and says how it ended. A child that inherits `lock_descriptor` keeps the start's
// lock while it lives.
using Effect = std::function<StepResult(const Secrets& secrets, int lock_descriptor)>;

// Blocks until the effect has ended, or until an earlier holder of the lock has.
StepResult start_once(const StepOrder& order, const EffectContext& context, const Effect& effect);

// The texts of results that an effect's output may carry: scrubbed, with the hash of the whole.
void set_output(StepResult& result, const std::string& scrubbed);

// What attempts of one action share: a target that has seen one of them knows the next. So do the
// steps of a run; undoing is another action.
std::string idempotency_key(const StepOrder& order);

}  // namespace selfheal
