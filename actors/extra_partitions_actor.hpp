#pragma once
#include <deque>
#include <map>
#include <memory>

#include "actors/environment.hpp"
#include "actors/interfaces.hpp"
#include "actors/shard_board.hpp"

namespace selfheal {

// A partition of the signals that no shard reads.
struct ExtraPartition {
  std::unique_ptr<LogReader> reader;
  std::deque<RelayedPtr> forwards;  // of the records up to the reader's place, in order
  bool waiting = false;             // the log has the first of them and has not answered
};

struct ExtraPartitionsState {
  static inline const char* name = "extra_partitions";
  EnvironmentPtr environment;
  std::shared_ptr<ShardBoard> board;
  DecodeSignals decode;
  std::map<std::int32_t, ExtraPartition> partitions;
};

extra_partitions_actor::behavior_type extra_partitions(
    extra_partitions_actor::stateful_pointer<ExtraPartitionsState> self, EnvironmentPtr environment,
    std::shared_ptr<ShardBoard> board);

}  // namespace selfheal
