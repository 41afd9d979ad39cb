#pragma once
// Who is there: every process of a cluster says so, a few times a second, on a topic of one
// partition, with the shards it owns and those it stands by for. All read the same records in the
// same order and judge them by the log's clock, so all come to the same view of who is alive.
//
// Nothing rests on it but speed: who owns a shard is decided by its journal alone, and a claim is
// safe at any moment.
//
// A record is {"signature":"<hex>","body":<json>}, like the journal's; the key is one of role
// shard.
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/fields.hpp"
#include "base/result.hpp"

namespace selfheal {

// Where one shard stands in the process that tells it.
//   live         owned: decides, or is about to again
//   standby      follows the journal and is at its end
//   catching_up  follows, and is not there yet
//   away         not to be had here: parked, or the process cannot reach what it needs
struct ShardPresence {
  static constexpr const char* kName = "shard_presence";
  std::int64_t shard = 0;
  std::string state;
  std::int64_t epoch = 0;      // where live: of its claim
  std::int64_t saved_seq = 0;  // where live: everything up to it has been handed on
  static constexpr auto fields() {
    return std::tuple{field("shard", &ShardPresence::shard), field("state", &ShardPresence::state),
                      field("epoch", &ShardPresence::epoch),
                      field("saved_seq", &ShardPresence::saved_seq)};
  }
  bool operator==(const ShardPresence&) const = default;
};

struct Presence {
  static constexpr const char* kName = "presence";
  std::string instance;     // name of the process in the cluster
  std::string incarnation;  // another one at each start
  std::string build;
  bool leaving = false;  // a clean stop: gives its shards away and takes none
  std::vector<ShardPresence> shards;
  static constexpr auto fields() {
    return std::tuple{field("instance", &Presence::instance),
                      field("incarnation", &Presence::incarnation),
                      field("build", &Presence::build), field("leaving", &Presence::leaving),
                      field("shards", &Presence::shards)};
  }
  bool operator==(const Presence&) const = default;
};

Result<std::string> encode_presence(const Presence& presence, std::string_view secret_key);
// refused: signed by none of the keys; invalid: not such a record.
Result<Presence> decode_presence(std::string_view value,
                                 const std::vector<std::string>& public_keys);

}  // namespace selfheal
