#pragma once
// What reaches the simulated cluster from outside: what probes see, failures, nonsense, and records
// that hit a bug.
#include <string>

#include "tests/simulation/simulated_owner.hpp"

namespace selfheal::simulation {

class SimulatedInputs {
 public:
  // `services`: how many of those configured send and fall ill.
  SimulatedInputs(SharedWorld& world, std::uint64_t services)
      : world_(world), services_(services) {}

  std::string any_service() { return "service-" + std::to_string(world_.dice.below(services_)); }
  // What a probe of each service says now.
  void probe_services();
  void report_failure();
  void append_nonsense();
  // An ordinary record, but for the bug that it hits.
  void append_poison();

 private:
  // `more`: members in JSON, each with a comma behind it.
  void append_signal(const std::string& service, const std::string& more);

  SharedWorld& world_;
  const std::uint64_t services_;
  std::size_t poison_made_ = 0;
};

}  // namespace selfheal::simulation
