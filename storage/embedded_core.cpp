#include "storage/embedded_core.hpp"

#include <rocksdb/convenience.h>
#include <rocksdb/options.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "storage/record_format.hpp"
#include "topics/json_codec.hpp"

namespace selfheal {
namespace {

using Clock = std::chrono::steady_clock;
namespace format = record_format;

// A group this large has long amortised its sync; larger ones only add to the latency.
constexpr std::size_t group_records_max = 4096;
constexpr std::size_t group_bytes_max = 8 << 20;

rocksdb::Options database_options() {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.write_buffer_size = 16 << 20;
  options.max_total_wal_size = 64 << 20;
  options.max_open_files = 256;
  options.keep_log_file_num = 2;
  options.max_log_file_size = 1 << 20;
  options.info_log_level = rocksdb::WARN_LEVEL;
  const auto supported = rocksdb::GetSupportedCompressions();
  const bool lz4 =
      std::find(supported.begin(), supported.end(), rocksdb::kLZ4Compression) != supported.end();
  options.compression = lz4 ? rocksdb::kLZ4Compression : rocksdb::kNoCompression;
  return options;
}

Json topic_to_json(const std::uint32_t id, const TopicSpec& spec) {
  return Json{{"id", id},
              {"name", spec.name},
              {"partitions", spec.partitions},
              {"flush_each_message", spec.flush_each_message},
              {"retention_ms", spec.retention_ms}};
}

rocksdb::Slice slice(std::string_view text) {
  return {text.data(), text.size()};
}

std::string_view view(const rocksdb::Slice& text) {
  return {text.data(), text.size()};
}

std::size_t size_of(const NewRecord& record) {
  return record.value.size() + overhead_bytes(record);
}

}  // namespace

Error storage_error(const rocksdb::Status& status, const std::string& operation,
                    const std::string& folder) {
  const std::string text = status.ToString();
  // RocksDB has no code of its own for a held lock.
  if (status.IsIOError() && text.find("lock") != std::string::npos) {
    return {ErrorCode::unavailable, "folder " + folder +
                                        " is in use by another process; stop that one or choose "
                                        "another folder (" +
                                        text + ")"};
  }
  const std::string context = operation + " in " + folder + ": " + text;
  if (status.IsNoSpace()) return {ErrorCode::exhausted, context};
  if (status.IsCorruption()) return {ErrorCode::corrupt, context};
  if (status.IsIOError() || status.IsBusy()) return {ErrorCode::unavailable, context};
  return {ErrorCode::internal, context};
}

Result<std::unique_ptr<EmbeddedLog::Core>> EmbeddedLog::Core::open(EmbeddedOptions options) {
  if (!options.clock) return Error{ErrorCode::invalid, "the embedded log needs a clock"};
  std::error_code failure;
  std::filesystem::create_directories(options.folder, failure);
  if (failure) {
    return Error{ErrorCode::unavailable,
                 "cannot make folder " + options.folder + ": " + failure.message()};
  }
  auto core = std::make_unique<Core>();
  core->options = std::move(options);
  rocksdb::DB* database = nullptr;
  rocksdb::Options opening = database_options();
  if (core->options.read_only) opening.create_if_missing = false;
  const rocksdb::Status status =
      core->options.read_only
          ? rocksdb::DB::OpenForReadOnly(opening, core->options.folder, &database)
          : rocksdb::DB::Open(opening, core->options.folder, &database);
  if (!status.ok()) return storage_error(status, "opening the log", core->options.folder);
  core->database.reset(database);
  if (Result<void> loaded = core->load(); !loaded) return loaded.error();
  if (core->options.read_only) return core;
  core->retention_at_ =
      Clock::now() + std::chrono::milliseconds(core->options.retention_interval_ms);
  core->writer_ = std::thread([raw = core.get()] { raw->run(); });
  return core;
}

EmbeddedLog::Core::~Core() {
  if (!writer_.joinable()) return;
  {
    const std::lock_guard lock(queue_mutex_);
    stopping_ = true;
  }
  queued_.notify_all();
  writer_.join();
}

Result<void> EmbeddedLog::Core::load() {
  const std::unique_ptr<rocksdb::Iterator> each(database->NewIterator({}));
  for (each->Seek(slice(format::topic_keys_first));
       each->Valid() && view(each->key()) < format::topic_keys_end; each->Next()) {
    const Result<Json> json = parse_json(view(each->value()));
    if (!json || !json->is_object()) {
      return Error{ErrorCode::corrupt, "a topic in " + options.folder + " cannot be read"};
    }
    Topic topic;
    topic.id = json->value("id", 0U);
    topic.spec.name = json->value("name", std::string());
    topic.spec.partitions = json->value("partitions", 1);
    topic.spec.flush_each_message = json->value("flush_each_message", false);
    topic.spec.retention_ms = json->value("retention_ms", topic.spec.retention_ms);
    if (Result<void> loaded = load_topic(topic); !loaded) return loaded;
    topics.emplace(topic.spec.name, std::move(topic));
  }
  if (!each->status().ok()) return storage_error(each->status(), "reading topics", options.folder);
  return {};
}

Result<void> EmbeddedLog::Core::load_topic(Topic& topic) {
  topic.partitions.resize(static_cast<std::size_t>(topic.spec.partitions));
  const std::unique_ptr<rocksdb::Iterator> last(database->NewIterator({}));
  for (std::int32_t index = 0; index < topic.spec.partitions; ++index) {
    Partition& partition = topic.partitions[static_cast<std::size_t>(index)];
    std::string text;
    const rocksdb::Status status = database->Get({}, format::begin_key(topic.id, index), &text);
    if (!status.ok() && !status.IsNotFound()) {
      return storage_error(status, "reading the oldest offset", options.folder);
    }
    if (status.ok()) partition.begin = format::decode_offset(text).value_or(0);
    // Retention may have dropped every record; the end must not fall back then.
    partition.end = partition.begin;
    last->SeekForPrev(format::record_key(topic.id, index, INT64_MAX));
    // Asked after each seek, which forgets it: an end that cannot be read is no beginning, from
    // which the records would be written over.
    if (!last->status().ok()) {
      return storage_error(last->status(), "reading ends", options.folder);
    }
    const auto offset = last->Valid() ? format::offset_of(view(last->key()), topic.id, index)
                                      : std::optional<Offset>();
    if (offset) {
      const auto record = format::decode_record(view(last->value()));
      if (!record) {
        return Error{ErrorCode::corrupt, "the last record of " + topic.spec.name + "/" +
                                             std::to_string(index) + " in " + options.folder +
                                             " is damaged: bring back a copy of the folder, or "
                                             "begin with another data_dir"};
      }
      partition.end = std::max(partition.begin, *offset + 1);
      partition.last_append_ms = record->append_time_ms;
    }
    partition.writing_end = partition.end;
  }
  return {};
}

Result<EmbeddedLog::Core::Place> EmbeddedLog::Core::find(const TopicPartition& where) {
  const std::lock_guard lock(state_mutex);
  const auto found = topics.find(where.topic);
  if (found == topics.end() || where.partition < 0 ||
      where.partition >= found->second.spec.partitions) {
    return Error{ErrorCode::not_found, "partition " + std::to_string(where.partition) +
                                           " of topic '" + where.topic + "' does not exist"};
  }
  Topic& topic = found->second;
  return Place{&topic, &topic.partitions[static_cast<std::size_t>(where.partition)],
               where.partition};
}

Result<void> EmbeddedLog::Core::create_topic(const TopicSpec& spec) {
  if (spec.partitions < 1 || spec.name.empty()) {
    return Error{ErrorCode::invalid,
                 "topic '" + spec.name + "' needs a name and at least one partition"};
  }
  const std::lock_guard lock(state_mutex);
  if (const auto found = topics.find(spec.name); found != topics.end()) {
    if (found->second.spec.partitions >= spec.partitions) return {};
    return Error{ErrorCode::refused, "topic '" + spec.name + "' exists with " +
                                         std::to_string(found->second.spec.partitions) +
                                         " partitions instead of " +
                                         std::to_string(spec.partitions)};
  }
  Topic topic;
  topic.id = 1;
  for (const auto& [name, other] : topics) topic.id = std::max(topic.id, other.id + 1);
  topic.spec = spec;
  topic.partitions.resize(static_cast<std::size_t>(spec.partitions));
  rocksdb::WriteOptions durable;
  durable.sync = true;
  const rocksdb::Status status =
      database->Put(durable, format::topic_key(spec.name), dump(topic_to_json(topic.id, spec)));
  if (!status.ok()) return storage_error(status, "creating a topic", options.folder);
  topics.emplace(spec.name, std::move(topic));
  return {};
}

void EmbeddedLog::Core::enqueue(Pending pending) {
  {
    const std::lock_guard lock(queue_mutex_);
    const std::size_t bytes = size_of(pending.record);
    if (queue_bytes_ + bytes <= options.queue_bytes_max) {
      queue_bytes_ += bytes;
      ++enqueued_count_;
      queue_.push_back(std::move(pending));
      queued_.notify_one();
      return;
    }
  }
  pending.delivered(
      Error{ErrorCode::exhausted,
            "more than " + std::to_string(options.queue_bytes_max) + " bytes wait to be written"});
}

EmbeddedLog::Core::Group EmbeddedLog::Core::take_group(std::unique_lock<std::mutex>& lock) {
  // Woken at least this often, for the sync and for retention.
  const auto tick =
      std::chrono::milliseconds(std::clamp<DurationMs>(options.sync_interval_ms, 1, one_second_ms));
  queued_.wait_for(lock, tick, [this] { return stopping_ || !queue_.empty(); });
  Group group;
  std::size_t bytes = 0;
  while (!queue_.empty() && group.size() < group_records_max && bytes < group_bytes_max) {
    bytes += size_of(queue_.front().record);
    group.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  queue_bytes_ -= bytes;
  return group;
}

void EmbeddedLog::Core::run() {
  while (true) {
    std::unique_lock lock(queue_mutex_);
    Group group = take_group(lock);
    const bool last = stopping_ && group.empty();
    lock.unlock();
    if (last) break;
    if (!group.empty()) write_group(group);
    sync_when_due();
    if (Clock::now() >= retention_at_) {
      retention_at_ = Clock::now() + std::chrono::milliseconds(options.retention_interval_ms);
      // A failure here repeats at the next pass, and shows in the writes long before it matters.
      static_cast<void>(apply_retention());
    }
  }
  if (unsynced_) static_cast<void>(database->FlushWAL(true));
}

void EmbeddedLog::Core::write_group(Group& group) {
  rocksdb::WriteBatch batch;
  rocksdb::WriteOptions write;
  const TimeMs now_ms = options.clock();
  std::string encoded;
  for (Pending& each : group) {
    Partition& partition = *each.place.partition;
    // Append times never fall, so that retention may search for its border.
    partition.last_append_ms = std::max(partition.last_append_ms, now_ms);
    each.offset = partition.writing_end++;
    format::encode_record(each.record, partition.last_append_ms, encoded);
    static_cast<void>(batch.Put(
        format::record_key(each.place.topic->id, each.place.index, each.offset), encoded));
    write.sync = write.sync || each.place.topic->spec.flush_each_message;
  }
  const rocksdb::Status status = database->Write(write, &batch);
  std::vector<std::shared_ptr<ReaderState>> woken;
  if (status.ok()) {
    publish(group, woken);
    if (!unsynced_ && !write.sync) unsynced_since_ = Clock::now();
    unsynced_ = !write.sync;
    for (const Pending& each : group) each.delivered(each.offset);
  } else {
    // The offsets are given out again: what a failed write may have left is overwritten.
    for (Pending& each : group) each.place.partition->writing_end = each.place.partition->end;
    const Error error = storage_error(status, "appending", options.folder);
    for (const Pending& each : group) each.delivered(error);
    static_cast<void>(database->Resume());
  }
  for (const auto& reader : woken) reader->wake.call();
  const std::lock_guard lock(queue_mutex_);
  last_error_ = status.ok() ? Result<void>()
                            : Result<void>(storage_error(status, "appending", options.folder));
  settled_count_ += group.size();
  settled_.notify_all();
}

void EmbeddedLog::Core::publish(Group& group, std::vector<std::shared_ptr<ReaderState>>& woken) {
  const std::lock_guard lock(state_mutex);
  for (const Pending& each : group) {
    Partition& partition = *each.place.partition;
    if (partition.end == partition.writing_end) continue;  // done for an earlier one of the group
    partition.end = partition.writing_end;
    std::erase_if(partition.readers, [](const auto& reader) { return reader.expired(); });
    for (const auto& weak : partition.readers) {
      std::shared_ptr<ReaderState> reader = weak.lock();
      if (!reader || !reader->armed) continue;
      reader->armed = false;
      woken.push_back(std::move(reader));
    }
  }
}

void EmbeddedLog::Core::sync_when_due() {
  const auto interval = std::chrono::milliseconds(options.sync_interval_ms);
  if (!unsynced_ || Clock::now() - unsynced_since_ < interval) return;
  unsynced_ = !database->FlushWAL(true).ok();
  unsynced_since_ = Clock::now();
}

Result<void> EmbeddedLog::Core::flush(DurationMs timeout_ms) {
  std::unique_lock lock(queue_mutex_);
  const std::uint64_t awaited = enqueued_count_;
  const bool done = settled_.wait_for(lock, std::chrono::milliseconds(timeout_ms),
                                      [&] { return settled_count_ >= awaited; });
  if (done) return {};
  return Error{ErrorCode::unavailable,
               "appends were still waiting after " + std::to_string(timeout_ms) + " ms"};
}

Result<void> EmbeddedLog::Core::last_error() {
  const std::lock_guard lock(queue_mutex_);
  return last_error_;
}

Result<void> EmbeddedLog::Core::apply_retention() {
  const std::lock_guard pass(retention_mutex_);
  const TimeMs now_ms = options.clock();
  std::vector<Topic*> all;
  {
    const std::lock_guard lock(state_mutex);
    for (auto& [name, topic] : topics) all.push_back(&topic);
  }
  for (Topic* topic : all) {
    if (topic->spec.retention_ms <= 0) continue;
    for (std::int32_t index = 0; index < topic->spec.partitions; ++index) {
      Result<void> dropped = drop_expired(*topic, index, now_ms - topic->spec.retention_ms);
      if (!dropped) return dropped;
    }
  }
  return {};
}

Result<TimeMs> EmbeddedLog::Core::append_time(const Topic& topic, std::int32_t index,
                                              Offset offset) {
  rocksdb::PinnableSlice text;
  const rocksdb::Status status = database->Get({}, database->DefaultColumnFamily(),
                                               format::record_key(topic.id, index, offset), &text);
  if (!status.ok()) return storage_error(status, "reading an append time", options.folder);
  const auto record = format::decode_record(view(text));
  if (!record) return Error{ErrorCode::corrupt, "a record in " + options.folder + " is damaged"};
  return record->append_time_ms;
}

Result<void> EmbeddedLog::Core::drop_expired(Topic& topic, std::int32_t index, TimeMs oldest_ms) {
  Partition& partition = topic.partitions[static_cast<std::size_t>(index)];
  Offset begin = 0;
  Offset end = 0;
  {
    const std::lock_guard lock(state_mutex);
    begin = partition.begin;
    end = partition.end;
  }
  // The first offset that stays; append times never fall.
  Offset low = begin;
  Offset high = end;
  while (low < high) {
    const Offset middle = low + (high - low) / 2;
    const Result<TimeMs> time_ms = append_time(topic, index, middle);
    if (!time_ms) return time_ms.error();
    if (*time_ms < oldest_ms) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low == begin) return {};
  {
    // Readers learn of the new begin before the records go, never after.
    const std::lock_guard lock(state_mutex);
    partition.begin = low;
  }
  rocksdb::WriteBatch batch;
  static_cast<void>(batch.Put(format::begin_key(topic.id, index), format::encode_offset(low)));
  static_cast<void>(batch.DeleteRange(format::record_key(topic.id, index, begin),
                                      format::record_key(topic.id, index, low)));
  const rocksdb::Status status = database->Write({}, &batch);
  if (!status.ok()) return storage_error(status, "dropping old records", options.folder);
  return {};
}

}  // namespace selfheal
