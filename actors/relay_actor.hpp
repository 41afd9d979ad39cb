#pragma once
#include <deque>

#include "actors/environment.hpp"
#include "actors/interfaces.hpp"
#include "actors/shard_board.hpp"
#include "topics/dead_letter.hpp"

namespace selfheal {

struct ShardRelay {
  // Messages that the log has not answered, or that wait, by seq of the record they tell of.
  std::map<std::int64_t, std::int64_t> open;
  std::int64_t newest_seq = 0;
  std::int64_t handed_on_seq = 0;  // as the board was told
  // To each shard one message at a time: it takes them in order and drops what is not beyond the
  // last, so a later one must never arrive before an earlier one that has to be sent again.
  std::map<TopicPartition, std::deque<RelayedPtr>> in_order;
  std::vector<std::pair<std::int64_t, caf::typed_response_promise<Flush>>> waiting;

  // Nothing up to `seq` is on its way any more.
  bool has_handed_on(std::int64_t seq) const { return open.empty() || open.begin()->first > seq; }
};

// The record that was read last for a dead letter: each of its bad lines has one.
struct LetterSource {
  TopicPartition where;
  Offset offset = -1;
  RecordBatch batch;  // holds the record where it could be read
  std::string missing;
};

struct RelayState {
  static inline const char* name = "relay";
  EnvironmentPtr environment;
  std::shared_ptr<ShardBoard> board;
  std::map<std::int64_t, ShardRelay> shards;
  LetterSource letter_source;
  DeadLetterWriter letters;
};

relay_actor::behavior_type relay(relay_actor::stateful_pointer<RelayState> self,
                                 EnvironmentPtr environment, std::shared_ptr<ShardBoard> board);

}  // namespace selfheal
