#pragma once
#include "actors/environment.hpp"
#include "actors/interfaces.hpp"

namespace selfheal {

struct StageState {
  static inline const char* name = "stage";
  EnvironmentPtr environment;
  std::shared_ptr<Stage> stage;
  std::string stage_name;
  stage_actor next;  // null for the last stage
  committer_actor committer;
};

// One of the six stages; which one is in the object it is given. It alone touches that object.
stage_actor::behavior_type stage(stage_actor::stateful_pointer<StageState> self,
                                 EnvironmentPtr environment, std::shared_ptr<Stage> owned,
                                 stage_actor next, committer_actor committer);

}  // namespace selfheal
