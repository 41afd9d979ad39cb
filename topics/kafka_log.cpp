#include "topics/kafka_log.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

#include "topics/kafka_admin.hpp"
#include "topics/kafka_consumer.hpp"
#include "topics/kafka_producer.hpp"

namespace selfheal {
namespace {

constexpr auto serve_pause = std::chrono::milliseconds(100);
constexpr std::string_view journal_suffix = ".journal";

}  // namespace

// Order of members is order of destruction, reversed: the server stops before what it serves.
class KafkaLog::Core {
 public:
  explicit Core(KafkaOptions each) : options(std::move(each)) {}

  ~Core() {
    stopping_ = true;
    if (server_.joinable()) server_.join();
  }

  Result<void> start() {
    Result<std::unique_ptr<KafkaProducer>> made = KafkaProducer::open(options);
    if (!made) return made.error();
    producer = std::move(*made);
    // The first two stay for as long as the log: inputs, which also answers questions, and journal.
    for (const bool journal : {false, true}) {
      Result<std::shared_ptr<KafkaConsumer>> consumer = KafkaConsumer::open(options, journal);
      if (!consumer) return consumer.error();
      consumers_.push_back(std::move(*consumer));
    }
    server_ = std::thread([this] {
      while (!stopping_) {
        for (const auto& each : all_consumers()) each->serve();
        std::this_thread::sleep_for(serve_pause);
      }
    });
    return {};
  }

  rd_kafka_s* admin() const { return consumers_.front()->handle(); }

  // Asks the broker the first time only; a topic that was there is not asked for again.
  Result<std::int32_t> known_partitions(const std::string& topic) {
    {
      const std::lock_guard lock(mutex_);
      if (const auto found = partitions_.find(topic); found != partitions_.end()) {
        return found->second;
      }
    }
    return ask_partitions(topic);
  }

  Result<std::int32_t> ask_partitions(const std::string& topic) {
    Result<std::int32_t> count = kafka_partitions(admin(), topic, options.request_timeout_ms);
    if (count) producer->warm_up(topic);
    const std::lock_guard lock(mutex_);
    if (count) partitions_[topic] = *count;
    if (!count && count.error().code == ErrorCode::not_found) partitions_.erase(topic);
    return count;
  }

  Result<void> check_place(const TopicPartition& where) {
    const Result<std::int32_t> count = known_partitions(where.topic);
    if (!count) return count.error();
    if (where.partition >= 0 && where.partition < *count) return {};
    return Error{ErrorCode::not_found,
                 "topic '" + where.topic + "' has no partition " + std::to_string(where.partition)};
  }

  // A second reader of a partition (audit beside the live one) gets a consumer of its own, which
  // goes when it has none left.
  Result<std::unique_ptr<LogReader>> read(const TopicPartition& where, Offset start, Wake wake) {
    const bool journal = where.topic.ends_with(journal_suffix);
    const std::lock_guard lock(open_mutex_);
    forget_idle();
    for (const auto& each : all_consumers()) {
      if (each->journal() != journal || each->reads(where)) continue;
      return each->read(where, start, std::move(wake));
    }
    Result<std::shared_ptr<KafkaConsumer>> extra = KafkaConsumer::open(options, journal);
    if (!extra) return extra.error();
    {
      const std::lock_guard consumers_lock(mutex_);
      consumers_.push_back(*extra);
    }
    return (*extra)->read(where, start, std::move(wake));
  }

  const KafkaOptions options;
  std::unique_ptr<KafkaProducer> producer;

 private:
  std::vector<std::shared_ptr<KafkaConsumer>> all_consumers() {
    const std::lock_guard lock(mutex_);
    return consumers_;
  }

  void forget_idle() {
    std::vector<std::shared_ptr<KafkaConsumer>> gone;  // destroyed outside the lock: it takes time
    const std::lock_guard lock(mutex_);
    for (std::size_t i = consumers_.size(); i-- > 2;) {
      if (!consumers_[i]->idle()) continue;
      gone.push_back(std::move(consumers_[i]));
      consumers_.erase(consumers_.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }

  std::mutex open_mutex_;  // one open at a time
  std::mutex mutex_;
  std::map<std::string, std::int32_t> partitions_;
  std::vector<std::shared_ptr<KafkaConsumer>> consumers_;
  std::atomic<bool> stopping_ = false;
  std::thread server_;
};

KafkaLog::KafkaLog(std::unique_ptr<Core> core) : core_(std::move(core)) {}
KafkaLog::~KafkaLog() = default;

Result<std::unique_ptr<KafkaLog>> KafkaLog::open(KafkaOptions options) {
  auto core = std::make_unique<Core>(std::move(options));
  if (Result<void> started = core->start(); !started) return started.error();
  return std::unique_ptr<KafkaLog>(new KafkaLog(std::move(core)));
}

Result<void> KafkaLog::create_topics(const std::vector<TopicSpec>& topics) {
  return kafka_create_topics(core_->admin(), core_->options, topics);
}

Result<std::int32_t> KafkaLog::partitions(const std::string& topic) {
  return core_->ask_partitions(topic);
}

Result<OffsetRange> KafkaLog::range(const TopicPartition& where) {
  if (Result<void> checked = core_->check_place(where); !checked) return checked.error();
  return kafka_range(core_->admin(), where, core_->options.request_timeout_ms);
}

void KafkaLog::append(const TopicPartition& where, NewRecord record, Delivered delivered) {
  Result<void> checked = check_record(record);
  if (checked) checked = core_->check_place(where);
  if (!checked) return delivered(checked.error());
  core_->producer->append(where, record, std::move(delivered));
}

Result<std::unique_ptr<LogReader>> KafkaLog::open(const TopicPartition& where, Offset start,
                                                  Wake wake) {
  if (start < 0) return Error{ErrorCode::invalid, "an offset is not negative"};
  if (Result<void> checked = core_->check_place(where); !checked) return checked.error();
  return core_->read(where, start, std::move(wake));
}

Result<void> KafkaLog::flush(DurationMs timeout_ms) {
  return core_->producer->flush(timeout_ms);
}

Result<void> KafkaLog::ping(DurationMs timeout_ms) {
  const Result<std::int32_t> brokers = kafka_broker_count(core_->admin(), timeout_ms);
  if (!brokers) return brokers.error().within("kafka " + core_->options.brokers);
  return {};
}

std::string KafkaLog::describe() const {
  return "kafka " + core_->options.brokers;
}

void KafkaLog::fail_producer() {
  core_->producer->fail();
}

}  // namespace selfheal
