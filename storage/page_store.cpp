#include "storage/page_store.hpp"

#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/snapshot.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

#include <atomic>
#include <filesystem>
#include <map>
#include <mutex>

#include "topics/json_codec.hpp"

namespace selfheal {

std::string encode_saved_head(const SavedShard& head) {
  std::string out;
  JsonObjectWriter object(out);
  append_json(object.member("chain"), encode_chain(head.chain));
  append_json(object.member("last_offset"), head.last_offset);
  append_json(object.member("last_record_hash"), head.last_record_hash);
  object.end();
  return out;
}

Result<void> decode_saved_head(const std::string& text, SavedShard& saved) {
  const Result<Json> json = parse_json(text);
  if (!json) return json.error();
  try {
    const Result<Chain> chain = decode_chain(json->at("chain").get<std::string>());
    if (!chain) return chain.error();
    saved.chain = *chain;
    const std::string wrong = from_json_value(json->at("last_offset"), saved.last_offset);
    if (!wrong.empty()) return Error{ErrorCode::corrupt, "last_offset" + wrong};
    saved.last_record_hash = json->at("last_record_hash").get<std::string>();
    saved.found = true;
    return {};
  } catch (const Json::exception& failure) {
    return Error{ErrorCode::corrupt, failure.what()};
  }
}

namespace {

// "shard/<16 hex digits>/…": keys of one shard are neighbours.
std::string shard_prefix(std::int64_t shard) {
  return "shard/" + to_hex(static_cast<std::uint64_t>(shard)) + "/";
}

constexpr const char* head_name = "head";
constexpr const char* page_name = "page/";
constexpr const char* rows_prefix = "rows/";

Error from_status(const rocksdb::Status& status, const std::string& doing) {
  ErrorCode code = ErrorCode::internal;
  if (status.IsCorruption()) code = ErrorCode::corrupt;
  if (status.IsNoSpace()) code = ErrorCode::exhausted;
  if (status.IsIOError() || status.IsBusy()) code = ErrorCode::unavailable;
  return {code, doing + ": " + status.ToString()};
}

// Together they make what was saved before `older` into what `newer` is of. A save that comes late,
// or of an incarnation that is not yet as far as the one before it, has nothing that `older` has
// not.
void put_on_top(ShardChanges& older, const ShardChanges& newer) {
  if (newer.chain.seq < older.chain.seq) return;
  older.chain = newer.chain;
  older.last_offset = newer.last_offset;
  older.last_record_hash = newer.last_record_hash;
  for (const std::string& key : newer.erases) {
    older.puts.erase(key);
    older.erases.insert(key);
  }
  for (const auto& [key, value] : newer.puts) {
    older.puts[key] = value;
    older.erases.erase(key);
  }
}

std::size_t size_of(const ShardChanges& changes) {
  std::size_t bytes = 0;
  for (const auto& [key, value] : changes.puts) bytes += key.size() + value.size();
  for (const std::string& key : changes.erases) bytes += key.size();
  return bytes;
}

// Where the system does not say it, a write has to find out.
std::uint64_t free_bytes_of(const std::string& folder) {
  std::error_code failure;
  const std::filesystem::space_info space = std::filesystem::space(folder, failure);
  return failure ? UINT64_MAX : space.available;
}

class RocksPageStore : public PageStore {
 public:
  RocksPageStore(std::unique_ptr<rocksdb::DB> database, std::string folder,
                 std::function<std::uint64_t()> free_bytes)
      : database_(std::move(database)),
        folder_(std::move(folder)),
        free_bytes_(free_bytes ? std::move(free_bytes)
                               : [folder = folder_] { return free_bytes_of(folder); }) {}

  ~RocksPageStore() override {
    // Without a write-ahead log the last writes are in memory only; losing them costs a longer
    // restart and nothing else, so a failure here is not worth a word.
    static_cast<void>(RocksPageStore::flush());
  }

  Result<SavedShard> load(std::int64_t shard) override {
    SavedShard saved;
    const Result<void> visited = visit(
        shard,
        [&](const SavedShard& head) -> Result<void> {
          saved = head;
          return {};
        },
        [&](std::string_view key, std::string_view value) -> Result<void> {
          saved.pages.emplace_back(key, value);
          return {};
        });
    if (!visited) return visited.error();
    return saved;
  }

