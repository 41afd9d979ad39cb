#pragma once
#include <deque>

#include "actors/environment.hpp"
#include "actors/interfaces.hpp"

namespace selfheal {

// A record of ours on its way through the log.
struct PendingRecord {
  JournalRecord record;
  std::string body;
  std::shared_ptr<const Settings> settings;
  std::vector<std::int64_t> signals_by_type;
  TimeMs oldest_signal_ms = 0;
  TimeMs produced_us = 0;
  bool delivered = false;
  bool read_back = false;
  TimeMs append_ms = 0;
};

struct CommitterState {
  static inline const char* name = "committer";
  EnvironmentPtr environment;
  Chain speculative;  // with everything in flight
  Chain committed;    // as read back
  Offset last_offset = -1;
  std::string last_record_hash;
  std::deque<PendingRecord> pending;
  FailedCutPtr failed;  // to be recorded when nothing is in flight
  bool ended = false;
  std::shared_ptr<const Settings> settings;
  cutter_actor cutter;
  shard_supervisor_actor supervisor;
  relay_actor relay;
  read_model_actor read_model;
  effect_gateway_actor effects;
  store_actor store;
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
};

committer_actor::behavior_type committer(committer_actor::stateful_pointer<CommitterState> self,
                                         EnvironmentPtr environment, CommitterWiring wiring);

}  // namespace selfheal
