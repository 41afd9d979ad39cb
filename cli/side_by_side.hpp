#pragma once
// Work on many journals that takes a while: several at once, and how far it has come.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>

#include "base/result.hpp"

namespace selfheal {

// Calls `work` with 0 to count - 1, on as many threads as there are processors. After a failure
// nothing more is begun; of several failures the one with the lowest number is returned. What
// `work` throws is thrown here.
Result<void> side_by_side(std::size_t count, const std::function<Result<void>(std::size_t)>& work);

// Says on stderr every few seconds how many records of how many have been read. Thread-safe.
class Progress {
 public:
  // Nothing is said in the first seconds: most work is over by then.
  Progress(std::string what, std::int64_t records_total);
  void add(std::int64_t records);

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds interval{3};

  const std::string what_;
  const std::int64_t total_;
  std::atomic<std::int64_t> done_ = 0;
  std::mutex mutex_;
  std::atomic<Clock::time_point> next_;
};

}  // namespace selfheal
