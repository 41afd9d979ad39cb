#include "topics/kafka_admin.hpp"

#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <thread>

namespace selfheal {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int32_t replicas_max = 3;
constexpr std::int32_t replicas_in_sync_min = 2;
constexpr auto metadata_pause = std::chrono::milliseconds(20);

struct DestroyNewTopic {
  void operator()(rd_kafka_NewTopic_t* topic) const { rd_kafka_NewTopic_destroy(topic); }
};
struct DestroyMetadata {
  void operator()(const rd_kafka_metadata_t* metadata) const {
    rd_kafka_metadata_destroy(metadata);
  }
};
struct DestroyTopic {
  void operator()(rd_kafka_topic_t* topic) const { rd_kafka_topic_destroy(topic); }
};
struct DestroyQueue {
  void operator()(rd_kafka_queue_t* queue) const { rd_kafka_queue_destroy(queue); }
};
struct DestroyEvent {
  void operator()(rd_kafka_event_t* event) const { rd_kafka_event_destroy(event); }
};
struct DestroyAdminOptions {
  void operator()(rd_kafka_AdminOptions_t* each) const { rd_kafka_AdminOptions_destroy(each); }
};
using NewTopicHandle = std::unique_ptr<rd_kafka_NewTopic_t, DestroyNewTopic>;
using MetadataHandle = std::unique_ptr<const rd_kafka_metadata_t, DestroyMetadata>;

// Of one topic, or of the brokers alone where `topic` is null.
Result<MetadataHandle> metadata(rd_kafka_t* client, rd_kafka_topic_t* topic,
                                DurationMs timeout_ms) {
  const rd_kafka_metadata_t* answer = nullptr;
  const rd_kafka_resp_err_t code =
      rd_kafka_metadata(client, 0, topic, &answer, static_cast<int>(timeout_ms));
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return kafka_error(code, "asking Kafka for metadata");
  return MetadataHandle(answer);
}

Result<NewTopicHandle> new_topic(const TopicSpec& spec, const KafkaOptions& options,
                                 std::int32_t replicas) {
  std::array<char, 512> text{};
  NewTopicHandle topic(rd_kafka_NewTopic_new(spec.name.c_str(), spec.partitions, replicas,
                                             text.data(), text.size()));
  if (!topic) return Error{ErrorCode::invalid, "topic '" + spec.name + "': " + text.data()};
  KafkaProperties configs = {
      {"retention.ms", std::to_string(spec.retention_ms)},
      {"cleanup.policy", spec.compacted ? "compact" : "delete"},
      {"message.timestamp.type", spec.log_append_time ? "LogAppendTime" : "CreateTime"},
      {"max.message.bytes", std::to_string(kafka_message_bytes_max)},
      {"unclean.leader.election.enable", "false"}};
  // Only whole segments expire: one must not grow for longer than what it holds is kept.
  constexpr std::int64_t segments_kept = 4;
  if (spec.retention_ms < one_day_ms) {
    configs.emplace_back("segment.ms", std::to_string(spec.retention_ms / segments_kept));
  }
  if (replicas >= replicas_max) {
    configs.emplace_back("min.insync.replicas", std::to_string(replicas_in_sync_min));
  }
  // Enough replicas keep a record through a power loss; a single one only after an fsync.
  if (spec.flush_each_message && (replicas < replicas_max || options.flush_when_replicated)) {
    configs.emplace_back("flush.messages", "1");
  }
  for (const auto& [name, value] : configs) {
    const rd_kafka_resp_err_t code =
        rd_kafka_NewTopic_set_config(topic.get(), name.c_str(), value.c_str());
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return kafka_error(code, "setting " + name);
  }
  return topic;
}

Result<void> order(rd_kafka_t* client, std::vector<rd_kafka_NewTopic_t*>& topics,
                   DurationMs timeout_ms) {
  const std::unique_ptr<rd_kafka_queue_t, DestroyQueue> queue(rd_kafka_queue_new(client));
  const std::unique_ptr<rd_kafka_AdminOptions_t, DestroyAdminOptions> admin(
      rd_kafka_AdminOptions_new(client, RD_KAFKA_ADMIN_OP_CREATETOPICS));
  std::array<char, 512> text{};
  const int wait_ms = static_cast<int>(timeout_ms);
  static_cast<void>(
      rd_kafka_AdminOptions_set_request_timeout(admin.get(), wait_ms, text.data(), text.size()));
  rd_kafka_CreateTopics(client, topics.data(), topics.size(), admin.get(), queue.get());
  // The library answers by its own timeout; the second on top only guards against its silence.
  const std::unique_ptr<rd_kafka_event_t, DestroyEvent> event(
      rd_kafka_queue_poll(queue.get(), wait_ms + 1000));
  if (!event) return Error{ErrorCode::unavailable, "creating topics: Kafka did not answer"};
  if (const auto code = rd_kafka_event_error(event.get()); code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return kafka_error(code, "creating topics");
  }
  std::size_t count = 0;
  const rd_kafka_topic_result_t** results =
      rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event.get()), &count);
  for (std::size_t i = 0; i < count; ++i) {
    const rd_kafka_resp_err_t code = rd_kafka_topic_result_error(results[i]);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
      continue;
    }
    const char* why = rd_kafka_topic_result_error_string(results[i]);
    Error error =
        kafka_error(code, std::string("creating topic ") + rd_kafka_topic_result_name(results[i]));
    if (why != nullptr) error.context += std::string(": ") + why;
    return error;
  }
  return {};
}

