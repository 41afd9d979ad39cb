#pragma once
#include <memory>

#include "actors/environment.hpp"
#include "actors/interfaces.hpp"
#include "actors/shard_board.hpp"
#include "actors/shard_supervisor_actor.hpp"

namespace selfheal {

struct RootState {
  static inline const char* name = "root_supervisor";
  EnvironmentPtr environment;
  std::shared_ptr<ShardBoard> board;
  SharedActors shared;
  placement_actor placement;  // none where this process is alone
  snapshot_actor snapshot;    // none where there are no snapshots
  extra_partitions_actor extra_partitions;
  std::vector<shard_supervisor_actor> shards;
};

root_supervisor_actor::behavior_type root_supervisor(
    root_supervisor_actor::stateful_pointer<RootState> self, EnvironmentPtr environment,
    std::shared_ptr<ShardBoard> board);

}  // namespace selfheal
