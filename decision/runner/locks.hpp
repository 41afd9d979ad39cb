#pragma once
// The runner's side of locks: what each run has asked the fleet's shard for, and what it was given.
// All of it follows from events.
#include <string>

#include "decision/stage.hpp"

namespace selfheal {

// A started step must have ended this long before its lock does: owners' clocks are held to the
// log's within a second on either side, and what a target still does must be over by then.
constexpr DurationMs lock_margin_ms = 5 * one_second_ms;
// A lock is asked for the whole run, but not for longer than this (or than its next step takes): a
// run that takes longer asks again.
constexpr DurationMs lock_hold_ms_max = 15 * one_minute_ms;

struct RunLock {
  std::string target;
  std::int64_t number = 0;  // of the last request
  bool awaited = false;     // it has not been answered with the lock
  std::string waits_for;    // what the fleet's shard said about it
  TimeMs give_up_ms = 0;
  TimeMs until_ms = 0;  // 0: never held
  bool over = false;    // the run has ended: to be released
  static constexpr auto fields() {
    return std::tuple{field("target", &RunLock::target),
                      field("number", &RunLock::number),
                      field("awaited", &RunLock::awaited),
                      field("waits_for", &RunLock::waits_for),
                      field("give_up_ms", &RunLock::give_up_ms),
                      field("until_ms", &RunLock::until_ms),
                      field("over", &RunLock::over)};
  }
  bool operator==(const RunLock&) const = default;
};

// Not thread-safe.
class RunLocks {
 public:
  RunLocks() : rows_("runner/lock/") {}

  const RunLock* find(const std::string& action_id) const { return rows_.find(action_id); }
  // True where what may act until `last_ms` is covered.
  bool covers(const std::string& action_id, TimeMs last_ms) const;
  // Locks whose run has ended, by action id.
  std::vector<std::pair<std::string, RunLock>> to_release() const;
  bool any_to_release() const;

  void evolve(const Event& event);

  void save(PageSink& sink) { rows_.save(sink); }
  bool load(std::string_view page_key, std::string_view value) {
    return rows_.load(page_key, value);
  }

 private:
  Table<RunLock> rows_;  // by action id
};

// What a run locks: its resource, or where it has none, its service.
std::string lock_target(const RunIntent& intent);

// How long a run may need its lock: every step with all its tries, the checks after it, and the
// way back.
DurationMs lock_hold_ms(const Playbook& playbook, const Settings& settings);

}  // namespace selfheal
