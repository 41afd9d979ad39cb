#include "tests/simulation/simulated_target.hpp"

#include <algorithm>

namespace selfheal::simulation {

std::string SimulatedTarget::key_of(const RunStarted& started) {
  return started.action_id + "/" + std::to_string(started.step) + (started.rollback ? "r/" : "/") +
         std::to_string(started.attempt);
}

void SimulatedTarget::raise_fence(std::int64_t shard, std::int64_t epoch) {
  fences_[shard] = std::max(fences_[shard], epoch);
}

const ShimFiles* SimulatedTarget::files(const RunStarted& started) const {
  const auto found = files_.find(key_of(started));
  return found == files_.end() ? nullptr : &found->second;
}

std::string SimulatedTarget::start(const std::string& service, std::int64_t shard,
                                   const RunStarted& started, TimeMs now_ms, TimeMs done_ms,
                                   bool heals, bool dies) {
  ShimFiles& files = files_[key_of(started)];
  if (files.started) return {};
  if (started.epoch < fences_[shard]) return "fenced";
  if (now_ms > started.valid_until_ms) return "expired";
  files.started = true;
  files.done_ms = done_ms;
  ++effects_[key_of(started)];
  if (heals) ill_.erase(service);
  files.died = dies;
  files.has_result = !dies;
  files.status = "ok";
  return {};
}

}  // namespace selfheal::simulation
