#pragma once
// Invariant 9, recomputed from the chains of all shards without the code that decides: locks and
// places in the fleet are never over-granted, and nothing is started that could still act when its
// lock ends. Used by the simulator and the audit. Not thread-safe.
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "decision/audit/audit_report.hpp"
#include "decision/settings.hpp"
#include "topics/journal.hpp"

namespace selfheal {

class LockAudit {
 public:
  explicit LockAudit(std::int64_t fleet_shard) : fleet_shard_(fleet_shard) {}

  // Accepted records, each chain's in order; the chains in any order.
  void take(const JournalRecord& record);
  // What has to hold between the chains, once all of them were taken whole: every lock that a run
  // used was granted to it, for as long; every grant was asked for; every release was said. Unless
  // everything has ended, the last records of a chain may tell of what is beyond the end of the
  // part of another that was taken.
  void compare_chains(bool everything_ended);

  const std::vector<Violation>& violations() const { return violations_; }
  std::int64_t grants() const { return static_cast<std::int64_t>(granted_.size()); }
  std::int64_t starts() const { return starts_; }  // under a lock

 private:
  using Request = std::pair<std::string, std::int64_t>;  // action id, number
  struct Held {
    std::string target;
    TimeMs until_ms = 0;
  };
  struct Said {
    std::string place;
    TimeMs tick_ms = 0;
  };
  struct Promise {
    TimeMs until_ms = 0;
    Said said;
  };
  void take_fleet_event(const JournalRecord& record, const std::string& place, const Event& event);
  void take_grant(const JournalRecord& record, const std::string& place,
                  const LockGranted& granted);
  void take_run_event(const Said& said, const Event& event);
  void violate(const std::string& place, const std::string& what);

  std::int64_t fleet_shard_;
  LimitSettings limits_;  // in force on the fleet's chain
  std::map<std::string, Held> held_;
  std::vector<TimeMs> begun_ms_;
  std::map<Request, Promise> granted_;
  std::map<std::string, Said> freed_;  // by action id: where a holder released it

  std::map<std::int64_t, bool> locks_expected_;  // by shard: its build knows locks
  std::map<Request, std::string> requested_;
  std::map<Request, Promise> acquired_;
  std::map<std::string, std::string> modes_;     // of runs
  std::map<std::string, TimeMs> covered_ms_;     // until when a run holds its lock
  std::map<std::string, std::string> released_;  // action id -> place
  std::int64_t starts_ = 0;
  TimeMs newest_ms_ = 0;
  std::vector<Violation> violations_;
};

}  // namespace selfheal
