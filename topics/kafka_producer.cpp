#include "topics/kafka_producer.hpp"

#include <librdkafka/rdkafka.h>

#include <array>
#include <chrono>

namespace selfheal {
namespace {

constexpr int serve_wait_ms = 100;
constexpr DurationMs closing_grace_ms = 1000;
constexpr auto replace_retry = std::chrono::milliseconds(500);

rd_kafka_headers_t* make_headers(const Headers& headers) {
  if (headers.empty()) return nullptr;
  rd_kafka_headers_t* made = rd_kafka_headers_new(headers.size());
  for (const auto& [name, value] : headers) {
    rd_kafka_header_add(made, name.data(), static_cast<ssize_t>(name.size()), value.data(),
                        static_cast<ssize_t>(value.size()));
  }
  return made;
}

}  // namespace

struct KafkaProducer::InFlight {
  KafkaProducer* producer = nullptr;
  std::uint64_t generation = 0;
  Delivered delivered;
};

KafkaProducer::Client::~Client() {
  for (const auto& [name, topic] : topics) rd_kafka_topic_destroy(topic);
}

KafkaProducer::KafkaProducer(KafkaOptions options) : options_(std::move(options)) {}

Result<std::unique_ptr<KafkaProducer>> KafkaProducer::open(const KafkaOptions& options) {
  std::unique_ptr<KafkaProducer> producer(new KafkaProducer(options));
  Result<std::unique_ptr<Client>> client = producer->make();
  if (!client) return client.error();
  producer->client_ = std::move(*client);
  producer->server_ = std::thread([raw = producer.get()] { raw->run(); });
  return producer;
}

KafkaProducer::~KafkaProducer() {
  stopping_ = true;
  if (server_.joinable()) server_.join();
  if (client_) drain(*client_, closing_grace_ms);
}

Result<std::unique_ptr<KafkaProducer::Client>> KafkaProducer::make() {
  auto client = std::make_unique<Client>();
  client->context.log = options_.log;
  ClientSettings settings;
  settings.role = KafkaRole::producer;
  settings.defaults = {{"linger.ms", "0"},
                       {"delivery.timeout.ms", "10000"},
                       {"compression.codec", "lz4"},
                       {"partitioner", "murmur2_random"},
                       {"queue.buffering.max.kbytes", "65536"},
                       {"message.max.bytes", std::to_string(kafka_message_bytes_max)}};
  settings.fixed = {{"enable.idempotence", "true"}, {"acks", "all"}};
  // Without a delivery callback flushing polls in steps of 10 ms.
  settings.on_delivery = on_delivery;
  Result<ClientHandle> handle = make_client(settings, options_, client->context);
  if (!handle) return handle.error();
  client->handle = std::move(*handle);
  return client;
}

void KafkaProducer::warm_up(const std::string& topic) {
  const std::shared_lock lock(client_mutex_);
  const std::lock_guard topics_lock(client_->topics_mutex);
  rd_kafka_topic_t*& handle = client_->topics[topic];
  if (handle != nullptr) return;
  handle = rd_kafka_topic_new(client_->handle.get(), topic.c_str(), nullptr);
  const rd_kafka_metadata_t* metadata = nullptr;
  const rd_kafka_resp_err_t code =
      handle == nullptr ? RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC
                        : rd_kafka_metadata(client_->handle.get(), 0, handle, &metadata,
                                            static_cast<int>(options_.request_timeout_ms));
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return rd_kafka_metadata_destroy(metadata);
  if (handle != nullptr) rd_kafka_topic_destroy(handle);
  client_->topics.erase(topic);
}

void KafkaProducer::append(const TopicPartition& where, const NewRecord& record,
                           Delivered delivered) {
  auto in_flight = std::make_unique<InFlight>(InFlight{this, gate_.enter(), std::move(delivered)});
  const std::string operation = "appending to " + where.topic;
  std::array<rd_kafka_vu_t, 7> parts{};
  std::size_t count = 0;
  const auto add = [&](rd_kafka_vtype_t type) -> rd_kafka_vu_t& {
    parts[count].vtype = type;
    return parts[count++];
  };
  add(RD_KAFKA_VTYPE_TOPIC).u.cstr = where.topic.c_str();
  add(RD_KAFKA_VTYPE_PARTITION).u.i32 = where.partition;
  add(RD_KAFKA_VTYPE_MSGFLAGS).u.i = RD_KAFKA_MSG_F_COPY;
  // Copied by the flag above; the interface is not const.
  add(RD_KAFKA_VTYPE_VALUE).u.mem = {const_cast<char*>(record.value.data()), record.value.size()};
  add(RD_KAFKA_VTYPE_OPAQUE).u.ptr = in_flight.get();
  if (!record.key.empty()) {
    add(RD_KAFKA_VTYPE_KEY).u.mem = {const_cast<char*>(record.key.data()), record.key.size()};
  }
  rd_kafka_headers_t* headers = make_headers(record.headers);
  if (headers != nullptr) add(RD_KAFKA_VTYPE_HEADERS).u.headers = headers;
  rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__STATE;
  {
    const std::shared_lock lock(client_mutex_);
    rd_kafka_error_t* error = rd_kafka_produceva(client_->handle.get(), parts.data(), count);
    code = error == nullptr ? RD_KAFKA_RESP_ERR_NO_ERROR : rd_kafka_error_code(error);
    if (error != nullptr) rd_kafka_error_destroy(error);
  }
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
    static_cast<void>(in_flight.release());  // on_delivery takes it back
    return;
  }
  if (headers != nullptr) rd_kafka_headers_destroy(headers);
  in_flight->delivered(kafka_error(code, operation));
  gate_.leave(in_flight->generation);
}

