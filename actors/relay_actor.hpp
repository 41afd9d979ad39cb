#pragma once
#include <deque>

#include "actors/environment.hpp"
#include "actors/interfaces.hpp"

namespace selfheal {

struct ShardRelay {
  std::int64_t unanswered = 0;  // appends that the log has not answered, forwards that wait
  // Forwards leave one at a time: the receiver takes them in order and drops what is not beyond the
  // last, so a later one must never arrive before an earlier one that has to be sent again.
  std::deque<RelayedPtr> forwards;
  std::vector<std::pair<std::int64_t, caf::typed_response_promise<Flush>>> waiting;
};

struct RelayState {
  static inline const char* name = "relay";
  EnvironmentPtr environment;
  std::map<std::int64_t, ShardRelay> shards;
};

relay_actor::behavior_type relay(relay_actor::stateful_pointer<RelayState> self,
                                 EnvironmentPtr environment);

}  // namespace selfheal
