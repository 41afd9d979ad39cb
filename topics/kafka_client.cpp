#include "topics/kafka_client.hpp"

#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <array>

namespace selfheal {
namespace {

constexpr std::size_t error_text_bytes = 512;

struct DestroyConf {
  void operator()(rd_kafka_conf_t* conf) const { rd_kafka_conf_destroy(conf); }
};
using ConfHandle = std::unique_ptr<rd_kafka_conf_t, DestroyConf>;

void on_log(const rd_kafka_t* client, int level, const char* facility, const char* text) {
  // The user's properties go to producer and consumers alike; each warns of those not its own.
  if (std::string_view(facility) == "CONFWARN") return;
  const auto* context = static_cast<const ClientContext*>(rd_kafka_opaque(client));
  if (context != nullptr && context->log) context->log(level, text);
}

void on_error(rd_kafka_t* /*client*/, int code, const char* reason, void* opaque) {
  auto* context = static_cast<ClientContext*>(opaque);
  if (code == RD_KAFKA_RESP_ERR__FATAL) context->fatal = true;
  constexpr int syslog_warning = 4;
  if (context->log) context->log(syslog_warning, reason);
}

Result<void> set(rd_kafka_conf_t* conf, const std::string& name, const std::string& value) {
  std::array<char, error_text_bytes> text{};
  const rd_kafka_conf_res_t answer =
      rd_kafka_conf_set(conf, name.c_str(), value.c_str(), text.data(), text.size());
  if (answer == RD_KAFKA_CONF_OK) return {};
  if (answer == RD_KAFKA_CONF_UNKNOWN) {
    return Error{ErrorCode::invalid, "Kafka property '" + name + "' is not known"};
  }
  return Error{ErrorCode::invalid, "Kafka property '" + name + "': " + text.data()};
}

Result<void> check_fixed(const ClientSettings& settings, const KafkaOptions& options) {
  for (const auto& [name, value] : settings.fixed) {
    const auto found = options.properties.find(name);
    if (found == options.properties.end() || found->second == value) continue;
    return Error{ErrorCode::refused, "Kafka property '" + name + "' is fixed to '" + value +
                                         "': correctness rests on it"};
  }
  return {};
}

}  // namespace

void DestroyClient::operator()(rd_kafka_s* client) const {
  // Readers have left their partitions by now, and closing a consumer may hang (fixed in 2.4).
  rd_kafka_destroy_flags(client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}

Error kafka_error(int code, const std::string& operation) {
  const auto kafka_code = static_cast<rd_kafka_resp_err_t>(code);
  const std::string context =
      operation + ": " + rd_kafka_err2str(kafka_code) + " (" + rd_kafka_err2name(kafka_code) + ")";
  switch (kafka_code) {
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
      return {ErrorCode::not_found, context};
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
    case RD_KAFKA_RESP_ERR__QUEUE_FULL:
      return {ErrorCode::exhausted, context};
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR__BAD_MSG:
      return {ErrorCode::corrupt, context};
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
      return {ErrorCode::refused, context};
    case RD_KAFKA_RESP_ERR__INVALID_ARG:
    case RD_KAFKA_RESP_ERR_INVALID_CONFIG:
    case RD_KAFKA_RESP_ERR_INVALID_PARTITIONS:
    case RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
      return {ErrorCode::invalid, context};
    default:
      // Everything else is a broker that is away, busy or electing: repeating may help.
      return {ErrorCode::unavailable, context};
  }
}

Result<ClientHandle> make_client(const ClientSettings& settings, const KafkaOptions& options,
                                 ClientContext& context) {
  if (options.brokers.empty()) return Error{ErrorCode::invalid, "no Kafka brokers are given"};
  if (Result<void> checked = check_fixed(settings, options); !checked) return checked.error();
  ConfHandle conf(rd_kafka_conf_new());
  KafkaProperties all = {{"bootstrap.servers", options.brokers},
                         {"client.id", "selfheal"},
                         {"socket.nagle.disable", "true"},
                         {"reconnect.backoff.ms", "50"},
                         {"reconnect.backoff.max.ms", "1000"}};
  all.insert(all.end(), settings.defaults.begin(), settings.defaults.end());
  all.insert(all.end(), options.properties.begin(), options.properties.end());
  all.insert(all.end(), settings.fixed.begin(), settings.fixed.end());
  for (const auto& [name, value] : all) {
    if (Result<void> done = set(conf.get(), name, value); !done) return done.error();
  }
  rd_kafka_conf_set_opaque(conf.get(), &context);
  rd_kafka_conf_set_log_cb(conf.get(), on_log);
  rd_kafka_conf_set_error_cb(conf.get(), on_error);
  if (settings.on_delivery != nullptr) {
    rd_kafka_conf_set_dr_msg_cb(conf.get(), settings.on_delivery);
  }
  std::array<char, error_text_bytes> text{};
  const bool producer = settings.role == KafkaRole::producer;
  ClientHandle client(rd_kafka_new(producer ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER, conf.get(),
                                   text.data(), text.size()));
  if (!client) return Error{ErrorCode::invalid, std::string("Kafka client: ") + text.data()};
  static_cast<void>(conf.release());  // the client owns it now
  if (!producer) rd_kafka_poll_set_consumer(client.get());
  return client;
}

}  // namespace selfheal