// How many partitions of the topic have a leader, or an error.
Result<std::int32_t> partitions_with_leader(rd_kafka_t* client, const std::string& topic,
                                            DurationMs timeout_ms, bool all) {
  const std::unique_ptr<rd_kafka_topic_t, DestroyTopic> handle(
      rd_kafka_topic_new(client, topic.c_str(), nullptr));
  if (!handle) return kafka_error(rd_kafka_last_error(), "topic '" + topic + "'");
  const Result<MetadataHandle> answer = metadata(client, handle.get(), timeout_ms);
  if (!answer) return answer.error();
  if ((*answer)->topic_cnt < 1) return kafka_error(RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, topic);
  const rd_kafka_metadata_topic& found = (*answer)->topics[0];
  if (found.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return kafka_error(found.err, "topic '" + topic + "'");
  }
  if (!all) return found.partition_cnt;
  return static_cast<std::int32_t>(
      std::count_if(found.partitions, found.partitions + found.partition_cnt,
                    [](const auto& each) { return each.leader >= 0; }));
}

}  // namespace

Result<void> kafka_create_topics(rd_kafka_s* client, const KafkaOptions& options,
                                 const std::vector<TopicSpec>& topics) {
  if (topics.empty()) return {};
  const DurationMs timeout_ms = 2 * options.request_timeout_ms;
  const Result<std::int32_t> brokers = kafka_broker_count(client, options.request_timeout_ms);
  if (!brokers) return brokers.error();
  const std::int32_t replicas = std::clamp<std::int32_t>(*brokers, 1, replicas_max);
  std::vector<NewTopicHandle> owned;
  std::vector<rd_kafka_NewTopic_t*> ordered;
  for (const TopicSpec& topic : topics) {
    Result<NewTopicHandle> made = new_topic(topic, options, replicas);
    if (!made) return made.error();
    ordered.push_back(made->get());
    owned.push_back(std::move(*made));
  }
  if (Result<void> done = order(client, ordered, timeout_ms); !done) return done;
  const auto deadline = Clock::now() + std::chrono::milliseconds(timeout_ms);
  for (const TopicSpec& topic : topics) {
    while (true) {
      const Result<std::int32_t> there =
          partitions_with_leader(client, topic.name, options.request_timeout_ms, true);
      if (there && *there >= topic.partitions) break;
      const Result<std::int32_t> made = kafka_partitions(client, topic.name, timeout_ms);
      if (made && *made < topic.partitions) {
        return Error{ErrorCode::refused, "topic '" + topic.name + "' exists with " +
                                             std::to_string(*made) + " partitions instead of " +
                                             std::to_string(topic.partitions)};
      }
      if (Clock::now() > deadline) {
        return Error{ErrorCode::unavailable, "topic '" + topic.name + "' has no leader yet"};
      }
      std::this_thread::sleep_for(metadata_pause);
    }
  }
  return {};
}

Result<std::int32_t> kafka_partitions(rd_kafka_s* client, const std::string& topic,
                                      DurationMs timeout_ms) {
  return partitions_with_leader(client, topic, timeout_ms, false);
}

Result<OffsetRange> kafka_range(rd_kafka_s* client, const TopicPartition& where,
                                DurationMs timeout_ms) {
  OffsetRange range;
  const rd_kafka_resp_err_t code =
      rd_kafka_query_watermark_offsets(client, where.topic.c_str(), where.partition, &range.begin,
                                       &range.end, static_cast<int>(timeout_ms));
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return kafka_error(code, "offsets of " + where.topic + "/" + std::to_string(where.partition));
  }
  return range;
}

Result<std::int32_t> kafka_broker_count(rd_kafka_s* client, DurationMs timeout_ms) {
  const Result<MetadataHandle> answer = metadata(client, nullptr, timeout_ms);
  if (!answer) return answer.error();
  return (*answer)->broker_cnt;
}

}  // namespace selfheal
