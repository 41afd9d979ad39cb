#pragma once
// What the whole-path benchmarks put on a real Kafka and look for there.
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace selfheal::bench {

struct LoadOptions {
  std::string brokers;
  std::string prefix;
  std::string form = "json";  // json: a signal a message; ndjson, frame: many
  std::int64_t signals = 1'000'000;
  std::int64_t series = 100'000;
  std::int64_t signals_a_message = 100;  // of ndjson and frame
};

// Appends the signals to the signals topic, each message on its services' partition, in rounds over
// all series in random order. Returns what was appended.
struct Loaded {
  std::int64_t signals = 0;
  std::int64_t messages = 0;
  std::int64_t bytes = 0;
};
Result<Loaded> fill(const LoadOptions& options);

// Reads the signals topic to its ends with a bare librdkafka consumer, without looking into the
// messages.
struct Drained {
  std::int64_t messages = 0;
  double cpu_seconds = 0;
  double wall_seconds = 0;
};
Result<Drained> drain(const std::string& brokers, const std::string& topic);

struct LatencyOptions {
  std::string brokers;
  std::string prefix;
  std::int64_t per_second = 1000;
  std::int64_t seconds = 20;
  std::int64_t series = 1000;
  std::int32_t first_shard = 0;  // shards below get none, because something else fills them
};

// Appends signals to all shards at an even pace and watches the journal of the last: from just
// before the append to the moment in which another process than the service has read the record
// that decided it. Longer than what the service itself waits for by one more read.
struct Latency {
  std::int64_t signals = 0;
  double p50_ms = 0;
  double p99_ms = 0;
  double max_ms = 0;
};
Result<Latency> measure_latency(const LatencyOptions& options);

// Lets `subjects` services fall ill at once, and watches the journal until each has been diagnosed
// and its proposal has been decided on.
struct Illness {
  std::int64_t subjects = 0;
  std::int64_t diagnosed = 0;
  std::int64_t decided = 0;
  double seconds = 0;
};
Result<Illness> measure_illness(const std::string& brokers, const std::string& prefix,
                                std::int64_t subjects);

// How far each shard has come in its signals, by the newest record of its journal; -1 where it has
// none.
Result<std::vector<std::int64_t>> progress(const std::string& brokers, const std::string& prefix);

}  // namespace selfheal::bench
