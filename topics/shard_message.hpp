#pragma once
// What one shard says to another: which committed events leave as control messages, to whom, and
// what they carry. They leave in the order of the journal, at least once; a receiver drops what is
// not beyond the last one that it took of a sender.
#include <optional>

#include "topics/control.hpp"
#include "topics/journal.hpp"

namespace selfheal {

struct ShardMessage {
  std::int64_t target_shard = 0;
  ControlMessage message;  // to be signed
};

// Event `k` of a record; nothing where it concerns no other shard. `fleet_shard` is the number of
// the fleet's.
std::optional<ShardMessage> shard_message(const JournalRecord& record, std::size_t k,
                                          std::int64_t fleet_shard);

}  // namespace selfheal
