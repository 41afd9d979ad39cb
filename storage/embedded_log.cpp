#include "storage/embedded_log.hpp"

#include "storage/embedded_core.hpp"
#include "storage/record_format.hpp"

namespace selfheal {
namespace {

namespace format = record_format;

// The records of one poll: their encoded bytes back to back. Views point into `bytes`, which is
// complete before the first view is taken.
struct Chunk {
  struct Entry {
    Offset offset = 0;
    std::size_t at = 0;
    std::size_t size = 0;
  };
  std::string bytes;
  std::vector<Entry> entries;

  std::optional<format::StoredRecord> decode(const Entry& entry) const {
    return format::decode_record(std::string_view(bytes).substr(entry.at, entry.size));
  }
};

}  // namespace

// Offsets are contiguous: a missing one below the end was dropped by retention meanwhile, or is
// damage, and either is an error.
class EmbeddedReader : public LogReader {
 public:
  using Core = EmbeddedLog::Core;
  EmbeddedReader(Core& core, Core::Place place, std::string name, Offset start, Wake wake)
      : core_(core),
        place_(place),
        name_(std::move(name)),
        position_(start),
        state_(std::make_shared<Core::ReaderState>(std::move(wake))) {
    const std::lock_guard lock(core_.state_mutex);
    place_.partition->readers.push_back(state_);
  }
  ~EmbeddedReader() override { state_->wake.clear(); }

  Result<void> poll(RecordBatch& batch, const PollLimits& limits) override {
    last_.reset();
    batch.next_offset = position_;
    Offset end = 0;
    {
      const std::lock_guard lock(core_.state_mutex);
      end = place_.partition->end;
      if (position_ < place_.partition->begin || position_ > end) return out_of_range();
      state_->armed = position_ == end;
    }
    if (position_ == end) return {};
    auto chunk = std::make_shared<Chunk>();
    if (Result<void> read = read_chunk(*chunk, end, limits); !read) return read;
    for (const Chunk::Entry& entry : chunk->entries) {
      const auto record = chunk->decode(entry);
      if (!record) {
        return Error{ErrorCode::corrupt,
                     name_ + " is damaged at offset " + std::to_string(entry.offset)};
      }
      batch.records.push_back({entry.offset, record->append_time_ms, record->key, record->value,
                               format::find_header(*record, event_time_header)});
      batch.bytes += record->value.size();
    }
    position_ = chunk->entries.back().offset + 1;
    batch.next_offset = position_;
    batch.owners.push_back(chunk);
    last_ = std::move(chunk);
    return {};
  }

  Offset position() const override { return position_; }

  bool at_end() const override {
    const std::lock_guard lock(core_.state_mutex);
    return position_ == place_.partition->end;
  }

  Offset end() const override {
    const std::lock_guard lock(core_.state_mutex);
    return std::max(position_, place_.partition->end);
  }

  Headers headers(Offset offset) const override {
    if (!last_ || offset < last_->entries.front().offset) return {};
    const auto index = static_cast<std::size_t>(offset - last_->entries.front().offset);
    if (index >= last_->entries.size()) return {};
    const auto record = last_->decode(last_->entries[index]);
    return record ? format::decode_headers(*record) : Headers();
  }

 private:
  Error out_of_range() const {
    return {ErrorCode::corrupt, "offset " + std::to_string(position_) + " of " + name_ +
                                    " is outside of what the log holds"};
  }

  // At least one record where there is one. `end` > position.
  Result<void> read_chunk(Chunk& chunk, Offset end, const PollLimits& limits) {
    const std::string bound = format::record_key(place_.topic->id, place_.index, end);
    const rocksdb::Slice bound_slice(bound);
    rocksdb::ReadOptions read;
    read.iterate_upper_bound = &bound_slice;
    const std::unique_ptr<rocksdb::Iterator> each(core_.database->NewIterator(read));
    Offset expected = position_;
    for (each->Seek(format::record_key(place_.topic->id, place_.index, position_));
         each->Valid() && chunk.entries.size() < limits.records_max &&
         (chunk.entries.empty() || chunk.bytes.size() < limits.bytes_max);
         each->Next()) {
      const std::string_view key(each->key().data(), each->key().size());
      if (format::offset_of(key, place_.topic->id, place_.index) != expected) {
        return out_of_range();
      }
      chunk.entries.push_back({expected, chunk.bytes.size(), each->value().size()});
      chunk.bytes.append(each->value().data(), each->value().size());
      ++expected;
    }
    if (!each->status().ok()) {
      return storage_error(each->status(), "reading " + name_, core_.options.folder);
    }
    if (chunk.entries.empty() && limits.records_max > 0) return out_of_range();
    return {};
  }

  Core& core_;
  const Core::Place place_;
  const std::string name_;
  Offset position_;
  std::shared_ptr<Core::ReaderState> state_;
  std::shared_ptr<const Chunk> last_;
};

EmbeddedLog::EmbeddedLog(std::unique_ptr<Core> core) : core_(std::move(core)) {}
EmbeddedLog::~EmbeddedLog() = default;

Result<std::unique_ptr<EmbeddedLog>> EmbeddedLog::open(EmbeddedOptions options) {
  Result<std::unique_ptr<Core>> core = Core::open(std::move(options));
  if (!core) return core.error();
  return std::unique_ptr<EmbeddedLog>(new EmbeddedLog(std::move(*core)));
}

Result<void> EmbeddedLog::create_topics(const std::vector<TopicSpec>& topics) {
  for (const TopicSpec& topic : topics) {
    if (Result<void> created = core_->create_topic(topic); !created) return created;
  }
  return {};
}

Result<std::int32_t> EmbeddedLog::partitions(const std::string& topic) {
  const Result<Core::Place> place = core_->find({topic, 0});
  if (!place) return Error{ErrorCode::not_found, "topic '" + topic + "' does not exist"};
  return place->topic->spec.partitions;
}

Result<OffsetRange> EmbeddedLog::range(const TopicPartition& where) {
  const Result<Core::Place> place = core_->find(where);
  if (!place) return place.error();
  const std::lock_guard lock(core_->state_mutex);
  return OffsetRange{place->partition->begin, place->partition->end};
}

void EmbeddedLog::append(const TopicPartition& where, NewRecord record, Delivered delivered) {
  if (Result<void> fits = check_record(record); !fits) return delivered(fits.error());
  if (core_->options.read_only) {
    return delivered(Error{ErrorCode::refused, "the log is open read-only"});
  }
  const Result<Core::Place> place = core_->find(where);
  if (!place) return delivered(place.error());
  core_->enqueue({*place, std::move(record), std::move(delivered)});
}

Result<std::unique_ptr<LogReader>> EmbeddedLog::open(const TopicPartition& where, Offset start,
                                                     Wake wake) {
  if (start < 0) return Error{ErrorCode::invalid, "an offset is not negative"};
  const Result<Core::Place> place = core_->find(where);
  if (!place) return place.error();
  return std::unique_ptr<LogReader>(std::make_unique<EmbeddedReader>(
      *core_, *place, where.topic + "/" + std::to_string(where.partition), start, std::move(wake)));
}

Result<void> EmbeddedLog::flush(DurationMs timeout_ms) {
  return core_->flush(timeout_ms);
}

Result<void> EmbeddedLog::ping(DurationMs /*timeout_ms*/) {
  return core_->last_error();
}

std::string EmbeddedLog::describe() const {
  return "embedded " + core_->options.folder;
}

Result<void> EmbeddedLog::apply_retention() {
  return core_->apply_retention();
}

}  // namespace selfheal
