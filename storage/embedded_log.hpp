#pragma once
// A durable log for one process, in a folder: what `selfheal` runs on where there is no Kafka.
//
// One writer thread commits what has been queued as one group. A group with a record of a topic
// that flushes each message is on the disk before any of it is acknowledged. Other groups are
// acknowledged once the operating system holds them (they survive the death of the process) and
// reach the disk within sync_interval_ms (what a power loss can cost).
//
// Thread-safe as log.hpp says. Delivered and Wake run on the writer thread.
// Errors: unavailable (folder in use, disk failing), exhausted (disk full, queue full), corrupt.
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "topics/log.hpp"

namespace selfheal {

struct EmbeddedOptions {
  std::string folder;             // made where it is missing; one process at a time
  std::function<TimeMs()> clock;  // gives append times; called on the writer thread
  DurationMs sync_interval_ms = 200;
  DurationMs retention_interval_ms = 60 * one_second_ms;
  std::size_t queue_bytes_max = 64 << 20;  // appended and not yet written; more is refused
  // Beside a process that has the folder open: shows the log as it is now and takes no append.
  bool read_only = false;
};

class EmbeddedLog : public Log {
 public:
  static Result<std::unique_ptr<EmbeddedLog>> open(EmbeddedOptions options);
  // Writes and answers what is queued, then lets go of the folder.
  ~EmbeddedLog() override;

  Result<void> create_topics(const std::vector<TopicSpec>& topics) override;
  Result<std::int32_t> partitions(const std::string& topic) override;
  Result<OffsetRange> range(const TopicPartition& where) override;
  void append(const TopicPartition& where, NewRecord record, Delivered delivered) override;
  Result<std::unique_ptr<LogReader>> open(const TopicPartition& where, Offset start,
                                          Wake wake) override;
  Result<void> flush(DurationMs timeout_ms) override;
  // Whether the last write succeeded.
  Result<void> ping(DurationMs timeout_ms) override;
  std::string describe() const override;

  // Drops what is older than its topic's retention now; otherwise a slow timer does.
  Result<void> apply_retention();

 private:
  class Core;
  friend class EmbeddedReader;
  explicit EmbeddedLog(std::unique_ptr<Core> core);
  std::unique_ptr<Core> core_;
};

}  // namespace selfheal
