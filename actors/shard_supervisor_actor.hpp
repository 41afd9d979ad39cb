#pragma once
#include <deque>

#include "actors/cutter_actor.hpp"
#include "actors/environment.hpp"
#include "actors/interfaces.hpp"
#include "actors/shard_restore.hpp"

namespace selfheal {

// The process-wide actors that a shard talks to.
struct SharedActors {
  bus_reader_actor bus;
  journal_reader_actor journal;
  relay_actor relay;
  read_model_actor read_model;
  store_actor store;
  effect_gateway_actor effects;
  root_supervisor_actor root;
};

struct ShardSupervisorState {
  static inline const char* name = "shard_supervisor";
  EnvironmentPtr environment;
  SharedActors shared;
  std::int64_t shard = 0;
  std::string wanted_settings;
  cutter_actor cutter;
  committer_actor committer;
  std::vector<caf::actor> children;
  std::deque<TimeMs> restarts;  // of the last minute
  std::string phase = "restoring";
  bool live = false;
  bool stopping = false;
  caf::typed_response_promise<Stop> stopped;
};

shard_supervisor_actor::behavior_type shard_supervisor(
    shard_supervisor_actor::stateful_pointer<ShardSupervisorState> self, EnvironmentPtr environment,
    SharedActors shared, std::int64_t shard);

}  // namespace selfheal