  Result<void> visit(std::int64_t shard, const VisitHead& visit_head,
                     const VisitPage& visit_page) override {
    // Head and pages of one moment: somebody may write meanwhile.
    rocksdb::ManagedSnapshot moment(database_.get());
    rocksdb::ReadOptions options;
    options.snapshot = moment.snapshot();
    const std::string prefix = shard_prefix(shard);
    std::string text;
    const rocksdb::Status status = database_->Get(options, prefix + head_name, &text);
    if (status.IsNotFound()) return {};
    if (!status.ok()) return from_status(status, "reading state in " + folder_);
    SavedShard head;
    Result<void> done = decode_saved_head(text, head);
    if (!done) return done.error().within("state of shard " + std::to_string(shard));
    if (done = visit_head(head); !done) return done;
    const std::string pages = prefix + page_name;
    return visit_keys(pages, pages.size(), options, visit_page);
  }

  Result<void> write(const ShardChanges& changes) override {
    const std::lock_guard lock(mutex_);
    if (changes.replaces_all) {
      // Whoever begins anew from it begins again where it was refused.
      kept_.erase(changes.shard);
      return write_all(changes);
    }
    const auto kept = kept_.find(changes.shard);
    if (kept == kept_.end()) {
      Result<void> written = write_all(changes);
      if (!written && written.error().code == ErrorCode::exhausted) {
        kept_.emplace(changes.shard, changes);
      }
      return written;
    }
    put_on_top(kept->second, changes);
    return write_kept(kept);
  }

  Result<std::optional<std::int64_t>> write_kept(std::int64_t shard) override {
    const std::lock_guard lock(mutex_);
    const auto kept = kept_.find(shard);
    if (kept == kept_.end()) return std::optional<std::int64_t>();
    const std::int64_t seq = kept->second.chain.seq;
    if (Result<void> written = write_kept(kept); !written) return written.error();
    return std::optional(seq);
  }

  Result<void> write_rows(const RowChanges& changes) override {
    rocksdb::WriteBatch batch;
    for (const auto& [key, value] : changes) {
      if (value) {
        batch.Put(rows_prefix + key, *value);
      } else {
        batch.Delete(rows_prefix + key);
      }
    }
    const std::lock_guard lock(mutex_);
    Result<void> written = may_write();
    if (written) written = commit(batch);
    rows_refused_ = !written && written.error().code == ErrorCode::exhausted;
    return written;
  }

  Result<std::optional<std::string>> read_row(const std::string& key) override {
    std::string text;
    const rocksdb::Status status = database_->Get(rocksdb::ReadOptions(), rows_prefix + key, &text);
    if (status.IsNotFound()) return std::optional<std::string>();
    if (!status.ok()) return from_status(status, "reading state in " + folder_);
    return std::optional(std::move(text));
  }

  Result<void> visit_rows(const std::string& prefix, const VisitPage& visit) override {
    return visit_keys(rows_prefix + prefix, std::string_view(rows_prefix).size(),
                      rocksdb::ReadOptions(), visit);
  }

  Result<void> flush() override {
    if (Result<void> may = may_write(); !may) return may;
    const rocksdb::Status status = database_->Flush(rocksdb::FlushOptions());
    if (status.ok()) return {};
    failed_ = true;
    return from_status(status, "flushing state in " + folder_);
  }

 private:
  using Kept = std::map<std::int64_t, ShardChanges>;  // by shard

  Result<void> write_kept(Kept::iterator kept) {
    Result<void> written = write_all(kept->second);
    if (!written && written.error().code == ErrorCode::exhausted) {
      // No more than this: as after any other failure, the journal has it all.
      failed_ = failed_ || size_of(kept->second) > kept_changes_bytes_max;
      if (!failed_) return written;
      written = failed_before();
    }
    kept_.erase(kept);
    return written;
  }

