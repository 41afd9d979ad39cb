#pragma once
// Questions and orders to the cluster, through any client. Internal to the log on Kafka. Blocking,
// thread-safe.
#include "topics/kafka_client.hpp"

namespace selfheal {

// Returns when every partition of every topic has a leader.
Result<void> kafka_create_topics(rd_kafka_s* client, const KafkaOptions& options,
                                 const std::vector<TopicSpec>& topics);
// `client` must be a consumer: a producer's question makes a broker with auto creation create.
Result<std::int32_t> kafka_partitions(rd_kafka_s* client, const std::string& topic,
                                      DurationMs timeout_ms);
Result<OffsetRange> kafka_range(rd_kafka_s* client, const TopicPartition& where,
                                DurationMs timeout_ms);
Result<std::int32_t> kafka_broker_count(rd_kafka_s* client, DurationMs timeout_ms);

}  // namespace selfheal
