#pragma once
#include "actors/clocks.hpp"
#include "actors/effect_queue.hpp"
#include "actors/environment.hpp"
#include "actors/interfaces.hpp"
#include "effects/step_effect.hpp"

namespace selfheal {

// Something to do outside, and where the answer goes.
struct EffectTask {
  std::int64_t shard = 0;
  std::int64_t incarnation = 0;
  bool is_probe = false;
  bool adopted = false;  // started by an earlier owner: trace it instead of starting it
  // No file of it is here, and no fence of ours holds its owner: not before this time, by the log's
  // clock, can it be said that it will not begin or go on. 0: files or fence tell.
  TimeMs safe_at_ms = 0;
  StepOrder order;
  ProbeRequested probe;
  Condition condition;
  std::string refused;  // why it cannot even be tried, e.g. a label is missing
};

struct LiveShard {
  std::int64_t incarnation = 0;
  std::int64_t epoch = 0;
  cutter_actor cutter;
  LogTime log_time;
  std::map<std::string, RunIntent> intents;  // by action id, until the outcome
};

struct EffectGatewayState {
  static inline const char* name = "effect_gateway";
  EnvironmentPtr environment;
  std::map<std::int64_t, LiveShard> shards;
  EffectQueue<EffectTask> waiting;
  std::vector<EffectTask> put_off;             // until their safe_at_ms
  std::map<caf::actor_addr, EffectTask> live;  // by runner
  std::int64_t incarnations = 0;
};

effect_gateway_actor::behavior_type effect_gateway(
    effect_gateway_actor::stateful_pointer<EffectGatewayState> self, EnvironmentPtr environment);

}  // namespace selfheal
