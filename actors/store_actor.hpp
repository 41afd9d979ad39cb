#pragma once
#include <map>
#include <memory>

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
  bool failing = false;
  int writing = 0;
  std::vector<caf::typed_response_promise<Stop>> stopping;
};

store_actor::behavior_type store(store_actor::stateful_pointer<StoreState> self,
                                 EnvironmentPtr environment, relay_actor relay,
                                 read_model_actor read_model, std::shared_ptr<ShardBoard> board);

}  // namespace selfheal
