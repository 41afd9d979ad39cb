#pragma once
// What people and programs look at: incidents with their whole story, proposals, runs, what was
// learnt. Folded from committed records into rows of the page store; in memory are an index and
// what is not saved yet. Reading the same record twice changes nothing. Bounded: of ended incidents
// the newest are kept, the journal has the rest. Thread-safe: many readers, one writer.
#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <vector>

#include "storage/document_table.hpp"
#include "storage/recent_decisions.hpp"
#include "storage/row_buffer.hpp"
#include "topics/journal.hpp"

namespace selfheal {

constexpr std::size_t incidents_kept_max = 5000;
constexpr std::size_t timeline_entries_max = 500;
constexpr std::size_t breakers_kept_max = 1000;

class ReadModel {
 public:
  explicit ReadModel(std::shared_ptr<PageStore> store);

  // What was saved; once, before anything is applied.
  Result<void> load();
  // Committed records of all shards, each shard's in order.
  void apply(const JournalRecord& record);
  // What a full disk refuses stays in memory, as text, and is tried again with the next.
  Result<void> save();

  // Lists are newest first. An incident's entry leaves out its timeline.
  std::vector<Json> incidents(const DocumentQuery& query = {}) const;
  // With timeline: the envelope of the incident.
  std::optional<Json> incident(const std::string& id) const;
  std::vector<Json> proposals(const DocumentQuery& query = {}) const;
  std::optional<Json> proposal(const std::string& id) const;
  std::vector<Json> runs(const DocumentQuery& query = {}) const;
  std::optional<Json> run(const std::string& id) const;
  // Circuit breakers that have counted a failure, by shard, playbook and resource kind.
  std::vector<Json> breakers(const DocumentQuery& query = {}) const;
  // Locks of the fleet: held, or waited for.
  std::vector<Json> locks(const DocumentQuery& query = {}) const;
  // Shards whose input is suspected, as their decision says, with since when.
  std::vector<Json> suspected_inputs() const;
  // Belief per (service, diagnosis) of a playbook as last learnt.
  std::vector<Json> learned(const std::string& playbook) const;
  // The latest decisions, oldest first; as many as RecentDecisions keeps.
  std::vector<Json> recent(std::size_t count) const;
  // Health of services by open incidents: "predicted", "ill", "healing", "escalated".
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

 private:
  void apply_event(const JournalRecord& record, const Event& event, const std::string& told);
  void apply_to_incident(TimeMs at_ms, const Event& event, const std::string& told);
  void apply_run_event(TimeMs at_ms, const Event& event);
  void apply_run_end(TimeMs at_ms, const Event& event);
  void apply_lock(const JournalRecord& record, const Event& event);
  void apply_breaker(const JournalRecord& record, const BreakerChanged& changed);
  void change_proposal(const std::string& id, const std::string& state, TimeMs at_ms,
                       const std::function<void(Json&)>& change = {});
  void add_to_story(Json& incident, const std::string& told);
  void drop_old();
  void apply_input_path(const JournalRecord& record, const InputPathChanged& changed);
  std::array<DocumentTable*, 7> tables();

  mutable std::shared_mutex mutex_;
  RowBuffer rows_;
  DocumentTable incidents_{"read_model/incident/", rows_};
  DocumentTable proposals_{"read_model/proposal/", rows_};
  DocumentTable runs_{"read_model/run/", rows_};
  DocumentTable learned_{"read_model/learned/", rows_};
  DocumentTable breakers_{"read_model/breaker/", rows_};
  DocumentTable locks_{"read_model/lock/", rows_};                        // by action id
  DocumentTable suspected_inputs_{"read_model/suspected_input/", rows_};  // by shard
  RecentDecisions recent_{rows_};
  std::deque<std::string> ended_;  // incidents, oldest end first
  std::map<std::int64_t, std::int64_t> applied_;
  std::uint64_t version_ = 0;
  std::string settings_;
  std::uint64_t settings_number_ = 0;
  std::function<void(const Json&)> listener_;
};

}  // namespace selfheal
