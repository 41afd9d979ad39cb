#pragma once
#include <time.h>

#include <chrono>
#include <cstdint>

#include "base/time.hpp"

namespace selfheal {

// Processor time of the calling thread. Unlike a clock on the wall it does not count the time in
// which others had the processor, so that a busy machine does not make the work look larger.
inline std::int64_t thread_cpu_us() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * 1'000'000 + now.tv_nsec / 1000;
}

// A clock that nobody sets, from an origin of its own: for spans within this process.
inline std::int64_t steady_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// What the log's clock shows at least. Validity is written by it and judged by it: that of a
// machine may be hours off. Not thread-safe.
class LogTime {
 public:
  void hear(TimeMs append_ms) {
    append_ms_ = append_ms;
    heard_at_us_ = steady_us();
  }
  TimeMs now_ms() const { return append_ms_ + (steady_us() - heard_at_us_) / 1000; }

 private:
  TimeMs append_ms_ = 0;
  std::int64_t heard_at_us_ = 0;
};

}  // namespace selfheal