  Result<void> write_all(const ShardChanges& changes) {
    if (Result<void> may = may_write(); !may) return may;
    if (rows_refused_) return rows_refused();
    rocksdb::WriteBatch batch;
    const std::string prefix = shard_prefix(changes.shard);
    if (changes.replaces_all) {
      Result<void> emptied = erase_all(prefix + page_name, batch);
      if (!emptied) return emptied;
    }
    for (const auto& [key, value] : changes.puts) batch.Put(prefix + page_name + key, value);
    for (const std::string& key : changes.erases) batch.Delete(prefix + page_name + key);
    SavedShard head;
    head.chain = changes.chain;
    head.last_offset = changes.last_offset;
    head.last_record_hash = changes.last_record_hash;
    batch.Put(prefix + head_name, encode_saved_head(head));
    return commit(batch);
  }

  Result<void> commit(rocksdb::WriteBatch& batch) {
    rocksdb::WriteOptions options;
    options.disableWAL = true;
    const rocksdb::Status status = database_->Write(options, &batch);
    if (status.ok()) return {};
    failed_ = true;
    return from_status(status, "writing state in " + folder_);
  }

  // Asked before anything is handed to the library, which may write it at any time from then on.
  Result<void> may_write() const {
    if (failed_) return failed_before();
    const std::uint64_t available = free_bytes_();
    if (available >= page_store_room_bytes) return {};
    return Error{ErrorCode::exhausted,
                 "state in " + folder_ + " is not written: " + std::to_string(available >> 20) +
                     " MiB of its disk are free, and " +
                     std::to_string(page_store_room_bytes >> 20) + " are wanted"};
  }

  Error rows_refused() const {
    return {
        ErrorCode::exhausted,
        "state in " + folder_ + " is not written: it waits for rows that there was no room for"};
  }

  // A file that could not be written, on a full disk, is not tried again: the library would end the
  // process over it (an assertion in its file writer). What is on disk is whole, only older.
  Error failed_before() const {
    return {
        ErrorCode::unavailable,
        "state in " + folder_ + " could not be written before: it stays as it is until a start"};
  }

  Result<void> erase_all(const std::string& prefix, rocksdb::WriteBatch& batch) {
    return visit_keys(prefix, 0, rocksdb::ReadOptions(),
                      [&](std::string_view key, std::string_view) -> Result<void> {
                        batch.Delete(rocksdb::Slice(key.data(), key.size()));
                        return {};
                      });
  }

  // Pairs whose key begins with `prefix`; the visitor gets the keys without their first `skipped`
  // characters.
  Result<void> visit_keys(const std::string& prefix, std::size_t skipped,
                          const rocksdb::ReadOptions& options, const VisitPage& visit) {
    const std::unique_ptr<rocksdb::Iterator> at(database_->NewIterator(options));
    for (at->Seek(prefix); at->Valid() && at->key().starts_with(prefix); at->Next()) {
      const rocksdb::Slice key = at->key();
      Result<void> done = visit({key.data() + skipped, key.size() - skipped},
                                {at->value().data(), at->value().size()});
      if (!done) return done;
    }
    if (!at->status().ok()) return from_status(at->status(), "reading state in " + folder_);
    return {};
  }

