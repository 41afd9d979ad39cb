#pragma once
#include <map>
#include <memory>
#include <vector>

#include "actors/environment.hpp"
#include "actors/interfaces.hpp"
#include "actors/shard_board.hpp"

namespace selfheal {

struct StoreState {
  static inline const char* name = "store";
  EnvironmentPtr environment;
  relay_actor relay;
  read_model_actor read_model;
  std::shared_ptr<ShardBoard> board;
  std::map<std::int64_t, std::int64_t> written;  // shard -> seq
  std::int64_t flushed_us = 0;
  bool failing = false;  // for good: nothing is saved any more
  // Shards that there was no room for, with the message that will try them again; null once it has
  // come.
  std::map<std::int64_t, SavePtr> without_room;
  int writing = 0;
  std::vector<caf::typed_response_promise<Stop>> stopping;
};

store_actor::behavior_type store(store_actor::stateful_pointer<StoreState> self,
                                 EnvironmentPtr environment, relay_actor relay,
                                 read_model_actor read_model, std::shared_ptr<ShardBoard> board);

}  // namespace selfheal
