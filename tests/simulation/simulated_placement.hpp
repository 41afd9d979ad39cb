#pragma once
// One process of a simulated cluster as placement sees it: it says who it is and what it owns,
// hears the same of the others, and passes on to its owners what the product's placement decides.
#include <memory>
#include <span>
#include <string>

#include "decision/shard/placement.hpp"
#include "tests/simulation/simulated_owner.hpp"

namespace selfheal::simulation {

class SimulatedPlacement {
 public:
  SimulatedPlacement(SharedWorld& world, const std::string& instance);

  // Looks once: says, hears, and gives orders to `owners`, the machine's own by shard.
  void look(std::span<const std::unique_ptr<SimulatedOwner>> owners);
  std::int64_t ordered() const { return ordered_; }

 private:
  void say(std::span<const std::unique_ptr<SimulatedOwner>> owners);
  void hear();

  SharedWorld& world_;
  const std::string instance_;
  Placement placement_;
  std::unique_ptr<LogReader> reader_;
  TimeMs said_ms_ = 0;
  std::int64_t ordered_ = 0;
};

}  // namespace selfheal::simulation
