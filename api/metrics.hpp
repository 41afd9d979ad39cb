#pragma once
// What the service shows about itself, by prometheus-cpp. Every label set is bounded: names come
// from our own lists, never from what others send. Thread-safe.
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "topics/events.hpp"

namespace selfheal {

struct FleetLock {
  std::string target;
  std::string action_id;
  TimeMs until_ms = 0;
};

class Metrics {
 public:
  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // Signals decided on in a committed cut, by SignalType.
  void count_signals(const std::vector<std::int64_t>& by_type);
  // One committed decision: counters, and the sliding windows behind the rates.
  void count_event(const Event& event, TimeMs now_ms);
  void observe_commit(double seconds);
  void observe_decide(double seconds);
  void observe_stage(const std::string& stage, double seconds);
  void set_lag(std::int64_t shard, double seconds, std::int64_t records);
  // While it is not known the gauge is absent, never a false 0.
  void forget_lag(std::int64_t shard);
  // What no event tells of: a record that was left out, or one of a partition that no shard reads.
  void count_dead_letter(const std::string& reason);
  void count_ignored(const std::string& reason);
  void set_shards(const std::map<std::string, std::int64_t>& by_state);
  void set_breakers(const std::map<std::string, std::int64_t>& by_state);
  // Shards whose input is suspected: many of their services fell silent at once.
  void set_suspected_inputs(const std::set<std::int64_t>& shards);
  // Locks of targets that are held, and how many runs wait for one.
  void set_fleet(const std::vector<FleetLock>& held, std::size_t waiting);
  // Who holds the fleet-wide role, and until when if nothing more is heard of it (0: no limit).
  void set_lease(const std::string& owner, TimeMs until_ms);
  void set_series(std::int64_t shard, std::int64_t series);
  void count_restart(const std::string& kind);
  // A shard was claimed by this process; the reason is of PlacementClaim, or alone, or restarted.
  void count_takeover(const std::string& reason);
  // A shard's state was loaded from the bus.
  void count_restore(const std::string& source);
  // Its newest snapshot; the headroom is how long inputs since then are still kept.
  void set_snapshot(std::int64_t shard, double age_seconds, double headroom_seconds);
  // Partitions of the signals beyond the number of shards.
  void set_extra_partitions(std::int64_t count);
  // Processes that are there, and how often one was taken for dead needlessly, in all.
  void set_members(std::int64_t present, std::int64_t lapses);

  // The text exposition format. Sliding windows are brought up to `now_ms`.
  std::string render(TimeMs now_ms);

 private:
  struct Families;
  std::unique_ptr<Families> families_;
};

}  // namespace selfheal
