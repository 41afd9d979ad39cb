#pragma once
// The log on Kafka. One idempotent producer writes; readers of journals (topics whose name ends in
// ".journal") share one consumer and all other readers another, so that a drain of the inputs never
// delays a read-back. Nothing here joins a consumer group or commits an offset: where a reader
// stands is the journal's business.
//
// A broker that is away costs time, never an exception: polls bring nothing, appends are answered
// with an error after delivery.timeout.ms, and everything goes on once it is back. After a fatal
// producer error the producer is replaced; what it had in flight is answered with errors.
//
// Thread-safe as log.hpp says. Delivered and Wake run on threads of this log. A first append to a
// topic that create_topics, partitions and open have not seen asks the broker and waits for it, at
// most request_timeout_ms: a producer would otherwise let the broker make the topic.
// Errors: unavailable (broker away), not_found, refused (authorization), exhausted (queue or record
// too large), corrupt (offset out of range), invalid (properties).
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "topics/log.hpp"

namespace selfheal {

struct KafkaOptions {
  std::string brokers;  // "host:port,host:port"
  // librdkafka properties by name, for every client that knows them. One that no client knows, and
  // one that correctness rests on with another value, is an error that names it.
  std::map<std::string, std::string> properties;
  // Fsync each record of such topics even where replicas keep it.
  bool flush_when_replicated = false;
  DurationMs request_timeout_ms = 5000;  // metadata, watermarks; topics are given twice that
  // What the client library has to say, with a syslog level; empty: not said.
  std::function<void(int level, std::string_view text)> log;
};

class KafkaLog : public Log {
 public:
  // Does not need the broker; ping() tells whether it is there.
  static Result<std::unique_ptr<KafkaLog>> open(KafkaOptions options);
  // Gives appends in flight one second, then answers them with errors.
  ~KafkaLog() override;

  Result<void> create_topics(const std::vector<TopicSpec>& topics) override;
  Result<std::int32_t> partitions(const std::string& topic) override;
  Result<OffsetRange> range(const TopicPartition& where) override;
  void append(const TopicPartition& where, NewRecord record, Delivered delivered) override;
  Result<std::unique_ptr<LogReader>> open(const TopicPartition& where, Offset start,
                                          Wake wake) override;
  Result<void> flush(DurationMs timeout_ms) override;
  Result<void> ping(DurationMs timeout_ms) override;
  std::string describe() const override;

  // For tests: the producer fails as after a lost sequence, and is replaced.
  void fail_producer();

 private:
  class Core;
  explicit KafkaLog(std::unique_ptr<Core> core);
  std::unique_ptr<Core> core_;
};

}  // namespace selfheal
