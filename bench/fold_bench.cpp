// What one shard costs from bytes to an encoded, signed batch: decode, six stages, journal record.
// No bus and no disk, so that the figure is the fold's own. 100,000 series in random order; the
// argument is how many signals one message carries, and the form: 0 JSON, 1 binary frame.
#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <vector>

#include "base/signature.hpp"
#include "decision/shard/commit_window.hpp"
#include "decision/shard/cut_planner.hpp"
#include "decision/shard/shard_fold.hpp"
#include "topics/frame_codec.hpp"
#include "topics/signal_decoder.hpp"

namespace selfheal {
namespace {

constexpr std::size_t series_count = 100'000;
constexpr std::size_t signals_per_cut = 1000;
constexpr TimeMs begin_ms = 1'800'000'000'000;

std::string json_of(std::size_t series, TimeMs time_ms, double value) {
  return R"({"type":"metric","service":"service-)" + std::to_string(series / 10) +
         R"(","metric":"metric_)" + std::to_string(series % 10) + R"(","value":)" +
         std::to_string(value) + R"(,"time_ms":)" + std::to_string(time_ms) +
         R"(,"labels":{"zone":"a"},"sentinel":"probe-7"})";
}

// The values of the messages of one round over all series.
std::vector<std::string> messages(std::size_t a_message, bool framed, TimeMs time_ms) {
  std::vector<std::string> list;
  SignalDecoder decoder;
  std::string text;
  std::size_t held = 0;
  std::uint64_t state = 1;
  for (std::size_t i = 0; i < series_count; ++i) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    const std::size_t series = (state >> 33) % series_count;
    text += json_of(series, time_ms, 100 + static_cast<double>(state >> 56)) + "\n";
    if (++held < a_message && i + 1 < series_count) continue;
    if (framed) {
      SignalBatch batch;
      decoder.decode({0, time_ms, {}, text}, batch);
      text = encode_frame(batch.signals).value();
    }
    list.push_back(std::move(text));
    text.clear();
    held = 0;
  }
  return list;
}

void fold(benchmark::State& state) {
  const auto a_message = static_cast<std::size_t>(state.range(0));
  const bool framed = state.range(1) == 1;
  auto decoder = std::make_shared<SignalDecoder>();
  const CutPlanner planner(
      [decoder](const RecordView& record, SignalBatch& batch) { decoder->decode(record, batch); });
  ShardFold shard;
  const auto settings = std::make_shared<const Settings>();
  shard.configure(settings);
  const SigningKey key = generate_signing_key();
  Chain chain;
  chain.epoch = 1;
  chain.partitions = 1;
  CommitWindow window(chain, key.secret_hex);
  TimeMs now_ms = begin_ms;
  std::int64_t signals = 0;
  Offset offset = 0;
  for (auto unused : state) {
    static_cast<void>(unused);
    state.PauseTiming();
    now_ms += 10'000;
    const std::vector<std::string> round = messages(a_message, framed, now_ms);
    state.ResumeTiming();
    const std::size_t records_per_cut = std::max<std::size_t>(1, signals_per_cut / a_message);
    for (std::size_t at = 0; at < round.size(); at += records_per_cut) {
      CutSupply supply;
      for (std::size_t i = at; i < std::min(at + records_per_cut, round.size()); ++i) {
        supply.signals.records.push_back({offset++, now_ms, {}, round[i]});
      }
      supply.signals.next_offset = offset;
      supply.now_ms = now_ms;
      Token token = planner.plan(window.speculative(), std::move(supply));
      token.settings = settings;
      shard.decide(token);
      signals += static_cast<std::int64_t>(token.signals->signals.size());
      PendingRecord pending;
      pending.record = batch_of(window.speculative(), token);
      const std::int64_t seq = pending.record.seq;
      const std::string value = window.add(pending).value();
      Acceptance acceptance = Acceptance::accepted;
      static_cast<void>(window.delivered(seq));
      static_cast<void>(window.read({seq, now_ms, {}, value}, acceptance));
      static_cast<void>(window.pop_committed());
    }
  }
  state.SetItemsProcessed(signals);
}

BENCHMARK(fold)
    ->Args({1, 0})
    ->Args({100, 0})
    ->Args({100, 1})
    ->ArgNames({"signals_a_message", "framed"})
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace selfheal

BENCHMARK_MAIN();
