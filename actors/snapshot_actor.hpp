#pragma once
#include <map>
#include <memory>

#include "actors/environment.hpp"
#include "actors/interfaces.hpp"
#include "actors/shard_board.hpp"

namespace selfheal {

struct SnapshotState {
  static inline const char* name = "snapshot";
  EnvironmentPtr environment;
  std::shared_ptr<ShardBoard> board;
  root_supervisor_actor root;
  std::map<std::int64_t, std::int64_t> seen_us;   // shard -> when first
  std::map<std::int64_t, std::int64_t> tried_us;  // shard -> when last
};

snapshot_actor::behavior_type snapshot(snapshot_actor::stateful_pointer<SnapshotState> self,
                                       EnvironmentPtr environment,
                                       std::shared_ptr<ShardBoard> board,
                                       root_supervisor_actor root);

}  // namespace selfheal
