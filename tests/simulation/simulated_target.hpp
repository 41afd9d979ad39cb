#pragma once
// The outside of a simulated cluster: services that fall ill and are healed by effects, and the
// action shim on their machine, which runs a start at most once and honours the fence.
#include <map>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "topics/run_events.hpp"

namespace selfheal::simulation {

// What is known of one start on the target's machine.
struct ShimFiles {
  bool started = false;
  bool has_result = false;
  bool died = false;  // between started and result: in doubt for ever
  std::string status;
  TimeMs done_ms = 0;
};

class SimulatedTarget {
 public:
  bool is_ill(const std::string& service) const { return ill_.contains(service); }
  void fall_ill(const std::string& service) { ill_[service] = true; }

  void raise_fence(std::int64_t shard, std::int64_t epoch);

  // What the shim does on a start: refuses by fence or time, or has the effect and ends later.
  // `heals` and `dies` are drawn by the caller. Returns the status at once where nothing was begun.
  std::string start(const std::string& service, std::int64_t shard, const RunStarted& started,
                    TimeMs now_ms, TimeMs done_ms, bool heals, bool dies);

  const ShimFiles* files(const RunStarted& started) const;

  // Effects by start; more than one is the failure that must never be.
  const std::map<std::string, int>& effects() const { return effects_; }
  static std::string key_of(const RunStarted& started);

 private:
  std::map<std::string, bool> ill_;
  std::map<std::int64_t, std::int64_t> fences_;
  std::map<std::string, ShimFiles> files_;
  std::map<std::string, int> effects_;
};

}  // namespace selfheal::simulation
