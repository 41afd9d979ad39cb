// What decoding one signal costs, in each form it comes in. `items_per_second` counts signals.
#include <benchmark/benchmark.h>

#include "topics/frame_codec.hpp"
#include "topics/signal_decoder.hpp"

namespace selfheal {
namespace {

constexpr TimeMs record_time_ms = 1'795'339'800'000;

std::string metric_json(int number) {
  return R"({"type":"metric","service":"checkout","metric":"latency_p99_seconds","value":0.42)" +
         std::to_string(number % 1000) +
         R"(,"time":"2026-11-22T09:30:00.123Z","labels":{"zone":"a"},)"
         R"("resource":{"kind":"service","id":"checkout"},"sentinel":"probe-7","id":"c0ffee"})";
}

std::string lines(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += metric_json(i) + "\n";
  return text;
}

// Batches of `records`, cleared between batches as the live path does.
void decode_all(benchmark::State& state, const std::vector<std::string>& records,
                std::size_t signals) {
  SignalDecoder decoder;
  SignalBatch batch;
  for (auto _ : state) {
    batch.clear();
    Offset offset = 0;
    for (const std::string& value : records) {
      decoder.decode({offset++, record_time_ms, {}, value}, batch);
    }
    benchmark::DoNotOptimize(batch.signals.data());
    if (batch.signals.size() != signals) state.SkipWithError("not every signal was read");
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * signals));
}

void single_objects(benchmark::State& state) {
  std::vector<std::string> records;
  for (int i = 0; i < 500; ++i) records.push_back(metric_json(i));
  decode_all(state, records, 500);
}
BENCHMARK(single_objects);

void short_objects(benchmark::State& state) {
  const std::string each = R"({"type":"metric","service":"s","metric":"m","value":1.5})";
  decode_all(state, std::vector<std::string>(500, each), 500);
}
BENCHMARK(short_objects);

void ndjson(benchmark::State& state) {
  decode_all(state, {lines(500)}, 500);
}
BENCHMARK(ndjson);

void binary_frame(benchmark::State& state) {
  SignalDecoder decoder;
  SignalBatch batch;
  const std::string text = lines(500);
  decoder.decode({0, record_time_ms, {}, text}, batch);
  decode_all(state, {*encode_frame(batch.signals)}, 500);
}
BENCHMARK(binary_frame);

void heartbeats(benchmark::State& state) {
  const std::string each =
      R"({"type":"heartbeat","worker":"worker-17","worker_type":"resizer","health_score":97})";
  decode_all(state, std::vector<std::string>(500, each), 500);
}
BENCHMARK(heartbeats);

}  // namespace
}  // namespace selfheal

BENCHMARK_MAIN();
