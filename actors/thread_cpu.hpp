#pragma once
#include <time.h>

#include <cstdint>

namespace selfheal {

// Processor time of the calling thread. Unlike a clock on the wall it does not count the time in
// which others had the processor, so that a busy machine does not make the work look larger.
inline std::int64_t thread_cpu_us() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * 1'000'000 + now.tv_nsec / 1000;
}

}  // namespace selfheal
