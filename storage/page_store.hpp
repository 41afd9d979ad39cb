#pragma once
// Where the committed prefix of each shard is kept between starts: its pages, its chain head and
// the position in the journal, written in one atomic batch. It never holds anything that is not
// committed in the journal, so it never has to be wiped: what is missing is read from there again.
// Thread-safe.
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "topics/journal.hpp"

namespace selfheal {

// What a shard saved last.
struct SavedShard {
  bool found = false;
  Chain chain;
  // The journal record before chain.journal_next, to tell a rewritten journal on opening.
  Offset last_offset = -1;
  std::string last_record_hash;  // SHA-256 of its value, hex
  std::vector<std::pair<std::string, std::string>> pages;
};

// Changes since the last save.
struct ShardChanges {
  std::int64_t shard = 0;
  Chain chain;
  Offset last_offset = -1;
  std::string last_record_hash;
  std::map<std::string, std::string> puts;
  std::set<std::string> erases;  // none that is put as well
  bool replaces_all = false;     // what was saved of the shard before goes
};

// Rows by key, with their text or, to be erased, without.
using RowChanges = std::map<std::string, std::optional<std::string>>;

// The head of a saved shard (everything but its pages) as text.
std::string encode_saved_head(const SavedShard& head);
// Sets `found` where it can be read; corrupt where not.
Result<void> decode_saved_head(const std::string& text, SavedShard& saved);

class PageStore {
 public:
  virtual ~PageStore() = default;
  virtual Result<SavedShard> load(std::int64_t shard) = 0;
  // Atomic. ErrorCode::exhausted: there was no room, and changes that do not replace all are kept
  // for the next write of the shard. Whoever gets another error writes no more of the shard until a
  // start.
  virtual Result<void> write(const ShardChanges& changes) = 0;
  // Tries that without newer changes. The seq of the chain that is saved then; nothing where
  // nothing is kept.
  virtual Result<std::optional<std::int64_t>> write_kept(std::int64_t /*shard*/) {
    return std::optional<std::int64_t>();
  }
  // What load() gives, without holding all of it: the head, then each page, as of one moment.
  // Nothing is visited where nothing is saved. A visitor may stop it with an error.
  using VisitHead = std::function<Result<void>(const SavedShard& head)>;
  using VisitPage = std::function<Result<void>(std::string_view key, std::string_view value)>;
  virtual Result<void> visit(std::int64_t shard, const VisitHead& head, const VisitPage& page) = 0;
  // Rows that belong to no shard (read model); atomic among themselves.
  virtual Result<void> write_rows(const RowChanges& changes) = 0;
  // Nothing where there is no such row.
  virtual Result<std::optional<std::string>> read_row(const std::string& key) = 0;
  // Each row whose key begins with `prefix`, by key. A visitor may stop it with an error.
  virtual Result<void> visit_rows(const std::string& prefix, const VisitPage& visit) = 0;
  // Everything written so far survives the end of the process. Without it a restart reads more of
  // the journal, and nothing else.
  virtual Result<void> flush() { return {}; }
};

// Twin for the simulator: crash() forgets nothing, because a write is atomic and committed at once;
// fail_writes() makes every write an error, like a full disk.
class MemoryPageStore : public PageStore {
 public:
  Result<SavedShard> load(std::int64_t shard) override;
  Result<void> write(const ShardChanges& changes) override;
  Result<void> visit(std::int64_t shard, const VisitHead& head, const VisitPage& page) override;
  Result<void> write_rows(const RowChanges& changes) override;
  Result<std::optional<std::string>> read_row(const std::string& key) override;
  Result<void> visit_rows(const std::string& prefix, const VisitPage& visit) override;
  void fail_writes(bool fail) { fail_ = fail; }

 private:
  struct Shard {
    Chain chain;
    Offset last_offset = -1;
    std::string last_record_hash;
    std::map<std::string, std::string> pages;
  };
  std::mutex mutex_;
  bool fail_ = false;
  std::map<std::int64_t, Shard> shards_;
  std::map<std::string, std::string> rows_;
};

// Free on the disk before anything is written. On a disk that is full to the last byte the library
// may end the process (an assertion in its file writer); what stands in memory buffers is written
// within this.
inline constexpr std::uint64_t page_store_room_bytes = std::uint64_t{8} << 20;

// Of one shard, of what there was no room for.
inline constexpr std::size_t kept_changes_bytes_max = std::size_t{64} << 20;

// RocksDB in `folder`, one column family, no write-ahead log: the journal is the log. A second
// process on the same folder is refused with an error that names it. With less room than wanted
// nothing is written. Kept are at most kept_changes_bytes_max of a shard; rows are the caller's to
// keep, and no shard is written before the rows that were refused. An error of another kind is
// final: what is saved stays as it is until a start.
// `free_bytes` tells what the disk has; the system's figure where none is given.
Result<std::unique_ptr<PageStore>> open_page_store(
    const std::string& folder, std::function<std::uint64_t()> free_bytes = nullptr);

// The same read-only, beside a process that may have it open: for command-line tools on a stopped
// data folder.
Result<std::unique_ptr<PageStore>> open_page_store_read_only(const std::string& folder);

}  // namespace selfheal
