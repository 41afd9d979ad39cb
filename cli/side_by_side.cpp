#include "cli/side_by_side.hpp"

#include <algorithm>
#include <future>
#include <iostream>
#include <thread>
#include <vector>

namespace selfheal {

Result<void> side_by_side(std::size_t count, const std::function<Result<void>(std::size_t)>& work) {
  std::vector<Result<void>> outcomes(count);
  std::atomic<std::size_t> next = 0;
  std::atomic<bool> failed = false;
  const auto take_on = [&] {
    try {
      // What has been taken is worked on, so nothing before a failure is left out.
      while (!failed) {
        const std::size_t i = next++;
        if (i >= count) return;
        outcomes[i] = work(i);
        if (!outcomes[i]) failed = true;
      }
    } catch (...) {
      failed = true;
      throw;
    }
  };
  const std::size_t processors = std::max(1U, std::thread::hardware_concurrency());
  std::vector<std::future<void>> others;
  for (std::size_t i = 1; i < std::min(count, processors); ++i) {
    others.push_back(std::async(std::launch::async, take_on));
  }
  take_on();
  for (std::future<void>& each : others) each.get();
  for (Result<void>& each : outcomes) {
    if (!each) return std::move(each);
  }
  return {};
}

Progress::Progress(std::string what, std::int64_t records_total)
    : what_(std::move(what)), total_(records_total), next_(Clock::now() + interval) {}

void Progress::add(std::int64_t records) {
  const std::int64_t done = done_ += records;
  if (Clock::now() < next_.load()) return;
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock() || Clock::now() < next_.load()) return;
  next_ = Clock::now() + interval;
  std::cerr << what_ << ": " << done << " of " << total_ << " journal records ("
            << (total_ > 0 ? 100 * done / total_ : 100) << " %)" << std::endl;
}

}  // namespace selfheal
