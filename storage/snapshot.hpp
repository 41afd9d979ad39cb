#pragma once
// A shard's state on the bus, so that it can be restored on a machine whose disk is empty: its
// saved pages in chunks on the snapshots topic, a record in the shard's journal that names them
// with their hash, and a pointer to that record on a compacted topic. What the journal does not
// name does not count.
//
// A chunk: "SHS1", the snapshot's id (32 hex digits), its index (u32, little-endian), then entries:
// u32 length and bytes of the key, u32 length and bytes of the value. The first entry of the first
// chunk has an empty key: the chain's head, as JSON. At most `chunk_bytes_max` and one entry.
//
// Everything here blocks; thread-safe as its arguments are.
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "storage/page_store.hpp"
#include "topics/log.hpp"
#include "topics/topic_table.hpp"

namespace selfheal {

constexpr std::size_t chunk_bytes_max = std::size_t{512} * 1024;
// A restore from a snapshot decides again what came after it: it must be younger than the inputs
// that their topics keep. A new one is due long before, at a quarter of that.
constexpr DurationMs inputs_kept_ms = 7 * one_day_ms;
constexpr DurationMs snapshot_age_ms_max = inputs_kept_ms / 4;

// Where the journal names a snapshot.
struct SnapshotPointer {
  static constexpr const char* kName = "snapshot_pointer";
  std::int64_t shard = 0;
  std::int64_t journal_offset = 0;
  TimeMs append_ms = 0;  // of that record, by the log's clock
  SnapshotManifest manifest;
  static constexpr auto fields() {
    return std::tuple{field("shard", &SnapshotPointer::shard),
                      field("journal_offset", &SnapshotPointer::journal_offset),
                      field("append_ms", &SnapshotPointer::append_ms),
                      field("manifest", &SnapshotPointer::manifest)};
  }
  bool operator==(const SnapshotPointer&) const = default;
};

// Writes what `store` has saved of a shard. not_found: nothing is saved. Errors of the log and the
// store as they come; a snapshot that was not finished is never named and does no harm.
Result<SnapshotManifest> write_snapshot(Log& log, const TopicNames& topics, PageStore& store,
                                        std::int64_t shard);

// corrupt: a chunk is missing, changed or not a chunk.
Result<SavedShard> read_snapshot(Log& log, const TopicNames& topics, std::int64_t shard,
                                 const SnapshotManifest& manifest);

// Signed by a key of role shard; the newest one of a shard stays on the topic.
Result<NewRecord> encode_pointer(const SnapshotPointer& pointer, const std::string& secret_key);

// The newest pointer of the shard that is signed by one of the keys and whose record stands in the
// journal (or has expired there); none where there is none.
Result<std::optional<SnapshotPointer>> find_snapshot(Log& log, const TopicNames& topics,
                                                     std::int64_t shard,
                                                     const std::vector<std::string>& public_keys);

// What a machine that has saved nothing of a shard begins with.
struct SnapshotLoad {
  SavedShard saved;                  // found: of the snapshot, and by now in the store as well
  std::vector<std::string> refused;  // why newer ones could not be read
};

// The newest snapshot that find_snapshot() would trust and that can be read. Without any, what the
// journal says is slower and enough.
Result<SnapshotLoad> load_snapshot(Log& log, const TopicNames& topics, PageStore& store,
                                   std::int64_t shard, const std::vector<std::string>& public_keys);

}  // namespace selfheal
