#include "tests/simulation/cluster_audit.hpp"

#include "decision/audit/run_audit.hpp"
#include "tests/simulation/skip_audit.hpp"
#include "topics/event_codec.hpp"

namespace selfheal::simulation {

void SnapshotAudit::take(const WalkedRecord& walked, JournalWalk& walk, PageMap& pages) {
  const JournalRecord& record = *walked.record;
  if (record.kind == JournalKind::snapshot) return compare(record.snapshot);
  if (record.kind != JournalKind::batch || !world_.snapshots.seqs[shard_].contains(record.seq)) {
    return;
  }
  walk.fold().save(pages);
  states_[record.seq] = pages.pages;
}

void SnapshotAudit::compare(const SnapshotManifest& manifest) {
  const std::string name = "4: the snapshot of shard " + std::to_string(shard_) + " at seq " +
                           std::to_string(manifest.seq);
  const Result<SavedShard> saved = read_snapshot(world_.log, world_.topics, shard_, manifest);
  const bool spoilt = world_.snapshots.spoilt.contains(manifest.id);
  if (spoilt == saved.has_value()) {
    wrong_.push_back(name + (spoilt ? " is spoilt and not refused" : ": " + saved.error().context));
  }
  const auto state = states_.find(manifest.seq);
  if (!saved || state == states_.end()) return;
  const std::map<std::string, std::string> pages(saved->pages.begin(), saved->pages.end());
  if (pages != state->second) wrong_.push_back(name + " is not what follows from the journal");
}

void ClusterAudit::audit_all(Time time) {
  LockAudit locks(world_.partitions);
  for (std::int64_t shard = 0; shard <= world_.partitions; ++shard) {
    audit_shard(shard, time, locks);
  }
  // A chain that has lost its tail has forgotten what others have heard of it.
  if (time == Time::first) locks.compare_chains(true);
  for (const Violation& violation : locks.violations()) {
    find("9: " + violation.place + ": " + violation.what);
  }
  if (time == Time::first) report_.locks += locks.grants();
}

void ClusterAudit::audit_effects() {
  for (const auto& [key, count] : world_.target.effects()) {
    report_.effects += count;
    if (count > 1) find("3: " + key + " took effect twice");
    if (!committed_starts_.contains(key)) {
      find("3: " + key + " took effect without a committed start");
    }
    report_.digest = hash64(key, report_.digest);
  }
}

void ClusterAudit::audit_shard(std::int64_t shard, Time time, LockAudit& locks) {
  JournalWalk walk(world_.log, world_.topics, shard, world_.decode,
                   {.tolerate_lost_inputs = false});
  RunAudit checker;
  SkipAudit skips(world_.topics);
  SnapshotAudit snapshots(world_, shard);
  PageMap again;
  const Result<OffsetRange> range = world_.log.range(world_.topics.journal_of(shard));
  const Result<void> read =
      walk.read_to(range->end, [&](const WalkedRecord& walked) -> Result<void> {
        if (walked.acceptance == Acceptance::stale_epoch &&
            walked.record->kind == JournalKind::batch && time == Time::first) {
          ++report_.zombie_appends;
        }
        if (walked.acceptance != Acceptance::accepted) return {};
        skips.take(*walked.record);
        checker.take(*walked.record, walked.difference);
        locks.take(*walked.record);
        take_events(*walked.record, time);
        const bool reloads =
            walked.record->kind == JournalKind::config && walked.record->generation > 1;
        if (reloads && time == Time::first) ++report_.reloads;
        if (world_.snapshots.is_on) snapshots.take(walked, walk, again);
        return {};
      });
  if (!read) find("1: " + read.error().context);
  checker.finish(false);
  for (const Violation& violation : checker.violations()) {
    find(std::to_string(violation.invariant) + ": " + violation.place + ": " + violation.what);
  }
  if (time == Time::first) {
    report_.decisions += checker.counts().decisions;
    report_.claims += checker.counts().claims;
    report_.in_doubt += checker.counts().in_doubt;
    report_.failed_cuts += checker.counts().failed;
    report_.poisoned += checker.counts().skipped;
  }
  for (const std::string& wrong : skips.finish(shard, world_.poison)) find(wrong);
  for (const std::string& wrong : snapshots.wrong()) find(wrong);
  compare_states(shard, walk, again);
}

void ClusterAudit::take_events(const JournalRecord& record, Time time) {
  for (const Event& event : record.events) {
    report_.digest = hash64(event_text(event), report_.digest);
    if (const auto* started = std::get_if<RunStarted>(&event.body)) {
      committed_starts_.insert(SimulatedTarget::key_of(*started));
    }
    if (time == Time::again) continue;
    if (std::holds_alternative<IncidentOpened>(event.body)) ++report_.incidents;
    if (std::holds_alternative<LockQueued>(event.body)) ++report_.lock_waits;
    const auto* path = std::get_if<InputPathChanged>(&event.body);
    if (path != nullptr && path->suspected) ++report_.suspicions;
    if (std::holds_alternative<DoubtResolved>(event.body)) ++report_.doubts_ended;
  }
}

// Invariant 4: state by deciding again = live state, and 2: nothing that was sent was left out.
void ClusterAudit::compare_states(std::int64_t shard, JournalWalk& walk, PageMap& again) {
  SimulatedOwner& owner = *owners_[static_cast<std::size_t>(shard)];
  if (!owner.is_live()) return find("10: shard " + std::to_string(shard) + " is not live");
  walk.fold().save(again);
  std::map<std::string, std::string> live;
  owner.visit_pages(
      [&](std::string_view key, std::string_view value) { live[std::string(key)] = value; });
  for (const auto& [key, value] : again.pages) {
    const auto found = live.find(key);
    if (found != live.end() && found->second == value) continue;
    find("4: " + key + " differs: live " + (found == live.end() ? "nothing" : found->second) +
         ", again " + value);
    break;
  }
  if (again.pages.size() != live.size()) find("4: the live state has other rows");
  if (walk.chain().signals_next != world_.signals_end(shard)) {
    find("2: signals are left over on shard " + std::to_string(shard));
  }
}

}  // namespace selfheal::simulation
