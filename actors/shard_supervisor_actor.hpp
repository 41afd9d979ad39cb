#pragma once
#include <deque>

#include "actors/cutter_actor.hpp"
#include "actors/environment.hpp"
#include "actors/interfaces.hpp"
#include "actors/shard_board.hpp"
#include "actors/shard_claim.hpp"
#include "actors/shard_restore.hpp"

namespace selfheal {

// The process-wide actors that a shard talks to.
struct SharedActors {
  bus_reader_actor bus;
  inputs_end_actor inputs_end;
  journal_reader_actor journal;
  relay_actor relay;
  read_model_actor read_model;
  store_actor store;
  effect_gateway_actor effects;
  root_supervisor_actor root;
  std::shared_ptr<ShardBoard> board;
};

struct ShardSupervisorState {
  static inline const char* name = "shard_supervisor";
  EnvironmentPtr environment;
  SharedActors shared;
  std::int64_t shard = 0;
  WantedSettings wanted_settings;
  cutter_actor cutter;
  committer_actor committer;
  std::vector<caf::actor> children;
  std::deque<TimeMs> restarts;  // of the last minute
  std::string phase = "restoring";
  std::int64_t epoch = 0;  // of this process's last claim
  bool owned = false;      // this process is the shard's owner, or is about to be again
  bool live = false;
  bool stopping = false;
  bool giving_away = false;

  // While the shard is followed and not owned.
  std::shared_ptr<JournalWalk> walk;
  std::unique_ptr<LogReader> journal;
  // Committed by the owner and perhaps not yet handed on by it: whoever takes over does so again.
  std::deque<CommittedPtr> held;
  std::int64_t handed_on_seq = 0;
  std::map<std::int64_t, std::string> owners;  // by epoch, of the last claims
  TimeMs claimed_ms = 0;                       // when another owner's claim was last read
  TimeMs saved_ms = 0;
  std::int64_t saved_seq = 0;
  std::int64_t timer = 0;
  caf::typed_response_promise<Stop> stopped;
};

shard_supervisor_actor::behavior_type shard_supervisor(
    shard_supervisor_actor::stateful_pointer<ShardSupervisorState> self, EnvironmentPtr environment,
    SharedActors shared, std::int64_t shard);

}  // namespace selfheal
