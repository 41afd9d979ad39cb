#include "topics/kafka_consumer.hpp"

#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>

#include "base/check.hpp"
#include "topics/frame_codec.hpp"
#include "topics/wake_cell.hpp"

namespace selfheal {
namespace {

// Messages taken at once from the queue of a partition; what a poll's limits leave is held back.
constexpr std::size_t fetch_count = 512;

struct DestroyQueue {
  void operator()(rd_kafka_queue_t* queue) const { rd_kafka_queue_destroy(queue); }
};
struct DestroyMessage {
  void operator()(rd_kafka_message_t* message) const { rd_kafka_message_destroy(message); }
};
struct DestroyList {
  void operator()(rd_kafka_topic_partition_list_t* list) const {
    rd_kafka_topic_partition_list_destroy(list);
  }
};
using MessageHandle = std::unique_ptr<rd_kafka_message_t, DestroyMessage>;
using ListHandle = std::unique_ptr<rd_kafka_topic_partition_list_t, DestroyList>;

// The messages of one poll, which the views of a batch point into. Keeps the consumer as well: the
// library must not be torn down under its messages.
struct Chunk {
  std::shared_ptr<KafkaConsumer> consumer;
  std::vector<MessageHandle> messages;
};

ListHandle list_of(const TopicPartition& where, Offset offset) {
  ListHandle list(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(list.get(), where.topic.c_str(), where.partition)->offset =
      offset;
  return list;
}

Result<void> converted(rd_kafka_error_t* error, const std::string& operation) {
  if (error == nullptr) return {};
  const Error result = kafka_error(rd_kafka_error_code(error), operation);
  rd_kafka_error_destroy(error);
  return result;
}

// Runs on a thread of the library, under the lock of the queue, whenever it stops being empty.
void on_queue_filled(rd_kafka_t* /*client*/, void* opaque) {
  static_cast<WakeCell*>(opaque)->call();
}

}  // namespace

class KafkaReader : public LogReader {
 public:
  KafkaReader(std::shared_ptr<KafkaConsumer> consumer, TopicPartition where, Offset start,
              Wake wake)
      : consumer_(std::move(consumer)),
        where_(std::move(where)),
        name_(where_.topic + "/" + std::to_string(where_.partition)),
        waits_by_polling_(wake == nullptr),
        wake_(std::move(wake)),
        position_(start) {}

  Result<void> assign() {
    const std::unique_lock lock(consumer_->mutex_);
    queue_.reset(
        rd_kafka_queue_get_partition(consumer_->handle(), where_.topic.c_str(), where_.partition));
    if (!queue_) return Error{ErrorCode::not_found, name_ + " has no queue"};
    // Before assigning: afterwards the first messages would go to the consumer's own queue.
    rd_kafka_queue_forward(queue_.get(), nullptr);
    drop_queued();
    rd_kafka_queue_cb_event_enable(queue_.get(), on_queue_filled, &wake_);
    const ListHandle list = list_of(where_, position_);
    return converted(rd_kafka_incremental_assign(consumer_->handle(), list.get()),
                     "reading " + name_);
  }

  ~KafkaReader() override {
    held_.clear();
    last_.reset();
    {
      const std::unique_lock lock(consumer_->mutex_);
      if (queue_) {
        rd_kafka_queue_cb_event_enable(queue_.get(), nullptr, nullptr);
        wake_.clear();
        const ListHandle list = list_of(where_, RD_KAFKA_OFFSET_INVALID);
        static_cast<void>(
            converted(rd_kafka_incremental_unassign(consumer_->handle(), list.get()), "leaving"));
        drop_queued();
      }
    }
    const std::lock_guard lock(consumer_->taken_mutex_);
    consumer_->taken_.erase(where_);
  }

  Result<void> poll(RecordBatch& batch, const PollLimits& limits) override {
    last_.reset();
    batch.next_offset = position_;
    if (failure_) return *failure_;
    auto chunk = std::make_shared<Chunk>();
    std::size_t bytes = 0;
    while (chunk->messages.size() < limits.records_max &&
           (chunk->messages.empty() || bytes < limits.bytes_max)) {
      if (nothing_held()) {
        if (!fetch(limits.records_max - chunk->messages.size())) break;
        chunk->messages.reserve(chunk->messages.size() + held_.size());
        batch.records.reserve(batch.records.size() + held_.size());
      }
      MessageHandle message = std::move(held_[held_begin_++]);
      if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        take_event(*message);
        if (failure_) break;
        continue;
      }
      // A repeated record is harmless once it is dropped; a gap may be a compacted or control one.
      if (message->offset < position_) continue;
      at_end_ = false;
      position_ = message->offset + 1;
      bytes += message->len;
      batch.records.push_back(view_of(*message));
      chunk->messages.push_back(std::move(message));
    }
    batch.bytes += bytes;
    batch.next_offset = position_;
    if (!chunk->messages.empty()) {
      chunk->consumer = consumer_;
      if (nothing_held()) at_end_ = at_end_ || reached_watermark();
      batch.owners.push_back(chunk);
      last_ = std::move(chunk);
      empty_since_ = {};
      return {};
    }
    if (failure_) return *failure_;
    if (waits_by_polling_ && !at_end_) rouse_library();
    return {};
  }