  std::unique_ptr<rocksdb::DB> database_;
  std::string folder_;
  const std::function<std::uint64_t()> free_bytes_;
  std::atomic<bool> failed_ = false;
  std::mutex mutex_;
  Kept kept_;                  // what there was no room for
  bool rows_refused_ = false;  // and not written since
};

constexpr std::size_t write_buffer_bytes = std::size_t{4} << 20;
static_assert(page_store_room_bytes >= 2 * write_buffer_bytes, "what is written at once");

rocksdb::Options options_for_pages() {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.write_buffer_size = write_buffer_bytes;
  options.max_write_buffer_number = 2;
  options.max_background_jobs = 2;
  // Pages are read at the start and for snapshots, from first to last: nothing is read twice.
  rocksdb::BlockBasedTableOptions table;
  table.no_block_cache = true;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  options.compression = rocksdb::kNoCompression;
  options.info_log_level = rocksdb::ERROR_LEVEL;
  options.keep_log_file_num = 2;
  options.max_open_files = 256;
  options.max_bgerror_resume_count = 0;  // see failed_before()
  // The store flushes as it closes, unless its disk is full.
  options.avoid_flush_during_shutdown = true;
  // A head, its pages and the read model must roll back together; with one column family and no
  // write-ahead log whole batches are lost from the end, never parts of one.
  options.atomic_flush = true;
  return options;
}

}  // namespace

Result<std::unique_ptr<PageStore>> open_page_store(const std::string& folder,
                                                   std::function<std::uint64_t()> free_bytes) {
  rocksdb::DB* opened = nullptr;
  const rocksdb::Status status = rocksdb::DB::Open(options_for_pages(), folder, &opened);
  if (!status.ok()) {
    Error error = from_status(status, "opening the state in " + folder);
    if (status.ToString().find("lock") != std::string::npos) {
      error.context += "; another selfheal uses this folder: stop it or name another data_dir";
    }
    return error;
  }
  return std::unique_ptr<PageStore>(std::make_unique<RocksPageStore>(
      std::unique_ptr<rocksdb::DB>(opened), folder, std::move(free_bytes)));
}

Result<std::unique_ptr<PageStore>> open_page_store_read_only(const std::string& folder) {
  rocksdb::DB* opened = nullptr;
  rocksdb::Options options = options_for_pages();
  options.create_if_missing = false;
  const rocksdb::Status status = rocksdb::DB::OpenForReadOnly(options, folder, &opened);
  if (!status.ok()) return from_status(status, "opening the state in " + folder);
  return std::unique_ptr<PageStore>(
      std::make_unique<RocksPageStore>(std::unique_ptr<rocksdb::DB>(opened), folder, nullptr));
}

Result<SavedShard> MemoryPageStore::load(std::int64_t shard) {
  const std::lock_guard lock(mutex_);
  SavedShard saved;
  const auto found = shards_.find(shard);
  if (found == shards_.end()) return saved;
  saved.found = true;
  saved.chain = found->second.chain;
  saved.last_offset = found->second.last_offset;
  saved.last_record_hash = found->second.last_record_hash;
  saved.pages.assign(found->second.pages.begin(), found->second.pages.end());
  return saved;
}

Result<void> MemoryPageStore::visit(std::int64_t shard, const VisitHead& head,
                                    const VisitPage& page) {
  // Locked throughout, so that all is of one moment: a visitor may not come back to this store.
  const std::lock_guard lock(mutex_);
  const auto found = shards_.find(shard);
  if (found == shards_.end()) return {};
  const Shard& kept = found->second;
  SavedShard saved;
  saved.found = true;
  saved.chain = kept.chain;
  saved.last_offset = kept.last_offset;
  saved.last_record_hash = kept.last_record_hash;
  Result<void> done = head(saved);
  for (auto each = kept.pages.begin(); done && each != kept.pages.end(); ++each) {
    done = page(each->first, each->second);
  }
  return done;
}

Result<void> MemoryPageStore::write(const ShardChanges& changes) {
  const std::lock_guard lock(mutex_);
  if (fail_) return Error{ErrorCode::exhausted, "no space left"};
  Shard& shard = shards_[changes.shard];
  if (changes.replaces_all) shard.pages.clear();
  for (const auto& [key, value] : changes.puts) shard.pages[key] = value;
  for (const std::string& key : changes.erases) shard.pages.erase(key);
  shard.chain = changes.chain;
  shard.last_offset = changes.last_offset;
  shard.last_record_hash = changes.last_record_hash;
  return {};
}

Result<void> MemoryPageStore::write_rows(const RowChanges& changes) {
  const std::lock_guard lock(mutex_);
  if (fail_) return Error{ErrorCode::exhausted, "no space left"};
  for (const auto& [key, value] : changes) {
    if (value) {
      rows_[key] = *value;
    } else {
      rows_.erase(key);
    }
  }
  return {};
}

Result<std::optional<std::string>> MemoryPageStore::read_row(const std::string& key) {
  const std::lock_guard lock(mutex_);
  const auto row = rows_.find(key);
  return row == rows_.end() ? std::nullopt : std::optional(row->second);
}

Result<void> MemoryPageStore::visit_rows(const std::string& prefix, const VisitPage& visit) {
  // Locked throughout, as in visit().
  const std::lock_guard lock(mutex_);
  for (auto row = rows_.lower_bound(prefix); row != rows_.end() && row->first.starts_with(prefix);
       ++row) {
    Result<void> done = visit(row->first, row->second);
    if (!done) return done;
  }
  return {};
}

}  // namespace selfheal
