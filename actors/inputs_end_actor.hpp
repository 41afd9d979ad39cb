#pragma once
#include "actors/environment.hpp"
#include "actors/interfaces.hpp"

namespace selfheal {

struct InputsEndState {
  static inline const char* name = "inputs_end";
  EnvironmentPtr environment;
  bus_reader_actor bus;
};

inputs_end_actor::behavior_type inputs_end(inputs_end_actor::stateful_pointer<InputsEndState> self,
                                           EnvironmentPtr environment, bus_reader_actor bus);

}  // namespace selfheal
