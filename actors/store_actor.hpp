#pragma once
#include "actors/environment.hpp"
#include "actors/interfaces.hpp"

namespace selfheal {

struct StoreState {
  static inline const char* name = "store";
  EnvironmentPtr environment;
  relay_actor relay;
  read_model_actor read_model;
  bool failing = false;
  int writing = 0;
  std::vector<caf::typed_response_promise<Stop>> stopping;
};

store_actor::behavior_type store(store_actor::stateful_pointer<StoreState> self,
                                 EnvironmentPtr environment, relay_actor relay,
                                 read_model_actor read_model);

}  // namespace selfheal
