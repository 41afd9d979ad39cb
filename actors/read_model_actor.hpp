#pragma once
#include "actors/environment.hpp"
#include "actors/interfaces.hpp"

namespace selfheal {

struct ReadModelState {
  static inline const char* name = "read_model";
  EnvironmentPtr environment;
  bool failing = false;  // the last save failed: it is told once
};

read_model_actor::behavior_type read_model(read_model_actor::stateful_pointer<ReadModelState> self,
                                           EnvironmentPtr environment);

}  // namespace selfheal
