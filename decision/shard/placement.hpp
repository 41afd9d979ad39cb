#pragma once
// Which process should own which shard: pure, from the presence records of all processes in log
// order and judged by the log's clock, so that every process comes to the same answer. Where two
// views differ for a moment, two processes claim, and the journal lets one of them win.
//
//  - A process is absent once its last record is older than the heartbeat timeout. One that comes
//    back was taken for dead needlessly: its timeout doubles for a while.
//  - Where nobody at all was heard it was the log that was away, and nobody is absent for it.
//  - A shard without a present owner goes to the present process with the fewest shards, one that
//    is at the end of the shard's journal first. Whoever does not take it in time is passed over.
//  - Owned shards stay where they are, but for balance: once everybody has been there for a while,
//    a process with two more than another gives one away at a time.
//
// Not thread-safe.
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "topics/presence.hpp"

namespace selfheal {

struct PlacementLimits {
  DurationMs heartbeat_timeout_ms = 500;
  DurationMs balance_after_ms = 10000;  // without a change of who is there
};

// A shard that this process should own.
struct PlacementClaim {
  std::int64_t shard = 0;
  std::string reason;  // owner_silent, released or unowned
  std::string from;    // the owner before, where it was seen
  bool operator==(const PlacementClaim&) const = default;
};

struct PlacementOrders {
  std::vector<PlacementClaim> claims;
  std::optional<std::int64_t> give_away;  // a shard of this process that another should own
};

class Placement {
 public:
  Placement(std::string instance, std::string incarnation, std::int64_t shards,
            PlacementLimits limits);

  // One record, in log order; `append_ms` by the log's clock.
  void take(const Presence& presence, TimeMs append_ms);

  // What this process should do now, by the log's clock; nothing before its own first record.
  PlacementOrders orders(TimeMs now_ms);

  // Another process has spoken under this one's name since: this one was taken for dead.
  bool replaced() const { return replaced_; }
  // When a process under this one's name, but another incarnation, was last heard of; 0: never.
  TimeMs namesake_heard_ms() const;
  std::int64_t members_present(TimeMs now_ms) const;
  // The present owner of a shard, or empty.
  std::string owner_of(std::int64_t shard, TimeMs now_ms) const;
  // Until when a process counts as present if nothing more is heard of it; 0: it is unknown.
  TimeMs present_until_ms(const std::string& instance) const;
  // Up to which seq the present owner, or else the last one seen, has handed everything on.
  std::int64_t saved_seq_of(std::int64_t shard) const;
  // How often a process was taken for dead that was not.
  std::int64_t lapses() const { return lapses_; }

 private:
  struct Member {
    Presence latest;
    TimeMs last_ms = 0;
    std::deque<TimeMs> lapses_ms;  // of the last minutes
  };
  struct LastOwner {
    std::string instance;
    std::int64_t epoch = 0;
    std::int64_t saved_seq = 0;
    bool released = false;  // it said so itself
  };
  struct Candidate {
    std::string instance;
    bool warm = false;
    std::int64_t load = 0;
    std::uint64_t tie = 0;
    bool operator<(const Candidate& other) const;
  };

  DurationMs timeout_of(const Member& member) const;
  bool is_present(const Member& member, TimeMs now_ms) const;
  std::map<std::string, std::int64_t> loads(TimeMs now_ms) const;
  std::vector<Candidate> candidates(std::int64_t shard,
                                    const std::map<std::string, std::int64_t>& load,
                                    TimeMs now_ms) const;
  void note_owners(const Member& member);
  void outlast_silence(TimeMs append_ms);
  std::optional<std::int64_t> to_give_away(const std::map<std::string, std::int64_t>& load,
                                           TimeMs now_ms);
  void notice_changes(TimeMs now_ms);

  std::string instance_;
  std::string incarnation_;
  std::int64_t shards_;
  PlacementLimits limits_;
  std::map<std::string, Member> members_;
  std::map<std::int64_t, LastOwner> owners_;
  std::map<std::int64_t, TimeMs> unowned_since_ms_;
  std::vector<std::string> present_;  // as last looked at
  TimeMs changed_ms_ = 0;
  TimeMs gave_away_ms_ = 0;
  bool spoken_ = false;
  bool replaced_ = false;
  std::int64_t lapses_ = 0;
  TimeMs namesake_ms_ = 0;
  TimeMs last_heard_ms_ = 0;  // of anybody
};

}  // namespace selfheal
