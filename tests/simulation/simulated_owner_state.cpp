// Where the state of a simulated owner is kept: on its machine's disk and in snapshots on the bus.
#include "decision/table.hpp"
#include "tests/simulation/simulated_owner.hpp"

namespace selfheal::simulation {

// What this machine has saved, or where it has nothing, what the bus has.
Result<SavedShard> SimulatedOwner::load_state() {
  Result<SavedShard> saved = store_.load(shard_);
  if (!world_.snapshots.is_on || saved->found) return saved;
  Result<SnapshotLoad> load =
      load_snapshot(world_.log, world_.topics, store_, shard_, {world_.public_key});
  SnapshotCounts& counts = world_.snapshots.counts;
  counts.refused += static_cast<std::int64_t>(load->refused.size());
  if (load->saved.found) ++counts.restored_from;
  return std::move(load->saved);
}

void SimulatedOwner::save() {
  PageMap sink;
  fold_->save(sink);
  const Chain& committed = window_->committed();
  if (saved_next_ == committed.journal_next && sink.pages.empty() && sink.erased.empty()) return;
  ShardChanges changes;
  changes.shard = shard_;
  changes.chain = committed;
  changes.last_offset = window_->last_offset();
  changes.last_record_hash = window_->last_record_hash();
  changes.puts = std::move(sink.pages);
  changes.erases = {sink.erased.begin(), sink.erased.end()};
  const Result<void> written = store_.write(changes);
  if (!written) trouble_ = written.error().context;
  saved_next_ = changes.chain.journal_next;
}

void SimulatedOwner::visit_pages(
    const std::function<void(std::string_view key, std::string_view value)>& visit) {
  save();
  static_cast<void>(store_.visit(
      shard_, [](const SavedShard&) { return Result<void>(); },
      [&](std::string_view key, std::string_view value) {
        visit(key, value);
        return Result<void>();
      }));
}

// Writes one now and then, of what is saved, while deciding goes on; the journal names it later.
bool SimulatedOwner::snapshot() {
  Dice& dice = world_.dice;
  constexpr std::size_t credits = 4;
  if (written_ && window_->in_flight() < credits && dice.chance(0.2)) {
    PendingRecord pending;
    pending.record = window_->next_record(JournalKind::snapshot);
    pending.record.version = journal_version;
    pending.record.snapshot = *written_;
    written_.reset();
    append(std::move(pending));
    return true;
  }
  // Due by the records that a restore would have to decide again, and one of each state: what was
  // saved before this incarnation is as good as any.
  const Chain& chain = window_->committed();
  if (chain.seq - chain.snapshot_seq < world_.snapshots.records_min ||
      snapshot_next_ == saved_next_)
    return false;
  if (written_ || !dice.chance(world_.snapshots.chance)) return false;
  snapshot_next_ = saved_next_;
  ChunkFate fate = dice.chance(0.2) ? ChunkFate::twice : ChunkFate::stored;
  if (dice.chance(0.2)) fate = dice.chance(0.5) ? ChunkFate::spoilt : ChunkFate::lost;
  ChunkLog log(world_.log, fate, dice.next());
  Result<SnapshotManifest> manifest = write_snapshot(log, world_.topics, store_, shard_);
  if (!manifest) {
    if (manifest.error().code != ErrorCode::not_found) trouble_ = manifest.error().context;
    return false;
  }
  if (fate == ChunkFate::spoilt || fate == ChunkFate::lost) {
    world_.snapshots.spoilt.insert(manifest->id);
  }
  world_.snapshots.seqs[shard_].insert(manifest->seq);
  written_ = std::move(*manifest);
  return true;
}

// Left out now and then, as by an owner that dies first: then an older one is found.
void SimulatedOwner::point_to_snapshot(const PendingRecord& committed) {
  ++world_.snapshots.counts.written;
  if (world_.dice.chance(0.1)) return;
  const SnapshotPointer pointer{shard_, committed.offset, committed.append_ms,
                                committed.record.snapshot};
  world_.log.append({world_.topics.snapshot_pointers, world_.topics.partition_of(shard_)},
                    *encode_pointer(pointer, world_.secret_key), [](Result<Offset>) {});
}

}  // namespace selfheal::simulation
