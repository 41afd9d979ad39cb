#pragma once
#include "actors/effect_gateway_actor.hpp"

namespace selfheal {

// Lives as long as one step or probe, on a thread of its own, and may block there. Sends its answer
// to the gateway and ends; that it ends without one is noticed.
caf::behavior step_runner(caf::event_based_actor* self, std::shared_ptr<const EffectTask> task,
                          EffectContext context, effect_gateway_actor gateway);

}  // namespace selfheal
