#include "tests/simulation/simulated_inputs.hpp"

#include "topics/routing.hpp"

namespace selfheal::simulation {

void SimulatedInputs::append_signal(const std::string& service, const std::string& more) {
  const std::string signal = "{" + more + R"("service":")" + service + R"(","time_ms":)" +
                             std::to_string(world_.now_ms) + "}";
  std::int32_t partition = shard_of(service, static_cast<std::int32_t>(world_.partitions));
  if (world_.dice.chance(world_.misrouted)) {
    partition =
        static_cast<std::int32_t>(world_.dice.below(static_cast<std::uint64_t>(world_.partitions)));
  }
  world_.log.append({world_.topics.signals, partition}, NewRecord{.key = service, .value = signal},
                    [](Result<Offset>) {});
}

void SimulatedInputs::probe_services() {
  for (std::uint64_t i = 0; i < services_; ++i) {
    const std::string service = "service-" + std::to_string(i);
    append_signal(service, std::string(R"("type":"metric","metric":"up","value":)") +
                               (world_.target.is_ill(service) ? "0," : "1,"));
  }
}

void SimulatedInputs::report_failure() {
  const std::string service = any_service();
  // What several services share is one target: their runs exclude each other.
  const std::string resource =
      world_.dice.chance(0.5) ? R"("resource":{"kind":"database","id":"shared"},)" : "";
  append_signal(service, resource + R"("type":"failure","code":"elevated_errors","id":")" +
                             std::to_string(world_.dice.below(50)) + R"(",)");
}

void SimulatedInputs::append_nonsense() {
  world_.log.append({world_.topics.signals, 0}, NewRecord{.value = "{nonsense"},
                    [](Result<Offset>) {});
}

void SimulatedInputs::append_poison() {
  constexpr std::size_t poison_max = 2;  // each costs its shard a handful of restarts
  if (poison_made_ >= poison_max) return;
  ++poison_made_;
  const auto shards = static_cast<std::uint64_t>(world_.partitions) + 1;
  const auto shard = static_cast<std::int64_t>(world_.dice.below(shards));
  const bool control = world_.topics.is_fleet(shard) || world_.dice.chance(0.3);
  const TopicPartition signals{world_.topics.signals, static_cast<std::int32_t>(shard)};
  const TopicPartition where = control ? world_.topics.control_of(shard) : signals;
  const std::string value = control ? R"({"kind":"close","target":"nothing"})"
                                    : R"({"type":"metric","service":"service-0","metric":"up",)"
                                      R"("value":1})";
  world_.log.append(where, NewRecord{.value = value}, [this, where](Result<Offset> stored) {
    if (stored) world_.poison.insert({where, *stored});
  });
}

}  // namespace selfheal::simulation
