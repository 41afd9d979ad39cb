#pragma once
#include "actors/environment.hpp"
#include "actors/interfaces.hpp"
#include "actors/shard_board.hpp"
#include "decision/shard/commit_window.hpp"

namespace selfheal {

struct CommitterState {
  static inline const char* name = "committer";
  EnvironmentPtr environment;
  std::unique_ptr<CommitWindow> window;
  FailedCutPtr failed;  // to be recorded when nothing is in flight
  bool ended = false;
  std::int64_t series = -1;  // as last shown
  std::shared_ptr<const Settings> settings;
  CommittedPtr unshown;  // the newest record that readers have not been told of, where it is quiet
  std::int64_t shown_us = 0;
  cutter_actor cutter;
  shard_supervisor_actor supervisor;
  relay_actor relay;
  read_model_actor read_model;
  effect_gateway_actor effects;
  store_actor store;
  std::shared_ptr<ShardBoard> board;
};

struct CommitterWiring {
  Chain chain;
  Offset last_offset = -1;
  std::string last_record_hash;
  std::shared_ptr<const Settings> settings;
  cutter_actor cutter;
  shard_supervisor_actor supervisor;
  relay_actor relay;
  read_model_actor read_model;
  effect_gateway_actor effects;
  store_actor store;
  std::shared_ptr<ShardBoard> board;
};

committer_actor::behavior_type committer(committer_actor::stateful_pointer<CommitterState> self,
                                         EnvironmentPtr environment, CommitterWiring wiring);

}  // namespace selfheal
