// What one choice costs: bins, draws and exact propensities of all arms.
#include <benchmark/benchmark.h>

#include "decision/scheduler/thompson.hpp"

namespace {

// Arms with beliefs as a few weeks of incidents leave them, every one above the gate.
std::vector<selfheal::Arm> make_arms(int count) {
  selfheal::Posteriors posteriors;
  std::vector<selfheal::Arm> arms;
  const selfheal::Prior prior{0.9};
  for (int i = 0; i < count; ++i) {
    const std::string playbook = "playbook_" + std::to_string(i);
    for (int trial = 0; trial < 30; ++trial) {
      const selfheal::Trial outcome{trial % (6 + i) != 0, 20.0, 0.85, {}};
      posteriors.learn(trial * 1000, {"api", "service_down", playbook}, outcome);
    }
    arms.push_back(
        {playbook, posteriors.read(30'000, "api", "service_down", playbook, prior, {}), i % 3, ""});
  }
  return arms;
}

void choose_among(benchmark::State& state) {
  const auto arms = make_arms(static_cast<int>(state.range(0)));
  std::uint64_t decision = 0;
  for (auto _ : state) benchmark::DoNotOptimize(selfheal::choose(arms, 1, decision++));
}
BENCHMARK(choose_among)->Arg(4)->Arg(6)->Unit(benchmark::kMicrosecond);

void read_and_learn(benchmark::State& state) {
  selfheal::Posteriors posteriors;
  const selfheal::ArmKey key{"api", "service_down", "restart_service"};
  std::int64_t now_ms = 0;
  for (auto _ : state) {
    now_ms += 1000;
    const auto belief = posteriors.read(now_ms, key.service, key.diagnosis, key.playbook, {}, {});
    posteriors.learn(now_ms, key, {now_ms % 3000 != 0, 20.0, belief.context_free_mean, {}});
  }
}
BENCHMARK(read_and_learn)->Unit(benchmark::kMicrosecond);

}  // namespace

BENCHMARK_MAIN();
