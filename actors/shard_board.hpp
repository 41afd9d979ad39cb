#pragma once
// Where every shard stands in this process and in the cluster, for threads that must not wait for
// an actor: the API, /readyz, and the presence that is told to others. Thread-safe.
#include <map>
#include <mutex>
#include <string>

#include "actors/messages.hpp"

namespace selfheal {

struct ShardPlace {
  ShardState state;
  std::int64_t saved_seq = 0;      // on this process's disk
  std::string unsaved;             // why nothing is saved there any more; empty while it is
  std::int64_t handed_on_seq = 0;  // by this process, whatever it has saved
  std::int64_t snapshot_seq = 0;   // of the newest snapshot on the bus
  TimeMs snapshot_ms = 0;
  std::string owner;          // the process that owns it, as far as is known
  TimeMs owner_until_ms = 0;  // it counts as present until then, if nothing more is heard of it
  std::int64_t owner_handed_on_seq = 0;
};

class ShardBoard {
 public:
  void set(const ShardState& state) {
    const std::lock_guard lock(mutex_);
    places_[state.shard].state = state;
  }
  void set_saved(std::int64_t shard, std::int64_t seq) {
    const std::lock_guard lock(mutex_);
    places_[shard].saved_seq = seq;
    places_[shard].unsaved.clear();
  }
  void set_unsaved(std::int64_t shard, const std::string& why) {
    const std::lock_guard lock(mutex_);
    places_[shard].unsaved = why;
  }
  void set_handed_on(std::int64_t shard, std::int64_t seq) {
    const std::lock_guard lock(mutex_);
    places_[shard].handed_on_seq = seq;
  }
  void set_snapshot(std::int64_t shard, std::int64_t seq, TimeMs time_ms) {
    const std::lock_guard lock(mutex_);
    places_[shard].snapshot_seq = seq;
    places_[shard].snapshot_ms = time_ms;
  }
  void set_owner(std::int64_t shard, const std::string& owner, TimeMs until_ms,
                 std::int64_t handed_on_seq) {
    const std::lock_guard lock(mutex_);
    places_[shard].owner = owner;
    places_[shard].owner_until_ms = until_ms;
    places_[shard].owner_handed_on_seq = handed_on_seq;
  }
  std::int64_t owner_handed_on_seq(std::int64_t shard) const {
    const std::lock_guard lock(mutex_);
    const auto found = places_.find(shard);
    return found == places_.end() ? 0 : found->second.owner_handed_on_seq;
  }
  std::map<std::int64_t, ShardPlace> places() const {
    const std::lock_guard lock(mutex_);
    return places_;
  }
  // True where each of `shards` decides here, or is followed here to the end of its journal.
  bool all_in_place(std::int64_t shards) const {
    const std::lock_guard lock(mutex_);
    std::int64_t in_place = 0;
    for (const auto& [shard, place] : places_) {
      const bool follows = place.state.state == "standby" && !place.owner.empty();
      if (place.state.state == "live" || follows) ++in_place;
    }
    return in_place == shards;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::int64_t, ShardPlace> places_;
};

}  // namespace selfheal
