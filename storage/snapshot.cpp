#include "storage/snapshot.hpp"

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <mutex>

#include "base/signature.hpp"
#include "topics/json_codec.hpp"

namespace selfheal {
namespace {

constexpr std::string_view magic = "SHS1";
constexpr std::size_t id_size = 32;
constexpr std::size_t header_size = magic.size() + id_size + sizeof(std::uint32_t);
// Chunks that the log has not answered: they bound the memory of a snapshot.
constexpr int in_flight_max = 4;
constexpr std::chrono::seconds answer_wait{30};
// No manifest may make a reader ask for more than this.
constexpr std::int64_t chunks_max = 1 << 20;

void append_u32(std::string& out, std::uint32_t value) {
  for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>(value >> shift & 0xff);
}

// False where fewer than four bytes are left.
bool take_u32(std::string_view& in, std::uint32_t& value) {
  if (in.size() < sizeof value) return false;
  value = 0;
  for (std::size_t i = 0; i < sizeof value; ++i) {
    value |= static_cast<std::uint32_t>(static_cast<unsigned char>(in[i])) << (8 * i);
  }
  in.remove_prefix(sizeof value);
  return true;
}

bool take_text(std::string_view& in, std::string_view& text) {
  std::uint32_t size = 0;
  if (!take_u32(in, size) || in.size() < size) return false;
  text = in.substr(0, size);
  in.remove_prefix(size);
  return true;
}

// Appends chunks and keeps account of them: of the offsets, the hash and what is on its way.
class ChunkWriter {
 public:
  ChunkWriter(Log& log, TopicPartition where, std::string id)
      : log_(log), where_(std::move(where)), answers_(std::make_shared<Answers>()) {
    manifest_.id = std::move(id);
    begin_chunk();
  }

  Result<void> add(std::string_view key, std::string_view value) {
    const std::size_t size = key.size() + value.size() + 2 * sizeof(std::uint32_t);
    if (chunk_.size() > header_size && chunk_.size() + size > chunk_bytes_max) {
      Result<void> sent = send();
      if (!sent) return sent;
    }
    append_u32(chunk_, static_cast<std::uint32_t>(key.size()));
    chunk_ += key;
    append_u32(chunk_, static_cast<std::uint32_t>(value.size()));
    chunk_ += value;
    return {};
  }

  Result<SnapshotManifest> finish() {
    if (const Result<void> sent = send(); !sent) return sent.error();
    if (const Result<void> stored = wait_for(0); !stored) return stored.error();
    const std::lock_guard lock(answers_->mutex);
    manifest_.first_offset = answers_->first;
    manifest_.end_offset = answers_->last + 1;
    manifest_.sha256 = to_hex(hash_);
    return manifest_;
  }

 private:
  // Outlives the writer: the log may answer after it was given up.
  struct Answers {
    std::mutex mutex;
    std::condition_variable changed;
    int in_flight = 0;
    Offset first = -1;
    Offset last = -1;
    std::optional<Error> error;
  };

  void begin_chunk() {
    chunk_ = magic;
    chunk_ += manifest_.id;
    append_u32(chunk_, static_cast<std::uint32_t>(manifest_.chunks));
  }

  Result<void> send() {
    if (Result<void> room = wait_for(in_flight_max - 1); !room) return room;
    hash_ =
        sha256(std::string_view(reinterpret_cast<const char*>(hash_.data()), hash_.size()), chunk_);
    manifest_.bytes += static_cast<std::int64_t>(chunk_.size());
    ++manifest_.chunks;
    {
      const std::lock_guard lock(answers_->mutex);
      ++answers_->in_flight;
    }
    log_.append(where_, NewRecord{.value = std::move(chunk_)},
                [answers = answers_](const Result<Offset>& stored) {
                  const std::lock_guard lock(answers->mutex);
                  --answers->in_flight;
                  if (!stored) {
                    answers->error = stored.error();
                  } else if (*stored < 0) {
                    answers->error = Error{ErrorCode::unavailable, "the log did not say where"};
                  } else {
                    if (answers->first < 0) answers->first = *stored;
                    answers->first = std::min(answers->first, *stored);
                    answers->last = std::max(answers->last, *stored);
                  }
                  answers->changed.notify_all();
                });
    begin_chunk();
    return {};
  }

  Result<void> wait_for(int in_flight) {
    std::unique_lock lock(answers_->mutex);
    const bool answered = answers_->changed.wait_for(
        lock, answer_wait, [&] { return answers_->error || answers_->in_flight <= in_flight; });
    if (answers_->error) return *answers_->error;
    if (!answered) return Error{ErrorCode::unavailable, "the log did not answer a chunk"};
    return {};
  }

