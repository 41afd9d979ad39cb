#include "decision/shard/placement.hpp"

#include <algorithm>
#include <tuple>

#include "base/hash.hpp"

namespace selfheal {
namespace {

// How long a needless absence is held against a process.
constexpr DurationMs lapse_memory_ms = 10 * one_minute_ms;
// A timeout doubles with each of them, up to 16-fold.
constexpr std::size_t doublings_max = 4;
// A process that has not taken a shard within as many timeouts is passed over for the next one.
constexpr std::int64_t timeouts_to_take = 4;
// Names come from outside: a cluster of more processes than this is not meant.
constexpr std::size_t members_max = 1024;

const ShardPresence* shard_of(const Presence& presence, std::int64_t shard) {
  for (const ShardPresence& each : presence.shards) {
    if (each.shard == shard) return &each;
  }
  return nullptr;
}

}  // namespace

bool Placement::Candidate::operator<(const Candidate& other) const {
  return std::tuple(!warm, load, tie, instance) <
         std::tuple(!other.warm, other.load, other.tie, other.instance);
}

Placement::Placement(std::string instance, std::string incarnation, std::int64_t shards,
                     PlacementLimits limits)
    : instance_(std::move(instance)),
      incarnation_(std::move(incarnation)),
      shards_(shards),
      limits_(limits) {}

DurationMs Placement::timeout_of(const Member& member) const {
  return limits_.heartbeat_timeout_ms << std::min(member.lapses_ms.size(), doublings_max);
}

bool Placement::is_present(const Member& member, TimeMs now_ms) const {
  return now_ms - member.last_ms <= timeout_of(member);
}

void Placement::note_owners(const Member& member) {
  for (const ShardPresence& each : member.latest.shards) {
    if (each.shard < 0 || each.shard >= shards_) continue;
    LastOwner& owner = owners_[each.shard];
    if (each.state == "live" && each.epoch >= owner.epoch) {
      owner = {member.latest.instance, each.epoch, each.saved_seq, false};
    } else if (owner.instance == member.latest.instance) {
      owner.released = true;
    }
  }
}

// When nobody was heard for a while it was the log that was away: who was there before still is.
// Of such a silence a little counts all the same: else a survivor that is slow to say that it is
// there would keep a dead process present for ever.
void Placement::outlast_silence(TimeMs append_ms) {
  const TimeMs before_ms = last_heard_ms_;
  last_heard_ms_ = std::max(last_heard_ms_, append_ms);
  const DurationMs silent_ms = append_ms - before_ms;
  if (before_ms == 0 || silent_ms <= limits_.heartbeat_timeout_ms / 2) return;
  for (auto& [name, member] : members_) {
    if (!is_present(member, before_ms)) continue;
    member.last_ms += silent_ms - limits_.heartbeat_timeout_ms / 4;
  }
}

void Placement::take(const Presence& presence, TimeMs append_ms) {
  const bool own_name = presence.instance == instance_;
  if (own_name && presence.incarnation != incarnation_) {
    // Before this process has spoken, an earlier one of its name may still be there.
    if (spoken_) replaced_ = true;
    namesake_ms_ = append_ms;
    if (spoken_) return;
  }
  if (own_name && presence.incarnation == incarnation_) spoken_ = true;
  outlast_silence(append_ms);
  const bool known = members_.contains(presence.instance);
  if (!known && members_.size() >= members_max) return;
  Member& member = members_[presence.instance];
  if (known && member.latest.incarnation == presence.incarnation) {
    while (!member.lapses_ms.empty() && member.lapses_ms.front() < append_ms - lapse_memory_ms) {
      member.lapses_ms.pop_front();
    }
    if (!is_present(member, append_ms)) {
      member.lapses_ms.push_back(append_ms);
      if (!own_name) ++lapses_;
    }
  } else {
    member.lapses_ms.clear();
  }
  member.latest = presence;
  member.last_ms = append_ms;
  note_owners(member);
}

TimeMs Placement::namesake_heard_ms() const {
  return namesake_ms_;
}

std::int64_t Placement::members_present(TimeMs now_ms) const {
  return std::count_if(members_.begin(), members_.end(),
                       [&](const auto& each) { return is_present(each.second, now_ms); });
}

std::string Placement::owner_of(std::int64_t shard, TimeMs now_ms) const {
  std::string owner;
  std::int64_t epoch = -1;
  for (const auto& [name, member] : members_) {
    if (!is_present(member, now_ms)) continue;
    const ShardPresence* found = shard_of(member.latest, shard);
    if (found == nullptr || found->state != "live" || found->epoch <= epoch) continue;
    owner = name;
    epoch = found->epoch;
  }
  return owner;
}

TimeMs Placement::present_until_ms(const std::string& instance) const {
  const auto found = members_.find(instance);
  return found == members_.end() ? 0 : found->second.last_ms + timeout_of(found->second);
}

std::int64_t Placement::saved_seq_of(std::int64_t shard) const {
  const auto found = owners_.find(shard);
  return found == owners_.end() ? 0 : found->second.saved_seq;
}

std::map<std::string, std::int64_t> Placement::loads(TimeMs now_ms) const {
  std::map<std::string, std::int64_t> load;
  for (const auto& [name, member] : members_) {
    if (is_present(member, now_ms) && !member.latest.leaving) load[name] = 0;
  }
  for (std::int64_t shard = 0; shard < shards_; ++shard) {
    const auto found = load.find(owner_of(shard, now_ms));
    if (found != load.end()) ++found->second;
  }
  return load;
}

std::vector<Placement::Candidate> Placement::candidates(
    std::int64_t shard, const std::map<std::string, std::int64_t>& load, TimeMs now_ms) const {
  std::vector<Candidate> found;
  for (const auto& [name, member] : members_) {
    if (member.latest.leaving || !is_present(member, now_ms)) continue;
    const ShardPresence* at = shard_of(member.latest, shard);
    if (at == nullptr || at->state == "away") continue;
    found.push_back(
        {name, at->state == "standby", load.at(name), hash64(name + "/" + std::to_string(shard))});
  }
  std::sort(found.begin(), found.end());
  return found;
}

void Placement::notice_changes(TimeMs now_ms) {
  std::vector<std::string> present;
  for (const auto& [name, member] : members_) {
    if (is_present(member, now_ms)) present.push_back(name);
  }
  if (present == present_) return;
  present_ = std::move(present);
  changed_ms_ = now_ms;
}

std::optional<std::int64_t> Placement::to_give_away(const std::map<std::string, std::int64_t>& load,
                                                    TimeMs now_ms) {
  const bool settled = now_ms - changed_ms_ >= limits_.balance_after_ms &&
                       now_ms - gave_away_ms_ >= timeouts_to_take * limits_.heartbeat_timeout_ms;
  const auto mine = load.find(instance_);
  if (!settled || mine == load.end()) return std::nullopt;
  const auto most = std::max_element(
      load.begin(), load.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  if (most->first != instance_) return std::nullopt;  // one process at a time
  for (std::int64_t shard = 0; shard < shards_; ++shard) {
    if (owner_of(shard, now_ms) != instance_) continue;
    for (const auto& [name, count] : load) {
      if (count + 2 > mine->second) continue;
      const ShardPresence* there = shard_of(members_.at(name).latest, shard);
      if (there == nullptr || there->state != "standby") continue;
      gave_away_ms_ = now_ms;
      return shard;
    }
  }
  return std::nullopt;
}

PlacementOrders Placement::orders(TimeMs now_ms) {
  PlacementOrders orders;
  if (!spoken_ || replaced_) return orders;
  // A process that was stopped for a while first has to hear of itself again.
  if (!is_present(members_.at(instance_), now_ms)) return orders;
  notice_changes(now_ms);
  std::map<std::string, std::int64_t> load = loads(now_ms);
  bool all_owned = true;
  for (std::int64_t shard = 0; shard < shards_; ++shard) {
    if (!owner_of(shard, now_ms).empty()) {
      unowned_since_ms_.erase(shard);
      continue;
    }
    all_owned = false;
    const TimeMs since_ms = unowned_since_ms_.try_emplace(shard, now_ms).first->second;
    const std::vector<Candidate> order = candidates(shard, load, now_ms);
    if (order.empty()) continue;
    const auto passed_over = static_cast<std::size_t>(
        (now_ms - since_ms) / (timeouts_to_take * limits_.heartbeat_timeout_ms));
    const std::string& chosen = order[passed_over % order.size()].instance;
    ++load[chosen];
    if (chosen != instance_) continue;
    const auto before = owners_.find(shard);
    PlacementClaim claim{shard, "unowned", ""};
    if (before != owners_.end() && !before->second.instance.empty()) {
      claim.from = before->second.instance;
      claim.reason = before->second.released ? "released" : "owner_silent";
    }
    orders.claims.push_back(std::move(claim));
  }
  if (all_owned) orders.give_away = to_give_away(load, now_ms);
  return orders;
}

}  // namespace selfheal
