#include "topics/memory_log.hpp"

#include <algorithm>

#include "base/check.hpp"

namespace selfheal {
namespace {

Error missing(const TopicPartition& where) {
  return {ErrorCode::not_found, "partition " + std::to_string(where.partition) + " of topic '" +
                                    where.topic + "' does not exist"};
}

}  // namespace

class MemoryLog::Reader : public LogReader {
 public:
  Reader(MemoryLog& log, const Partition& partition, TopicPartition where, Offset start,
         std::shared_ptr<ReaderState> state)
      : log_(log),
        partition_(partition),
        where_(std::move(where)),
        position_(start),
        state_(std::move(state)) {}
  ~Reader() override { state_->wake.clear(); }

  Result<void> poll(RecordBatch& batch, const PollLimits& limits) override {
    last_.reset();
    const std::lock_guard lock(log_.mutex_);
    const Partition& partition = partition_;
    if (position_ < partition.begin || position_ > partition.end()) {
      return Error{ErrorCode::corrupt, "offset " + std::to_string(position_) + " of " +
                                           where_.topic + "/" + std::to_string(where_.partition) +
                                           " is outside of what the log holds"};
    }
    state_->armed = position_ == partition.end();
    batch.next_offset = position_;
    if (state_->armed) return {};
    auto taken = std::make_shared<std::vector<std::shared_ptr<const Stored>>>();
    std::size_t bytes = 0;
    first_of_last_ = position_;
    while (position_ < partition.end() && taken->size() < limits.records_max &&
           (taken->empty() || bytes < limits.bytes_max)) {
      const auto& stored = partition.records[static_cast<std::size_t>(position_ - partition.begin)];
      batch.records.push_back({position_, stored->append_time_ms, stored->record.key,
                               stored->record.value, event_time_of(stored->record.headers)});
      bytes += stored->record.value.size();
      taken->push_back(stored);
      ++position_;
    }
    batch.bytes += bytes;
    batch.next_offset = position_;
    batch.owners.push_back(taken);
    last_ = std::move(taken);
    return {};
  }

  Offset position() const override { return position_; }

  bool at_end() const override {
    const std::lock_guard lock(log_.mutex_);
    return position_ == partition_.end();
  }

  Offset end() const override {
    const std::lock_guard lock(log_.mutex_);
    return std::max(position_, partition_.end());
  }

  Headers headers(Offset offset) const override {
    const auto index = static_cast<std::size_t>(offset - first_of_last_);
    if (!last_ || offset < first_of_last_ || index >= last_->size()) return {};
    return (*last_)[index]->record.headers;
  }

