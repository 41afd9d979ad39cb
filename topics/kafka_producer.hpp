#pragma once
// The idempotent producer of the log on Kafka, with a thread that serves its answers and replaces
// it after a fatal error. Internal. Thread-safe.
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <thread>

#include "topics/flush_gate.hpp"
#include "topics/kafka_client.hpp"

struct rd_kafka_topic_s;

namespace selfheal {

class KafkaProducer {
 public:
  static Result<std::unique_ptr<KafkaProducer>> open(const KafkaOptions& options);
  ~KafkaProducer();

  // Makes the client learn of an existing topic now; otherwise its first record waits a second.
  void warm_up(const std::string& topic);
  // The topic must exist.
  void append(const TopicPartition& where, const NewRecord& record, Delivered delivered);
  Result<void> flush(DurationMs timeout_ms);
  void fail();

 private:
  // A client with the context that its callbacks reach.
  struct Client {
    ClientContext context;
    ClientHandle handle;
    ~Client();
    std::mutex topics_mutex;
    std::map<std::string, rd_kafka_topic_s*> topics;  // held, so that they stay known
  };
  struct InFlight;

  explicit KafkaProducer(KafkaOptions options);
  Result<std::unique_ptr<Client>> make();
  static void on_delivery(rd_kafka_s* client, const rd_kafka_message_s* message, void* opaque);
  static void drain(Client& client, DurationMs grace_ms);
  void run();
  void replace();

  const KafkaOptions options_;
  FlushGate gate_;
  std::shared_mutex client_mutex_;  // shared: uses the client; alone: swaps it
  std::unique_ptr<Client> client_;
  std::atomic<bool> stopping_ = false;
  std::thread server_;
};

}  // namespace selfheal
