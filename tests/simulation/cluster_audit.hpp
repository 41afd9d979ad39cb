#pragma once
// The invariants of a simulated cluster that has come to rest, recomputed from the log alone: each
// journal is read from its beginning and decided again.
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "decision/audit/lock_audit.hpp"
#include "decision/table.hpp"
#include "tests/simulation/simulated_owner.hpp"
#include "tests/simulation/simulation.hpp"

namespace selfheal::simulation {

// Invariant 4 for snapshots: what a journal names as the state of a record is that state, and one
// that was spoilt on its way is refused.
class SnapshotAudit {
 public:
  SnapshotAudit(SharedWorld& world, std::int64_t shard) : world_(world), shard_(shard) {}

  // An accepted record; `pages`: everything saved so far by deciding again.
  void take(const WalkedRecord& walked, JournalWalk& walk, PageMap& pages);
  const std::vector<std::string>& wrong() const { return wrong_; }

 private:
  void compare(const SnapshotManifest& manifest);

  SharedWorld& world_;
  const std::int64_t shard_;
  std::map<std::int64_t, std::map<std::string, std::string>> states_;  // by seq
  std::vector<std::string> wrong_;
};

class ClusterAudit {
 public:
  using Owners = std::vector<std::unique_ptr<SimulatedOwner>>;

  // Findings, digest and counts go into `report`. `owners`: the first of each shard, by shard, is
  // the one that has to be live.
  ClusterAudit(SharedWorld& world, const Owners& owners, SimulationReport& report)
      : world_(world), owners_(owners), report_(report) {}

  enum class Time : std::uint8_t { first, again };  // again: nothing is counted twice
  void audit_all(Time time);
  // No effect without a start that some audit has seen committed, and at most one a start.
  void audit_effects();

 private:
  void audit_shard(std::int64_t shard, Time time, LockAudit& locks);
  void take_events(const JournalRecord& record, Time time);
  void compare_states(std::int64_t shard, JournalWalk& walk, PageMap& again);
  void find(std::string what) { report_.findings.push_back(std::move(what)); }

  SharedWorld& world_;
  const Owners& owners_;
  SimulationReport& report_;
  std::set<std::string> committed_starts_;
};

}  // namespace selfheal::simulation
