#include "tests/simulation/simulated_placement.hpp"

#include "topics/presence.hpp"

namespace selfheal::simulation {

SimulatedPlacement::SimulatedPlacement(SharedWorld& world, const std::string& instance)
    : world_(world),
      instance_(instance),
      placement_(instance, "first", world.partitions + 1, PlacementLimits{}),
      reader_(std::move(world.log.open({world.topics.presence, 0}, 0, [] {}).value())) {}

void SimulatedPlacement::say(std::span<const std::unique_ptr<SimulatedOwner>> owners) {
  constexpr DurationMs every_ms = 100;
  if (world_.now_ms - said_ms_ < every_ms) return;
  said_ms_ = world_.now_ms;
  Presence presence{.instance = instance_, .incarnation = "first", .build = "simulation"};
  for (const auto& owner : owners) presence.shards.push_back(owner->presence());
  world_.log.append({world_.topics.presence, 0},
                    NewRecord{.value = *encode_presence(presence, world_.secret_key)},
                    [](Result<Offset>) {});
}

void SimulatedPlacement::hear() {
  RecordBatch batch;
  static_cast<void>(reader_->poll(batch, {}));
  for (const RecordView& record : batch.records) {
    const Result<Presence> presence = decode_presence(record.value, {world_.public_key});
    if (presence) placement_.take(*presence, record.append_time_ms);
  }
}

void SimulatedPlacement::look(std::span<const std::unique_ptr<SimulatedOwner>> owners) {
  say(owners);
  hear();
  const PlacementOrders orders = placement_.orders(world_.now_ms);
  for (const auto& owner : owners) owner->set_ordered(false);
  for (const PlacementClaim& claim : orders.claims) {
    owners[static_cast<std::size_t>(claim.shard)]->set_ordered(true);
    ++ordered_;
  }
  // Another one takes it once it hears that it is free.
  if (orders.give_away) owners[static_cast<std::size_t>(*orders.give_away)]->crash();
}

}  // namespace selfheal::simulation
