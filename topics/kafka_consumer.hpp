#pragma once
// A consumer shared by readers, each with a queue of its own. Internal to the log on Kafka.
//
// librdkafka 2.0.2 may lose or repeat records where batches are taken while partitions come and go.
// So polls hold `mutex` shared, and assigning or unassigning holds it alone.
#include <memory>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <string>

#include "topics/kafka_client.hpp"

namespace selfheal {

class KafkaConsumer : public std::enable_shared_from_this<KafkaConsumer> {
 public:
  static Result<std::shared_ptr<KafkaConsumer>> open(const KafkaOptions& options, bool journal);

  // One reader a partition; the caller looks for another consumer where this says true.
  bool reads(const TopicPartition& where) const;
  bool idle() const;
  Result<std::unique_ptr<LogReader>> read(const TopicPartition& where, Offset start, Wake wake);
  // Serves what belongs to no reader: errors and statistics. Call now and then.
  void serve();

  rd_kafka_s* handle() const { return handle_.get(); }
  bool journal() const { return journal_; }

 private:
  friend class KafkaReader;
  KafkaConsumer() = default;

  ClientContext context_;
  ClientHandle handle_;
  bool journal_ = false;
  mutable std::shared_mutex mutex_;
  mutable std::mutex taken_mutex_;
  std::set<TopicPartition> taken_;
};

}  // namespace selfheal
