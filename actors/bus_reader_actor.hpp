#pragma once
#include "actors/environment.hpp"
#include "actors/interfaces.hpp"

namespace selfheal {

// The readers of one shard and the cutter that waits for them.
struct ShardInputs {
  std::unique_ptr<LogReader> signals;
  std::unique_ptr<LogReader> control;
  std::int64_t epoch = 0;
  bool waiting = false;
  FetchInputs wanted;
  caf::typed_response_promise<SupplyPtr> answer;
};

struct BusReaderState {
  static inline const char* name = "bus_reader";
  EnvironmentPtr environment;
  std::map<std::int64_t, ShardInputs> shards;
};

bus_reader_actor::behavior_type bus_reader(bus_reader_actor::stateful_pointer<BusReaderState> self,
                                           EnvironmentPtr environment);

}  // namespace selfheal