 private:
  MemoryLog& log_;
  const Partition& partition_;  // topics never lose or gain partitions
  const TopicPartition where_;
  Offset position_;
  std::shared_ptr<ReaderState> state_;
  Offset first_of_last_ = 0;
  std::shared_ptr<const std::vector<std::shared_ptr<const Stored>>> last_;
};

MemoryLog::MemoryLog(Delivery delivery) : delivery_(delivery) {}
MemoryLog::~MemoryLog() = default;

Result<void> MemoryLog::create_topics(const std::vector<TopicSpec>& topics) {
  const std::lock_guard lock(mutex_);
  for (const TopicSpec& topic : topics) {
    if (topic.partitions < 1) {
      return Error{ErrorCode::invalid, "topic '" + topic.name + "' needs at least one partition"};
    }
    std::vector<Partition>& partitions = topics_[topic.name];
    if (partitions.empty()) partitions.resize(static_cast<std::size_t>(topic.partitions));
    if (partitions.size() < static_cast<std::size_t>(topic.partitions)) {
      return Error{ErrorCode::refused,
                   "topic '" + topic.name + "' exists with " + std::to_string(partitions.size()) +
                       " partitions instead of " + std::to_string(topic.partitions)};
    }
  }
  return {};
}

Result<std::int32_t> MemoryLog::partitions(const std::string& topic) {
  const std::lock_guard lock(mutex_);
  const auto found = topics_.find(topic);
  if (found == topics_.end()) {
    return Error{ErrorCode::not_found, "topic '" + topic + "' does not exist"};
  }
  return static_cast<std::int32_t>(found->second.size());
}

Result<OffsetRange> MemoryLog::range(const TopicPartition& where) {
  const std::lock_guard lock(mutex_);
  const Partition* partition = find(where);
  if (partition == nullptr) return missing(where);
  return OffsetRange{partition->begin, partition->end()};
}

MemoryLog::Partition* MemoryLog::find(const TopicPartition& where) {
  const auto found = topics_.find(where.topic);
  if (found == topics_.end() || where.partition < 0 ||
      static_cast<std::size_t>(where.partition) >= found->second.size()) {
    return nullptr;
  }
  return &found->second[static_cast<std::size_t>(where.partition)];
}

void MemoryLog::append(const TopicPartition& where, NewRecord record, Delivered delivered) {
  if (Result<void> fits = check_record(record); !fits) return delivered(fits.error());
  std::unique_lock lock(mutex_);
  if (find(where) == nullptr) {
    lock.unlock();
    return delivered(missing(where));
  }
  const AppendFate fate = fates_ ? fates_(where, record) : AppendFate::deliver;
  // What is queued goes first, or the records of a partition would swap places.
  const bool behind = std::any_of(queue_.begin(), queue_.end(),
                                  [&](const auto& each) { return each.where == where; });
  Queued queued{where, std::move(record), std::move(delivered), fate};
  if (delivery_ == Delivery::queued || fate == AppendFate::delay || behind) {
    queue_.push_back(std::move(queued));
    return;
  }
  const Settled settled = settle(std::move(queued));
  lock.unlock();
  announce(settled);
}

MemoryLog::Settled MemoryLog::settle(Queued queued) {
  const bool stored = queued.fate != AppendFate::refuse;
  const int copies = !stored ? 0 : queued.fate == AppendFate::duplicate ? 2 : 1;
  Partition& partition = *find(queued.where);
  Settled settled{std::move(queued.delivered), partition.end(), {}};
  if (!stored) settled.answer = Error{ErrorCode::unavailable, "the log refused the record"};
  if (queued.fate == AppendFate::lose_ack) {
    settled.answer = Error{ErrorCode::unavailable, "the answer of the log was lost"};
  }
  const auto record = std::make_shared<const Stored>(Stored{time_ms_, std::move(queued.record)});
  for (int i = 0; i < copies; ++i) partition.records.push_back(record);
  std::erase_if(partition.readers, [](const auto& each) { return each.expired(); });
  for (const auto& each : partition.readers) {
    std::shared_ptr<ReaderState> reader = each.lock();
    if (!stored || !reader || !reader->armed) continue;
    reader->armed = false;
    settled.woken.push_back(std::move(reader));
  }
  return settled;
}

void MemoryLog::announce(const Settled& settled) {
  settled.delivered(settled.answer);
  for (const auto& reader : settled.woken) reader->wake.call();
}

bool MemoryLog::deliver_first(const std::optional<TopicPartition>& where) {
  std::unique_lock lock(mutex_);
  const auto found = std::find_if(queue_.begin(), queue_.end(),
                                  [&](const auto& each) { return !where || each.where == *where; });
  if (found == queue_.end()) return false;
  Queued queued = std::move(*found);
  queue_.erase(found);
  const Settled settled = settle(std::move(queued));
  lock.unlock();
  announce(settled);
  return true;
}

bool MemoryLog::deliver_next() {
  return deliver_first(std::nullopt);
}

bool MemoryLog::deliver_next(const TopicPartition& where) {
  return deliver_first(where);
}

std::size_t MemoryLog::pending() const {
  const std::lock_guard lock(mutex_);
  return queue_.size();
}

std::vector<TopicPartition> MemoryLog::pending_partitions() const {
  const std::lock_guard lock(mutex_);
  std::vector<TopicPartition> all;
  for (const Queued& each : queue_) {
    const auto place = std::lower_bound(all.begin(), all.end(), each.where);
    if (place == all.end() || *place != each.where) all.insert(place, each.where);
  }
  return all;
}

Result<std::unique_ptr<LogReader>> MemoryLog::open(const TopicPartition& where, Offset start,
                                                   Wake wake) {
  if (start < 0) return Error{ErrorCode::invalid, "an offset is not negative"};
  const std::lock_guard lock(mutex_);
  Partition* partition = find(where);
  if (partition == nullptr) return missing(where);
  auto state = std::make_shared<ReaderState>(std::move(wake));
  partition->readers.push_back(state);
  return std::unique_ptr<LogReader>(
      std::make_unique<Reader>(*this, *partition, where, start, std::move(state)));
}

Result<void> MemoryLog::flush(DurationMs /*timeout_ms*/) {
  while (deliver_next()) {
  }
  return {};
}

void MemoryLog::set_time_ms(TimeMs time_ms) {
  const std::lock_guard lock(mutex_);
  time_ms_ = time_ms;
}

void MemoryLog::set_fates(FateHook hook) {
  const std::lock_guard lock(mutex_);
  fates_ = std::move(hook);
}

void MemoryLog::truncate(const TopicPartition& where, Offset end) {
  const std::lock_guard lock(mutex_);
  Partition* partition = find(where);
  CHECK(partition != nullptr && end >= partition->begin, "truncate what exists");
  while (partition->end() > end) partition->records.pop_back();
}

void MemoryLog::drop_before(const TopicPartition& where, Offset begin) {
  const std::lock_guard lock(mutex_);
  Partition* partition = find(where);
  CHECK(partition != nullptr && begin <= partition->end(), "drop what exists");
  while (partition->begin < begin) {
    partition->records.pop_front();
    ++partition->begin;
  }
}

}  // namespace selfheal