  Offset position() const override { return position_; }
  bool at_end() const override { return at_end_; }
  Offset end() const override { return std::max(position_, watermark()); }

  Headers headers(Offset offset) const override {
    if (!last_) return {};
    const auto found = std::lower_bound(
        last_->messages.begin(), last_->messages.end(), offset,
        [](const MessageHandle& each, Offset wanted) { return each->offset < wanted; });
    if (found == last_->messages.end() || (*found)->offset != offset) return {};
    rd_kafka_headers_t* stored = nullptr;
    if (rd_kafka_message_headers(found->get(), &stored) != RD_KAFKA_RESP_ERR_NO_ERROR) return {};
    Headers headers;
    const char* name = nullptr;
    const void* value = nullptr;
    std::size_t size = 0;
    for (std::size_t i = 0;
         rd_kafka_header_get_all(stored, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR;
         ++i) {
      headers.emplace_back(name, std::string(static_cast<const char*>(value), size));
    }
    return headers;
  }

 private:
  static RecordView view_of(const rd_kafka_message_t& message) {
    rd_kafka_timestamp_type_t type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
    const TimeMs time_ms = rd_kafka_message_timestamp(&message, &type);
    return {message.offset,
            std::max<TimeMs>(time_ms, 0),
            {static_cast<const char*>(message.key), message.key_len},
            {static_cast<const char*>(message.payload), message.len},
            event_time_of(message)};
  }

  // The message keeps what the view points into.
  static std::string_view event_time_of(const rd_kafka_message_t& message) {
    // Rows of a frame bring their own times, and looking for headers costs more than such a record.
    const auto* payload = static_cast<const char*>(message.payload);
    if (message.len > 0 && payload[0] == frame_magic) return {};
    rd_kafka_headers_t* headers = nullptr;
    if (rd_kafka_message_headers(&message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return {};
    const void* value = nullptr;
    std::size_t size = 0;
    const rd_kafka_resp_err_t found =
        rd_kafka_header_get_last(headers, event_time_header.data(), &value, &size);
    if (found != RD_KAFKA_RESP_ERR_NO_ERROR || value == nullptr) return {};
    return {static_cast<const char*>(value), size};
  }

  bool nothing_held() const { return held_begin_ == held_.size(); }

  // False: there is nothing. Never waits.
  bool fetch(std::size_t wanted) {
    std::array<rd_kafka_message_t*, fetch_count> messages{};
    const std::shared_lock lock(consumer_->mutex_);
    const ssize_t count = rd_kafka_consume_batch_queue(queue_.get(), 0, messages.data(),
                                                       std::min(wanted, messages.size()));
    held_.clear();
    held_begin_ = 0;
    for (ssize_t i = 0; i < count; ++i) {
      held_.emplace_back(messages[static_cast<std::size_t>(i)]);
    }
    return count > 0;
  }

  // What an earlier reader of this partition left behind. Under the consumer's lock, held alone.
  void drop_queued() {
    std::array<rd_kafka_message_t*, fetch_count> messages{};
    while (true) {
      const ssize_t count =
          rd_kafka_consume_batch_queue(queue_.get(), 0, messages.data(), messages.size());
      if (count <= 0) return;
      for (ssize_t i = 0; i < count; ++i) {
        rd_kafka_message_destroy(messages[static_cast<std::size_t>(i)]);
      }
    }
  }

  void take_event(const rd_kafka_message_t& message) {
    if (message.err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
      position_ = std::max<Offset>(position_, message.offset);
      at_end_ = true;
      return;
    }
    const Error error =
        kafka_error(message.err, "reading " + name_ + " at offset " + std::to_string(position_));
    // A broker that is away comes back; the library keeps trying by itself.
    if (error.code != ErrorCode::unavailable) failure_ = error;
  }

  // The high watermark as the last fetch brought it; below 1 before that.
  Offset watermark() const {
    std::int64_t low = 0;
    std::int64_t high = 0;
    const rd_kafka_resp_err_t code = rd_kafka_get_watermark_offsets(
        consumer_->handle(), where_.topic.c_str(), where_.partition, &low, &high);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? high : 0;
  }

  // The library stops fetching for a queue that is full and looks again when something wakes it, at
  // the latest after a second: half a megabyte a second where nothing else is read. A question to
  // the partition's broker wakes it. Costs a round trip, hence only after some polls in vain.
  void rouse_library() {
    using Clock = std::chrono::steady_clock;
    constexpr auto patience = std::chrono::milliseconds(2);
    constexpr int answer_ms_max = 200;
    const Clock::time_point now = Clock::now();
    if (empty_since_ == Clock::time_point{}) empty_since_ = now;
    if (now - empty_since_ < patience) return;
    std::int64_t low = 0;
    std::int64_t high = 0;
    // Whatever it answers: who polls here learns from the next fetch.
    static_cast<void>(rd_kafka_query_watermark_offsets(
        consumer_->handle(), where_.topic.c_str(), where_.partition, &low, &high, answer_ms_max));
    empty_since_ = Clock::now();
  }

  // Spares the wait for the event that says so.
  bool reached_watermark() const {
    const Offset high = watermark();
    return high > 0 && position_ >= high;
  }

  const std::shared_ptr<KafkaConsumer> consumer_;
  const TopicPartition where_;
  const std::string name_;
  const bool waits_by_polling_;  // nobody wakes who reads here: a range is read to its end at once
  WakeCell wake_;
  std::unique_ptr<rd_kafka_queue_t, DestroyQueue> queue_;
  Offset position_;
  bool at_end_ = false;
  std::optional<Error> failure_;  // stays: the library has stopped fetching
  // Taken from the library and not yet handed out: from held_begin_ on.
  std::vector<MessageHandle> held_;
  std::size_t held_begin_ = 0;
  std::chrono::steady_clock::time_point empty_since_;  // polls in vain began; 0: there are none
  std::shared_ptr<const Chunk> last_;
};

Result<std::shared_ptr<KafkaConsumer>> KafkaConsumer::open(const KafkaOptions& options,
                                                           bool journal) {
  std::shared_ptr<KafkaConsumer> consumer(new KafkaConsumer());
  consumer->journal_ = journal;
  consumer->context_.log = options.log;
  ClientSettings settings;
  settings.role = KafkaRole::consumer;
  settings.defaults = {{"group.id", "selfheal-reader"},  // asked for, never joined
                       {"fetch.wait.max.ms", journal ? "20" : "50"},
                       {"fetch.error.backoff.ms", "50"},
                       {"check.crcs", "true"},
                       // All are per partition, and the library keeps some 250 bytes more for each
                       // message: this is most of the memory of a service that is behind.
                       {"queued.min.messages", "3000"},
                       {"queued.max.messages.kbytes", "512"},
                       {"fetch.message.max.bytes", "131072"}};
  settings.fixed = {{"enable.auto.commit", "false"},
                    {"enable.auto.offset.store", "false"},
                    {"auto.offset.reset", "error"},
                    {"enable.partition.eof", "true"},
                    {"allow.auto.create.topics", "false"}};
  Result<ClientHandle> handle = make_client(settings, options, consumer->context_);
  if (!handle) return handle.error();
  consumer->handle_ = std::move(*handle);
  return consumer;
}

bool KafkaConsumer::reads(const TopicPartition& where) const {
  const std::lock_guard lock(taken_mutex_);
  return taken_.contains(where);
}

bool KafkaConsumer::idle() const {
  const std::lock_guard lock(taken_mutex_);
  return taken_.empty();
}

Result<std::unique_ptr<LogReader>> KafkaConsumer::read(const TopicPartition& where, Offset start,
                                                       Wake wake) {
  {
    const std::lock_guard lock(taken_mutex_);
    CHECK(taken_.insert(where).second, "one reader a partition and consumer");
  }
  auto reader = std::make_unique<KafkaReader>(shared_from_this(), where, start, std::move(wake));
  if (Result<void> assigned = reader->assign(); !assigned) return assigned.error();
  return std::unique_ptr<LogReader>(std::move(reader));
}

void KafkaConsumer::serve() {
  const std::shared_lock lock(mutex_);
  while (const MessageHandle message{rd_kafka_consumer_poll(handle(), 0)}) {
    CHECK(message->err != RD_KAFKA_RESP_ERR_NO_ERROR,
          "every partition has its own queue before it is assigned");
  }
}

}  // namespace selfheal
