#pragma once
// What people and programs look at: incidents with their whole story, proposals, runs, what was
// learnt. Folded from committed records, in memory, saved as rows. Reading the same record twice
// changes nothing. Bounded: of ended incidents the newest are kept, the journal has the rest.
// Thread-safe: many readers, one writer.
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <shared_mutex>
#include <string>
#include <vector>

#include "storage/page_store.hpp"
#include "topics/journal.hpp"
#include "topics/json_codec.hpp"

namespace selfheal {

constexpr std::size_t incidents_kept_max = 5000;
constexpr std::size_t timeline_entries_max = 500;
constexpr std::size_t breakers_kept_max = 1000;

class ReadModel {
 public:
  // Committed records of all shards, each shard's in order.
  void apply(const JournalRecord& record);

  // Newest first. `state` empty: all. An incident's list entry leaves out its timeline.
  std::vector<Json> incidents(const std::string& state = {}) const;
  // With timeline: the envelope of the incident.
  std::optional<Json> incident(const std::string& id) const;
  std::vector<Json> proposals(const std::string& state = {}) const;
  std::optional<Json> proposal(const std::string& id) const;
  std::vector<Json> runs(const std::string& state = {}) const;
  std::optional<Json> run(const std::string& id) const;
  // Circuit breakers that have counted a failure, by shard, playbook and resource kind.
  std::vector<Json> breakers(const std::string& state = {}) const;
  // Locks of the fleet: held, or waited for.
  std::vector<Json> locks(const std::string& state = {}) const;
  // Belief per (service, diagnosis, playbook) as last learnt.
  std::vector<Json> learned() const;
  // The latest decisions, oldest first; at most 1,000 are kept.
  std::vector<Json> recent(std::size_t count) const;
  // Health of services by open incidents: "healthy", "predicted", "ill", "healing", "escalated".
  std::vector<Json> health(const std::string& prefix) const;
  // Last applied seq of a shard; -1 before the first.
  std::int64_t applied(std::int64_t shard) const;
  // Numbers that grow by one with each applied record, to wait on.
  std::uint64_t version() const;
  // The settings of the last CONFIG record applied, canonical JSON; empty before the first. The
  // number grows with each, so that a reader need not compare texts.
  std::string settings() const;
  std::uint64_t settings_number() const;
  // Called after each applied record, outside the lock; for live streams. Set before the first.
  void on_decision(std::function<void(const Json& cloud_event)> listener);

  Result<void> save(PageStore& store);
  Result<void> load(PageStore& store);

 private:
  Json& document(std::map<std::string, Json>& documents, const std::string& kind,
                 const std::string& id);
  void apply_event(const JournalRecord& record, std::int64_t k, const Event& event);
  void apply_lock(const JournalRecord& record, const Event& event);
  void apply_run_event(TimeMs at_ms, const Event& event);
  Json& proposal_in(const std::string& id, const std::string& state, TimeMs at_ms);
  void apply_breaker(const JournalRecord& record, const BreakerChanged& changed);
  std::map<std::string, Json>& documents_of(const std::string& kind);
  void drop_old();

  mutable std::shared_mutex mutex_;
  std::map<std::string, Json> incidents_;
  std::map<std::string, Json> proposals_;
  std::map<std::string, Json> runs_;
  std::map<std::string, Json> learned_;
  std::map<std::string, Json> breakers_;
  std::map<std::string, Json> locks_;  // by action id
  std::deque<std::string> ended_;      // incidents, oldest end first
  std::deque<Json> recent_;
  std::map<std::int64_t, std::int64_t> applied_;
  std::set<std::pair<std::string, std::string>> changed_;  // kind, id
  std::vector<std::string> erased_;
  std::uint64_t version_ = 0;
  std::string settings_;
  std::uint64_t settings_number_ = 0;
  std::function<void(const Json&)> listener_;
};

}  // namespace selfheal
