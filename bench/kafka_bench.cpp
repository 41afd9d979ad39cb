// The programs of the whole-path benchmark; bench/whole_path.py runs them against a real Kafka and
// the real service. Each prints one JSON object.
#include <CLI/CLI.hpp>
#include <iostream>
#include <nlohmann/json.hpp>

#include "bench/kafka_load.hpp"

namespace {

using namespace selfheal;
using namespace selfheal::bench;

int print(const Error& error) {
  std::cerr << "kafka_bench: " << error.context << "\n";
  return 1;
}

int run_fill(const LoadOptions& options) {
  const Result<Loaded> done = fill(options);
  if (!done) return print(done.error());
  std::cout << nlohmann::json{{"signals", done->signals},
                              {"messages", done->messages},
                              {"bytes", done->bytes}}
            << "\n";
  return 0;
}

int run_drain(const std::string& brokers, const std::string& topic) {
  const Result<Drained> done = drain(brokers, topic);
  if (!done) return print(done.error());
  std::cout << nlohmann::json{{"messages", done->messages},
                              {"cpu_seconds", done->cpu_seconds},
                              {"wall_seconds", done->wall_seconds}}
            << "\n";
  return 0;
}

int run_latency(const LatencyOptions& options) {
  const Result<Latency> done = measure_latency(options);
  if (!done) return print(done.error());
  std::cout << nlohmann::json{{"signals", done->signals},
                              {"p50_ms", done->p50_ms},
                              {"p99_ms", done->p99_ms},
                              {"max_ms", done->max_ms}}
            << "\n";
  return 0;
}

int run_illness(const std::string& brokers, const std::string& prefix, std::int64_t subjects) {
  const Result<Illness> done = measure_illness(brokers, prefix, subjects);
  if (!done) return print(done.error());
  std::cout << nlohmann::json{{"subjects", done->subjects},
                              {"diagnosed", done->diagnosed},
                              {"decided", done->decided},
                              {"seconds", done->seconds}}
            << "\n";
  return done->decided == done->subjects ? 0 : 1;
}

int run_progress(const std::string& brokers, const std::string& prefix) {
  const Result<std::vector<std::int64_t>> done = progress(brokers, prefix);
  if (!done) return print(done.error());
  std::cout << nlohmann::json(*done) << "\n";
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("what the whole-path benchmark puts on Kafka and looks for there");
  app.require_subcommand(1);
  LoadOptions load;
  LatencyOptions latency;
  std::string brokers;
  std::string prefix = "selfheal";
  std::string topic;
  std::int64_t subjects = 1000;
  app.add_option("--brokers", brokers, "host:port of Kafka")->required();
  app.add_option("--prefix", prefix, "in front of the topics' names");
  CLI::App* fill_command = app.add_subcommand("fill", "append signals as fast as possible");
  fill_command->add_option("--form", load.form)->check(CLI::IsMember({"json", "ndjson", "frame"}));
  fill_command->add_option("--signals", load.signals);
  fill_command->add_option("--series", load.series);
  CLI::App* drain_command = app.add_subcommand("drain", "read a topic with the bare client");
  drain_command->add_option("topic", topic)->required();
  CLI::App* latency_command = app.add_subcommand("latency", "signal to committed decision");
  latency_command->add_option("--per-second", latency.per_second);
  latency_command->add_option("--seconds", latency.seconds);
  latency_command->add_option("--series", latency.series);
  latency_command->add_option("--from-shard", latency.first_shard,
                              "send to this shard and higher ones only");
  CLI::App* illness_command = app.add_subcommand("illness", "many services fall ill at once");
  illness_command->add_option("--subjects", subjects);
  CLI::App* progress_command = app.add_subcommand("progress", "how far each shard has come");
  CLI11_PARSE(app, argc, argv);
  load.brokers = latency.brokers = brokers;
  load.prefix = latency.prefix = prefix;
  if (fill_command->parsed()) return run_fill(load);
  if (drain_command->parsed()) return run_drain(brokers, topic);
  if (latency_command->parsed()) return run_latency(latency);
  if (progress_command->parsed()) return run_progress(brokers, prefix);
  return run_illness(brokers, prefix, subjects);
}
