// Cost of one value, over 100,000 series: rows in order, in random order, and in random order with
// the rows asked for ahead. Compare the rows of one run, not of different machines.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "base/philox.hpp"
#include "decision/predictor/series_detector.hpp"

namespace {

using namespace selfheal;

constexpr std::size_t series_count = 100000;
constexpr std::uint32_t step_seconds = 10;

enum class Order { sequential, random, random_prefetched };

struct Fleet {
  std::vector<T1Row> rows{series_count};
  std::vector<T2Row> wide{series_count};
  std::vector<std::uint32_t> order = std::vector<std::uint32_t>(series_count);
  std::vector<double> values = std::vector<double>(4096);  // small enough to stay in the cache
  std::uint32_t time_seconds = 1700000000;
  DetectorSettings settings;

  explicit Fleet(bool shuffled) {
    std::iota(order.begin(), order.end(), 0u);
    for (std::uint32_t i = series_count - 1; shuffled && i > 0; --i) {
      const double u = uniform_draw(1, {i, 0, 0});
      std::swap(order[i], order[static_cast<std::size_t>(u * (i + 1))]);
    }
    for (std::uint32_t i = 0; i < values.size(); ++i) {
      values[i] = 100 + 10 * (uniform_draw(2, {i, 0, 0}) + uniform_draw(2, {i, 0, 1}));
    }
  }
};

template <bool with_wide>
void one_round(Fleet& fleet, bool ahead) {
  constexpr auto distance = static_cast<std::size_t>(prefetch_ahead);
  for (std::size_t i = 0; i < series_count; ++i) {
    if (ahead && i + distance < series_count) {
      const std::uint32_t next = fleet.order[i + distance];
      prefetch(fleet.rows[next]);
      if (with_wide) prefetch(fleet.wide[next]);
    }
    const std::uint32_t series = fleet.order[i];
    const double value = fleet.values[(i * 7 + fleet.time_seconds) & 4095];
    benchmark::DoNotOptimize(observe(fleet.rows[series], with_wide ? &fleet.wide[series] : nullptr,
                                     value, fleet.time_seconds, fleet.settings));
  }
  fleet.time_seconds += step_seconds;
}

// bucket_seconds 10 makes T2 take every point: the dearest case. 60 is the shipped setting.
template <bool with_wide>
void points(benchmark::State& state, Order order, std::uint32_t bucket_seconds) {
  Fleet fleet(order != Order::sequential);
  fleet.settings.bucket_seconds = bucket_seconds;
  // Past the first 100 values, where clipping begins and surprises are no longer common.
  for (int i = 0; i < 150; ++i) one_round<with_wide>(fleet, true);
  for (auto _ : state) one_round<with_wide>(fleet, order == Order::random_prefetched);
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(series_count));
  state.counters["per_point"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * series_count,
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

// The macro's argument becomes part of an identifier.
constexpr auto t1 = points<false>;
constexpr auto t1_t2 = points<true>;

}  // namespace

BENCHMARK_CAPTURE(t1, sequential, Order::sequential, 60u);
BENCHMARK_CAPTURE(t1, random, Order::random, 60u);
BENCHMARK_CAPTURE(t1, random_prefetched, Order::random_prefetched, 60u);
BENCHMARK_CAPTURE(t1_t2, buckets_sequential, Order::sequential, 60u);
BENCHMARK_CAPTURE(t1_t2, buckets_random, Order::random, 60u);
BENCHMARK_CAPTURE(t1_t2, buckets_random_prefetched, Order::random_prefetched, 60u);
BENCHMARK_CAPTURE(t1_t2, every_point_sequential, Order::sequential, 10u);
BENCHMARK_CAPTURE(t1_t2, every_point_random, Order::random, 10u);
BENCHMARK_CAPTURE(t1_t2, every_point_random_prefetched, Order::random_prefetched, 10u);
BENCHMARK_MAIN();
