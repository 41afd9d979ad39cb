#pragma once
// Waits for everything that entered before the call, while more keeps entering: each entry belongs
// to the generation of its time, and a wait closes the generation. Thread-safe.
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>

#include "base/time.hpp"

namespace selfheal {

class FlushGate {
 public:
  std::uint64_t enter() {
    const std::lock_guard lock(mutex_);
    ++open_[generation_];
    return generation_;
  }

  void leave(std::uint64_t generation) {
    const std::lock_guard lock(mutex_);
    const auto found = open_.find(generation);
    if (--found->second > 0) return;
    open_.erase(found);
    emptied_.notify_all();
  }

  // False: some are still in after `timeout_ms`.
  bool wait(DurationMs timeout_ms) {
    std::unique_lock lock(mutex_);
    const std::uint64_t closed = generation_++;
    return emptied_.wait_for(lock, std::chrono::milliseconds(timeout_ms),
                             [&] { return open_.empty() || open_.begin()->first > closed; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable emptied_;
  std::uint64_t generation_ = 0;
  std::map<std::uint64_t, std::uint64_t> open_;  // entries per generation, never zero
};

}  // namespace selfheal
