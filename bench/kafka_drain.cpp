// The bare drain: what the client library alone costs, to hold the whole path against.
#include <librdkafka/rdkafka.h>
#include <sys/resource.h>

#include <array>
#include <chrono>
#include <memory>

#include "bench/kafka_load.hpp"

namespace selfheal::bench {
namespace {

constexpr std::size_t fetch_count = 512;
constexpr int wait_ms = 100;

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

struct DestroyConsumer {
  void operator()(rd_kafka_t* client) const { rd_kafka_destroy(client); }
};
struct DestroyQueue {
  void operator()(rd_kafka_queue_t* queue) const { rd_kafka_queue_destroy(queue); }
};
using Consumer = std::unique_ptr<rd_kafka_t, DestroyConsumer>;

Result<Consumer> open_consumer(const std::string& brokers) {
  // The same settings as the service's consumer of inputs, so that only the rest differs.
  const std::array<std::pair<const char*, const char*>, 8> properties = {{
      {"bootstrap.servers", brokers.c_str()},
      {"group.id", "selfheal-bench"},
      {"enable.auto.commit", "false"},
      {"enable.partition.eof", "true"},
      {"fetch.wait.max.ms", "50"},
      {"check.crcs", "true"},
      {"queued.min.messages", "20000"},
      {"queued.max.messages.kbytes", "4096"},
  }};
  std::array<char, 512> text{};
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  for (const auto& [name, value] : properties) {
    if (rd_kafka_conf_set(conf, name, value, text.data(), text.size()) != RD_KAFKA_CONF_OK) {
      rd_kafka_conf_destroy(conf);
      return Error{ErrorCode::invalid, text.data()};
    }
  }
  Consumer consumer(rd_kafka_new(RD_KAFKA_CONSUMER, conf, text.data(), text.size()));
  if (!consumer) return Error{ErrorCode::invalid, text.data()};
  rd_kafka_poll_set_consumer(consumer.get());
  return consumer;
}

Result<int> partition_count(rd_kafka_t* consumer, const std::string& topic) {
  rd_kafka_topic_t* handle = rd_kafka_topic_new(consumer, topic.c_str(), nullptr);
  const rd_kafka_metadata_t* metadata = nullptr;
  const rd_kafka_resp_err_t code = rd_kafka_metadata(consumer, 0, handle, &metadata, 10'000);
  rd_kafka_topic_destroy(handle);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return Error{ErrorCode::unavailable, rd_kafka_err2str(code)};
  }
  const int count = metadata->topics[0].partition_cnt;
  rd_kafka_metadata_destroy(metadata);
  if (count <= 0) return Error{ErrorCode::not_found, topic + " does not exist"};
  return count;
}

}  // namespace

Result<Drained> drain(const std::string& brokers, const std::string& topic) {
  const Result<Consumer> consumer = open_consumer(brokers);
  if (!consumer) return consumer.error();
  const Result<int> partitions = partition_count(consumer->get(), topic);
  if (!partitions) return partitions.error();
  const double cpu_begin = cpu_seconds();
  const auto begin = std::chrono::steady_clock::now();
  rd_kafka_topic_partition_list_t* list = rd_kafka_topic_partition_list_new(*partitions);
  for (int partition = 0; partition < *partitions; ++partition) {
    rd_kafka_topic_partition_list_add(list, topic.c_str(), partition)->offset = 0;
  }
  rd_kafka_assign(consumer->get(), list);
  rd_kafka_topic_partition_list_destroy(list);
  const std::unique_ptr<rd_kafka_queue_t, DestroyQueue> queue(
      rd_kafka_queue_get_consumer(consumer->get()));
  Drained drained;
  int ended = 0;
  std::array<rd_kafka_message_t*, fetch_count> messages{};
  while (ended < *partitions) {
    const ssize_t count =
        rd_kafka_consume_batch_queue(queue.get(), wait_ms, messages.data(), messages.size());
    for (ssize_t i = 0; i < count; ++i) {
      rd_kafka_message_t* message = messages[static_cast<std::size_t>(i)];
      if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) ++drained.messages;
      if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) ++ended;
      rd_kafka_message_destroy(message);
    }
  }
  drained.cpu_seconds = cpu_seconds() - cpu_begin;
  drained.wall_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return drained;
}

}  // namespace selfheal::bench
