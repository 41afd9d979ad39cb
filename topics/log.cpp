#include "topics/log.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

namespace selfheal {

std::string_view event_time_of(const Headers& headers) {
  for (const auto& [name, value] : headers) {
    if (name == event_time_header) return value;
  }
  return {};
}

std::size_t overhead_bytes(const NewRecord& record) {
  std::size_t bytes = record.key.size();
  for (const auto& [name, value] : record.headers) bytes += name.size() + value.size();
  return bytes;
}

Result<void> check_record(const NewRecord& record) {
  if (record.value.size() > record_bytes_max) {
    return Error{ErrorCode::exhausted, "a record of " + std::to_string(record.value.size()) +
                                           " bytes is longer than the limit of " +
                                           std::to_string(record_bytes_max)};
  }
  if (overhead_bytes(record) > record_overhead_bytes_max) {
    return Error{ErrorCode::exhausted, "key and headers of a record are longer than the limit of " +
                                           std::to_string(record_overhead_bytes_max) + " bytes"};
  }
  return {};
}

RangeReader::RangeReader(Log& log, TopicPartition where, DurationMs wait_ms)
    : log_(log), where_(std::move(where)), wait_ms_(wait_ms) {}

Result<void> RangeReader::read(OffsetRange range, const Take& take) {
  using Clock = std::chrono::steady_clock;
  if (range.begin >= range.end) return {};
  // A short sleep instead of the wake: this path may be slow, and must work on any thread.
  constexpr auto pause = std::chrono::milliseconds(1);
  if (!reader_ || reader_->position() != range.begin) {
    reader_.reset();  // before another one of the same partition is opened
    Result<std::unique_ptr<LogReader>> opened = log_.open(where_, range.begin, nullptr);
    if (!opened) return opened.error();
    reader_ = std::move(*opened);
  }
  Clock::time_point heard = Clock::now();
  Offset position = range.begin;
  while (position < range.end) {
    RecordBatch batch;
    // No more than the range can hold: it is often a few records of a long log.
    PollLimits limits;
    limits.records_max =
        std::min(limits.records_max, static_cast<std::size_t>(range.end - position));
    if (Result<void> polled = reader_->poll(batch, limits); !polled) return polled;
    if (batch.records.empty() && reader_->position() == position) {
      if (Clock::now() - heard > std::chrono::milliseconds(wait_ms_)) {
        return Error{ErrorCode::unavailable,
                     "no record of " + where_.topic + "/" + std::to_string(where_.partition) +
                         " at offset " + std::to_string(position) + " within " +
                         std::to_string(wait_ms_) + " ms; the range asked for ends at " +
                         std::to_string(range.end)};
      }
      std::this_thread::sleep_for(pause);
      continue;
    }
    heard = Clock::now();
    position = reader_->position();
    while (!batch.records.empty() && batch.records.back().offset >= range.end) {
      batch.bytes -= batch.records.back().value.size();
      batch.records.pop_back();
    }
    batch.next_offset = std::min(position, range.end);
    if (batch.records.empty()) continue;
    if (Result<void> taken = take(batch, *reader_); !taken) return taken;
  }
  return {};
}

Result<void> read_range(Log& log, const TopicPartition& where, OffsetRange range,
                        const RangeReader::Take& take, DurationMs wait_ms) {
  return RangeReader(log, where, wait_ms).read(range, take);
}

}  // namespace selfheal