  Log& log_;
  TopicPartition where_;
  SnapshotManifest manifest_;
  Sha256 hash_{};
  std::string chunk_;
  std::shared_ptr<Answers> answers_;
};

// Puts a snapshot together again, chunk by chunk.
class ChunkReader {
 public:
  explicit ChunkReader(const SnapshotManifest& manifest) : manifest_(manifest) {}

  Result<void> take(std::string_view chunk) {
    if (!is_mine(chunk)) return {};  // of another snapshot, on the same partition
    std::string_view rest = chunk.substr(magic.size() + id_size);
    std::uint32_t index = 0;
    if (!take_u32(rest, index)) return broken("a chunk is cut short");
    if (index < chunks_) return {};  // stored twice by the log
    if (index > chunks_) return broken("chunk " + std::to_string(chunks_) + " is missing");
    hash_ =
        sha256(std::string_view(reinterpret_cast<const char*>(hash_.data()), hash_.size()), chunk);
    ++chunks_;
    while (!rest.empty()) {
      std::string_view key;
      std::string_view value;
      if (!take_text(rest, key) || !take_text(rest, value)) return broken("a chunk is cut short");
      if (key.empty()) {
        Result<void> head = decode_saved_head(std::string(value), saved_);
        if (!head) return head;
      } else {
        saved_.pages.emplace_back(key, value);
      }
    }
    return {};
  }

  Result<SavedShard> finish() {
    if (chunks_ != manifest_.chunks) {
      return broken(std::to_string(manifest_.chunks - chunks_) + " chunks are missing").error();
    }
    if (to_hex(hash_) != manifest_.sha256) return broken("its bytes have changed").error();
    if (!saved_.found) return broken("it has no head").error();
    if (saved_.chain.seq != manifest_.seq) return broken("its head is another one").error();
    return std::move(saved_);
  }

 private:
  bool is_mine(std::string_view chunk) const {
    return chunk.starts_with(magic) && chunk.substr(magic.size(), id_size) == manifest_.id;
  }
  Result<void> broken(const std::string& how) const {
    return Error{ErrorCode::corrupt, "snapshot " + manifest_.id + ": " + how};
  }

