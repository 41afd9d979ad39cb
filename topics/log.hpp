#pragma once
// The bus: partitioned, append-only logs. One interface, three implementations held to one contract
// suite (tests/contract/log_contract_test.cpp): Kafka, embedded (durable, one process) and memory.
//
// What every implementation promises:
//  - offsets of a partition grow, without gaps on the embedded and memory logs, and may have gaps
//    on Kafka;
//  - a record is delivered (its callback says so) only when it is as durable as the log can make
//  it;
//  - records of one partition appended by one Log object become visible in the order of append();
//  - append_time_ms is the log's own clock (LogAppendTime on the journal topics), never the
//  client's.
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"

namespace selfheal {

using Offset = std::int64_t;

struct TopicPartition {
  std::string topic;
  std::int32_t partition = 0;
  auto operator<=>(const TopicPartition&) const = default;
};

using Headers = std::vector<std::pair<std::string, std::string>>;

// A record to append. At most `record_bytes_max` of value.
struct NewRecord {
  std::string key;
  std::string value;
  Headers headers;
};

constexpr std::size_t record_bytes_max = 1 << 20;
// At most this many bytes of key and headers together.
constexpr std::size_t record_overhead_bytes_max = std::size_t{32} * 1024;

std::size_t overhead_bytes(const NewRecord& record);
// The value of event_time_header, or empty.
std::string_view event_time_of(const Headers& headers);
// ErrorCode::exhausted where a record breaks a limit. Every log checks it before anything else.
Result<void> check_record(const NewRecord& record);

// A record as read. The views live as long as the RecordBatch that holds them.
struct RecordView {
  Offset offset = 0;
  TimeMs append_time_ms = 0;
  std::string_view key;
  std::string_view value;
  // The header ce_time: when what the value tells was observed, by a CloudEvent in binary mode.
  // Empty where the record has none.
  std::string_view event_time = {};
};

// Its name among the headers of a record.
constexpr std::string_view event_time_header = "ce_time";

// Records of one partition in offset order, with whatever keeps their bytes alive.
struct RecordBatch {
  std::vector<RecordView> records;
  Offset next_offset = 0;  // where the next poll continues (may lie beyond the last record)
  std::size_t bytes = 0;   // sum of value sizes
  std::vector<std::shared_ptr<const void>> owners;
};

struct PollLimits {
  std::size_t records_max = 2000;
  std::size_t bytes_max = 1 << 20;
};

// Reads one partition forward. Not thread-safe; one thread at a time.
class LogReader {
 public:
  virtual ~LogReader() = default;
  // Appends what is there now to `batch`; nothing new is no error. Waits for nothing, but without a
  // wake it may ask the log, for 0.2 s at most. ErrorCode::corrupt: truncated, offset out of range.
  virtual Result<void> poll(RecordBatch& batch, const PollLimits& limits) = 0;
  // The next offset that poll would return, and whether that is the end as last heard from the log.
  virtual Offset position() const = 0;
  virtual bool at_end() const = 0;
  // One past the newest record as last heard from the log; never below position().
  virtual Offset end() const = 0;
  // Headers of a record of the last poll; empty where it had none.
  virtual Headers headers(Offset offset) const = 0;
};

struct OffsetRange {
  Offset begin = 0;  // oldest kept
  Offset end = 0;    // one past the newest
};

struct TopicSpec {
  std::string name;
  std::int32_t partitions = 1;
  bool compacted = false;
  bool log_append_time = false;
  bool flush_each_message = false;  // fsync every record: for a journal on a single replica
  std::int64_t retention_ms = 7 * one_day_ms;
};

// Called once per append, on a thread of the log or, where the answer is known at once, within
// append(): hold no lock that it takes, and keep it short. Error: not known to be stored; a retry
// may store it twice, which the journal's acceptance rule settles. The offset is -1 where the log
// stored the record and could not say where.
using Delivered = std::function<void(Result<Offset>)>;

// Called on a thread of the log when a reader whose last poll brought nothing may have more: poll
// until a poll brings nothing, then wait for it. May be spurious. Runs under a lock of the log: it
// may not poll, open or destroy a reader. Never runs after the reader's destruction has returned.
using Wake = std::function<void()>;

// Thread-safe, except that destroying it needs all its readers gone.
class Log {
 public:
  virtual ~Log() = default;
  // Creates what is missing; an existing topic with fewer partitions than asked is an error.
  virtual Result<void> create_topics(const std::vector<TopicSpec>& topics) = 0;
  // not_found where the topic does not exist. Never creates it.
  virtual Result<std::int32_t> partitions(const std::string& topic) = 0;
  virtual Result<OffsetRange> range(const TopicPartition& where) = 0;
  virtual void append(const TopicPartition& where, NewRecord record, Delivered delivered) = 0;
  // Opens at `start`; offsets below the oldest kept are ErrorCode::corrupt at the first poll.
  virtual Result<std::unique_ptr<LogReader>> open(const TopicPartition& where, Offset start,
                                                  Wake wake) = 0;
  // Blocks until every append so far was delivered or failed, at most `timeout_ms`.
  virtual Result<void> flush(DurationMs timeout_ms) = 0;
  // Whether the log can be reached now; waits for its answer at most `timeout_ms`.
  virtual Result<void> ping(DurationMs /*timeout_ms*/) { return {}; }
  // A short text for people: "kafka 127.0.0.1:9092" or "embedded /var/lib/selfheal".
  virtual std::string describe() const = 0;
};

// Reads ranges of one partition, waiting for records that are on their way; for restoring,
// following, replay and audit, not for the live path. Ranges that follow each other share one
// reader. Not thread-safe; blocks the calling thread.
class RangeReader {
 public:
  using Take = std::function<Result<void>(const RecordBatch&, const LogReader&)>;

  RangeReader(Log& log, TopicPartition where, DurationMs wait_ms = 10000);
  // [begin, end); `wait_ms` of the constructor bounds the wait for each poll that comes empty.
  Result<void> read(OffsetRange range, const Take& take);
  // Gives the reader back; the next range opens another one.
  void close() { reader_.reset(); }

 private:
  Log& log_;
  TopicPartition where_;
  DurationMs wait_ms_;
  std::unique_ptr<LogReader> reader_;
};

// One range with a reader of its own.
Result<void> read_range(Log& log, const TopicPartition& where, OffsetRange range,
                        const RangeReader::Take& take, DurationMs wait_ms = 10000);

}  // namespace selfheal
