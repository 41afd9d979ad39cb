#pragma once
// Disks of a simulated cluster that are lost with everything on them, and the snapshots on the bus
// that bring a shard back: written and read by the product's own code, over a log that now and then
// spoils a chunk or never stores it.
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "storage/snapshot.hpp"
#include "topics/memory_log.hpp"

namespace selfheal::simulation {

// What one machine has saved, until its disk is lost.
class SimulatedDisk : public PageStore {
 public:
  void lose() { store_ = std::make_unique<MemoryPageStore>(); }

  Result<SavedShard> load(std::int64_t shard) override { return store_->load(shard); }
  Result<void> write(const ShardChanges& changes) override { return store_->write(changes); }
  Result<void> visit(std::int64_t shard, const VisitHead& head, const VisitPage& page) override {
    return store_->visit(shard, head, page);
  }
  Result<void> write_rows(const RowChanges& changes) override {
    return store_->write_rows(changes);
  }
  Result<std::optional<std::string>> read_row(const std::string& key) override {
    return store_->read_row(key);
  }
  Result<void> visit_rows(const std::string& prefix, const VisitPage& visit) override {
    return store_->visit_rows(prefix, visit);
  }

 private:
  std::unique_ptr<MemoryPageStore> store_ = std::make_unique<MemoryPageStore>();
};

// What becomes of the chunks of one snapshot.
enum class ChunkFate : std::uint8_t { stored, twice, spoilt, lost };

// The log as the writer of one snapshot sees it: chunks are answered at once, whatever else is
// queued on other partitions.
class ChunkLog : public Log {
 public:
  // `place` says where in a chunk a byte changes.
  ChunkLog(MemoryLog& log, ChunkFate fate, std::uint64_t place)
      : log_(log), fate_(fate), place_(place) {}

  Result<void> create_topics(const std::vector<TopicSpec>& topics) override;
  Result<std::int32_t> partitions(const std::string& topic) override;
  Result<OffsetRange> range(const TopicPartition& where) override { return log_.range(where); }
  void append(const TopicPartition& where, NewRecord record, Delivered delivered) override;
  Result<std::unique_ptr<LogReader>> open(const TopicPartition& where, Offset start,
                                          Wake wake) override;
  Result<void> flush(DurationMs timeout_ms) override { return log_.flush(timeout_ms); }
  std::string describe() const override { return log_.describe(); }

 private:
  MemoryLog& log_;
  const ChunkFate fate_;
  const std::uint64_t place_;
};

// The snapshots of a cluster, and what its machines met.
struct SnapshotCounts {
  std::int64_t disks_lost = 0;
  std::int64_t written = 0;  // and named in a journal
  std::int64_t restored_from = 0;
  std::int64_t refused = 0;
};

struct SimulatedSnapshots {
  bool is_on = false;             // in schedules without them nobody draws for them either
  std::int64_t records_min = 25;  // that a restore would decide again: then one is due
  double chance = 0.1;            // that an owner whose snapshot is due writes it now
  std::set<std::string> spoilt;   // ids of those that must be refused
  // By shard, the records whose state some snapshot has: the audit need not keep the others.
  std::map<std::int64_t, std::set<std::int64_t>> seqs;
  SnapshotCounts counts;
};

}  // namespace selfheal::simulation
