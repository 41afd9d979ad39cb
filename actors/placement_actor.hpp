#pragma once
#include <atomic>
#include <memory>

#include "actors/environment.hpp"
#include "actors/interfaces.hpp"
#include "actors/shard_board.hpp"

namespace selfheal {

struct PlacementState {
  static inline const char* name = "placement";
  EnvironmentPtr environment;
  std::shared_ptr<ShardBoard> board;
  root_supervisor_actor root;
  std::unique_ptr<Placement> placement;
  std::unique_ptr<LogReader> reader;
  std::string incarnation;
  bool speaking = false;  // not while an earlier process of this name may still be there
  Offset tail_end = 0;    // what was on the topic when it was opened ends here
  bool leaving = false;
  std::int64_t silent_since_us = 0;  // since the topic has been read to its end; 0: not yet
  bool ticking = false;              // the timer, which asks for itself again, has been begun
  // The log's clock as last heard, and when by a clock that nobody sets.
  TimeMs log_time_ms = 0;
  std::int64_t heard_us = 0;
  std::map<std::int64_t, std::int64_t> unowned_locally_us;  // a shard fell here, since when
  std::shared_ptr<std::atomic<std::int64_t>> in_flight;     // records that the log has not answered
};

placement_actor::behavior_type placement(placement_actor::stateful_pointer<PlacementState> self,
                                         EnvironmentPtr environment,
                                         std::shared_ptr<ShardBoard> board,
                                         root_supervisor_actor root);

}  // namespace selfheal