void KafkaProducer::on_delivery(rd_kafka_s* /*client*/, const rd_kafka_message_s* message,
                                void* /*opaque*/) {
  const std::unique_ptr<InFlight> in_flight(static_cast<InFlight*>(message->_private));
  if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    in_flight->delivered(kafka_error(message->err, "appending"));
  } else {
    // A batch that the broker had already stored is acknowledged without its offset.
    in_flight->delivered(message->offset >= 0 ? Offset{message->offset} : Offset{-1});
  }
  in_flight->producer->gate_.leave(in_flight->generation);
}

void KafkaProducer::run() {
  // Only this thread swaps the client, so it may use it without the lock.
  while (!stopping_) {
    rd_kafka_poll(client_->handle.get(), serve_wait_ms);
    if (client_->context.fatal) replace();
  }
}

void KafkaProducer::replace() {
  Result<std::unique_ptr<Client>> made = make();
  if (!made) {
    std::this_thread::sleep_for(replace_retry);
    return;
  }
  std::unique_ptr<Client> old = std::move(*made);
  {
    const std::unique_lock lock(client_mutex_);
    std::swap(old, client_);
  }
  // Outside the lock: an answer may append again at once.
  drain(*old, 0);
  for (const auto& [name, topic] : old->topics) warm_up(name);
}

void KafkaProducer::drain(Client& client, DurationMs grace_ms) {
  rd_kafka_t* handle = client.handle.get();
  if (grace_ms > 0) rd_kafka_flush(handle, static_cast<int>(grace_ms));
  rd_kafka_purge(handle, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
  while (rd_kafka_outq_len(handle) > 0) rd_kafka_poll(handle, serve_wait_ms);
}

Result<void> KafkaProducer::flush(DurationMs timeout_ms) {
  if (gate_.wait(timeout_ms)) return {};
  return Error{ErrorCode::unavailable,
               "appends were still waiting after " + std::to_string(timeout_ms) + " ms"};
}

void KafkaProducer::fail() {
  const std::shared_lock lock(client_mutex_);
  rd_kafka_test_fatal_error(client_->handle.get(), RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
                            "asked for by a test");
}

}  // namespace selfheal
