#pragma once
// What every client of librdkafka shares here: settings, callbacks, errors. Internal to the log on
// Kafka. The library's types are only named, so that its header stays inside .cpp files.
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "topics/kafka_log.hpp"

struct rd_kafka_s;
struct rd_kafka_conf_s;
struct rd_kafka_message_s;

namespace selfheal {

enum class KafkaRole : std::uint8_t { producer, consumer };

// What the library's callbacks reach. Outlives its client.
struct ClientContext {
  std::function<void(int level, std::string_view text)> log;
  std::atomic<bool> fatal = false;  // the client refuses everything from now on
};

struct DestroyClient {
  void operator()(rd_kafka_s* client) const;
};
using ClientHandle = std::unique_ptr<rd_kafka_s, DestroyClient>;

using KafkaProperties = std::vector<std::pair<std::string, std::string>>;

// `defaults` yield to the user's properties; `fixed` must not be contradicted by them.
struct ClientSettings {
  KafkaRole role = KafkaRole::consumer;
  KafkaProperties defaults;
  KafkaProperties fixed;
  void (*on_delivery)(rd_kafka_s*, const rd_kafka_message_s*, void*) = nullptr;
};

Result<ClientHandle> make_client(const ClientSettings& settings, const KafkaOptions& options,
                                 ClientContext& context);

// The one place where a code of the library becomes an error.
Error kafka_error(int code, const std::string& operation);

// Room in a batch beside value, key and headers.
constexpr std::size_t kafka_batch_slack_bytes = std::size_t{64} * 1024;
constexpr std::size_t kafka_message_bytes_max =
    record_bytes_max + record_overhead_bytes_max + kafka_batch_slack_bytes;

}  // namespace selfheal
