#pragma once
// The inside of the embedded log: its state, its writer thread and what readers share with it.
#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "storage/embedded_log.hpp"
#include "topics/wake_cell.hpp"

namespace selfheal {

class EmbeddedLog::Core {
 public:
  struct ReaderState {
    explicit ReaderState(Wake each) : wake(std::move(each)) {}
    WakeCell wake;
    bool armed = true;  // the last poll brought nothing: the next record wakes. Under state_mutex.
  };
  // `begin`, `end` and `readers` are guarded by state_mutex; the rest belongs to the writer.
  struct Partition {
    Offset begin = 0;
    Offset end = 0;
    std::vector<std::weak_ptr<ReaderState>> readers;
    Offset writing_end = 0;  // end, once the group being written is in
    TimeMs last_append_ms = 0;
  };
  // Never removed and never resized: pointers to topics and partitions stay valid.
  struct Topic {
    std::uint32_t id = 0;
    TopicSpec spec;
    std::vector<Partition> partitions;
  };
  struct Place {
    Topic* topic = nullptr;
    Partition* partition = nullptr;
    std::int32_t index = 0;
  };
  struct Pending {
    Place place;
    NewRecord record;
    Delivered delivered;
    Offset offset = -1;
  };

  static Result<std::unique_ptr<Core>> open(EmbeddedOptions options);
  ~Core();

  Result<Place> find(const TopicPartition& where);
  Result<void> create_topic(const TopicSpec& spec);
  void enqueue(Pending pending);
  Result<void> flush(DurationMs timeout_ms);
  Result<void> last_error();
  Result<void> apply_retention();

  EmbeddedOptions options;
  std::unique_ptr<rocksdb::DB> database;
  std::mutex state_mutex;
  std::map<std::string, Topic> topics;

 private:
  using Group = std::vector<Pending>;

  Result<void> load();
  Result<void> load_topic(Topic& topic);
  void run();
  Group take_group(std::unique_lock<std::mutex>& lock);
  void write_group(Group& group);
  void publish(Group& group, std::vector<std::shared_ptr<ReaderState>>& woken);
  void sync_when_due();
  Result<void> drop_expired(Topic& topic, std::int32_t index, TimeMs oldest_ms);
  Result<TimeMs> append_time(const Topic& topic, std::int32_t index, Offset offset);

  std::mutex retention_mutex_;  // one pass at a time

  std::mutex queue_mutex_;
  std::condition_variable queued_;
  std::condition_variable settled_;
  std::deque<Pending> queue_;
  std::size_t queue_bytes_ = 0;
  std::uint64_t enqueued_count_ = 0;
  std::uint64_t settled_count_ = 0;
  bool stopping_ = false;
  Result<void> last_error_;

  // Of the writer alone.
  bool unsynced_ = false;
  std::chrono::steady_clock::time_point unsynced_since_;
  std::chrono::steady_clock::time_point retention_at_;

  std::thread writer_;
};

// The one place where a RocksDB status becomes an error.
Error storage_error(const rocksdb::Status& status, const std::string& operation,
                    const std::string& folder);

}  // namespace selfheal
