#pragma once
#include <memory>
#include <mutex>

#include "actors/environment.hpp"
#include "actors/interfaces.hpp"
#include "actors/shard_supervisor_actor.hpp"

namespace selfheal {

// Where every shard stands, for threads outside the actor system. Thread-safe.
class ShardBoard {
 public:
  void set(const ShardState& state);
  std::map<std::int64_t, ShardState> states() const;
  // True where all `shards` are live.
  bool all_live(std::int64_t shards) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::int64_t, ShardState> states_;
};

struct RootState {
  static inline const char* name = "root_supervisor";
  EnvironmentPtr environment;
  std::shared_ptr<ShardBoard> board;
  SharedActors shared;
  std::vector<shard_supervisor_actor> shards;
};

root_supervisor_actor::behavior_type root_supervisor(
    root_supervisor_actor::stateful_pointer<RootState> self, EnvironmentPtr environment,
    std::shared_ptr<ShardBoard> board);

}  // namespace selfheal