  const SnapshotManifest& manifest_;
  SavedShard saved_;
  Sha256 hash_{};
  std::int64_t chunks_ = 0;
};

// The journal's own word for a pointer. True as well where the record has expired.
Result<bool> is_named(Log& log, const TopicNames& topics, const SnapshotPointer& pointer) {
  const TopicPartition where = topics.journal_of(pointer.shard);
  const Result<OffsetRange> range = log.range(where);
  if (!range) return range.error();
  if (pointer.journal_offset < range->begin) return true;
  if (pointer.journal_offset >= range->end) return false;
  bool named = false;
  const Result<void> read =
      read_range(log, where, {pointer.journal_offset, pointer.journal_offset + 1},
                 [&](const RecordBatch& batch, const LogReader&) -> Result<void> {
                   const Result<SignedBody> parts = unwrap_body(batch.records.front().value);
                   if (!parts) return {};
                   const Result<JournalRecord> record = decode_body(parts->body);
                   named = record && record->kind == JournalKind::snapshot &&
                           record->snapshot == pointer.manifest;
                   return {};
                 });
  if (!read) return read.error();
  return named;
}

bool is_trusted(const SignedBody& parts, const std::vector<std::string>& public_keys) {
  return std::any_of(public_keys.begin(), public_keys.end(), [&](const std::string& key) {
    return verify(key, parts.body, parts.signature);
  });
}

// The trusted pointers of a shard, newest first. Whether the journal confirms them is not asked.
Result<std::vector<SnapshotPointer>> trusted_pointers(Log& log, const TopicNames& topics,
                                                      std::int64_t shard,
                                                      const std::vector<std::string>& public_keys) {
  const TopicPartition where{topics.snapshot_pointers, topics.partition_of(shard)};
  const Result<OffsetRange> range = log.range(where);
  if (!range) return range.error();
  std::vector<SnapshotPointer> found;
  const Result<void> read = read_range(
      log, where, *range, [&](const RecordBatch& batch, const LogReader&) -> Result<void> {
        for (const RecordView& record : batch.records) {
          const Result<SignedBody> parts = unwrap_body(record.value);
          if (!parts || !is_trusted(*parts, public_keys)) continue;
          Result<SnapshotPointer> pointer = from_json_text<SnapshotPointer>(parts->body);
          if (pointer && pointer->shard == shard) found.push_back(std::move(*pointer));
        }
        return {};
      });
  if (!read) return read.error();
  std::reverse(found.begin(), found.end());
  return found;
}

// The pointers that are trusted and confirmed by the journal, newest first, until one is taken.
Result<void> visit_named(Log& log, const TopicNames& topics, std::int64_t shard,
                         const std::vector<std::string>& public_keys,
                         const std::function<Result<bool>(const SnapshotPointer&)>& take) {
  const Result<std::vector<SnapshotPointer>> pointers =
      trusted_pointers(log, topics, shard, public_keys);
  if (!pointers) return pointers.error();
  for (const SnapshotPointer& pointer : *pointers) {
    const Result<bool> named = is_named(log, topics, pointer);
    if (!named) return named.error();
    if (!*named) continue;
    const Result<bool> taken = take(pointer);
    if (!taken) return taken.error();
    if (*taken) break;
  }
  return {};
}

}  // namespace

Result<SnapshotManifest> write_snapshot(Log& log, const TopicNames& topics, PageStore& store,
                                        std::int64_t shard) {
  ChunkWriter writer(log, {topics.snapshots, topics.partition_of(shard)}, random_hex(id_size / 2));
  std::int64_t seq = -1;
  std::int64_t pages = 0;
  const Result<void> visited = store.visit(
      shard,
      [&](const SavedShard& head) {
        seq = head.chain.seq;
        return writer.add("", encode_saved_head(head));
      },
      [&](std::string_view key, std::string_view value) {
        ++pages;
        return writer.add(key, value);
      });
  if (!visited) return visited.error();
  if (seq < 0) return Error{ErrorCode::not_found, "nothing is saved of this shard"};
  Result<SnapshotManifest> manifest = writer.finish();
  if (!manifest) return manifest.error();
  manifest->seq = seq;
  manifest->pages = pages;
  return manifest;
}

Result<SavedShard> read_snapshot(Log& log, const TopicNames& topics, std::int64_t shard,
                                 const SnapshotManifest& manifest) {
  const std::int64_t records = manifest.end_offset - manifest.first_offset;
  if (manifest.first_offset < 0 || records < 1 || records > chunks_max || manifest.chunks < 1) {
    return Error{ErrorCode::corrupt, "snapshot " + manifest.id + ": its place makes no sense"};
  }
  const TopicPartition where{topics.snapshots, topics.partition_of(shard)};
  const Result<OffsetRange> range = log.range(where);
  if (!range) return range.error();
  if (manifest.first_offset < range->begin || manifest.end_offset > range->end) {
    return Error{ErrorCode::corrupt, "snapshot " + manifest.id + " has expired"};
  }
  ChunkReader reader(manifest);
  const Result<void> read =
      read_range(log, where, {manifest.first_offset, manifest.end_offset},
                 [&](const RecordBatch& batch, const LogReader&) -> Result<void> {
                   for (const RecordView& record : batch.records) {
                     Result<void> taken = reader.take(record.value);
                     if (!taken) return taken;
                   }
                   return {};
                 });
  if (!read) return read.error();
  return reader.finish();
}

Result<NewRecord> encode_pointer(const SnapshotPointer& pointer, const std::string& secret_key) {
  const std::string body = to_json_text(pointer);
  const Result<std::string> signature = sign(secret_key, body);
  if (!signature) return signature.error();
  return NewRecord{.key = std::to_string(pointer.shard), .value = wrap_body(*signature, body)};
}

Result<std::optional<SnapshotPointer>> find_snapshot(Log& log, const TopicNames& topics,
                                                     std::int64_t shard,
                                                     const std::vector<std::string>& public_keys) {
  std::optional<SnapshotPointer> newest;
  const Result<void> visited = visit_named(log, topics, shard, public_keys,
                                           [&](const SnapshotPointer& pointer) -> Result<bool> {
                                             newest = pointer;
                                             return true;
                                           });
  if (!visited) return visited.error();
  return newest;
}

Result<SnapshotLoad> load_snapshot(Log& log, const TopicNames& topics, PageStore& store,
                                   std::int64_t shard,
                                   const std::vector<std::string>& public_keys) {
  SnapshotLoad load;
  const auto take = [&](const SnapshotPointer& pointer) -> Result<bool> {
    Result<SavedShard> snapshot = read_snapshot(log, topics, shard, pointer.manifest);
    if (!snapshot) {
      load.refused.push_back(snapshot.error().context);
      return false;
    }
    // Later saves only write what changes.
    ShardChanges changes;
    changes.shard = shard;
    changes.chain = snapshot->chain;
    changes.last_offset = snapshot->last_offset;
    changes.last_record_hash = snapshot->last_record_hash;
    changes.replaces_all = true;
    for (const auto& [key, value] : snapshot->pages) changes.puts.emplace(key, value);
    const Result<void> written = store.write(changes);
    if (!written) return written.error();
    load.saved = std::move(*snapshot);
    return true;
  };
  const Result<void> visited = visit_named(log, topics, shard, public_keys, take);
  if (!visited) return visited.error();
  return load;
}

}  // namespace selfheal
