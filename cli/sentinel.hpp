#pragma once
// A sentinel: sends a service real requests, several a second, and publishes what it saw of their
// time and fate to POST /api/signals. While nobody takes its signals it goes on looking.
#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "base/time.hpp"

namespace selfheal {

struct SentinelOptions {
  std::string service;
  int port = 0;          // of the service
  int signals_port = 0;  // of selfheal
};

// What it saw last; latency is of the slowest request of the last second.
struct Sighting {
  bool up = false;
  double latency_p99_seconds = 0;  // 0 where nothing answered
  double error_rate = 0;
  double latency_max_seconds = 0;  // since the last forget_peak()
};

class Sentinel {
 public:
  explicit Sentinel(SentinelOptions options);
  ~Sentinel();
  Sentinel(const Sentinel&) = delete;
  Sentinel& operator=(const Sentinel&) = delete;

  Sighting sighting() const;
  void forget_peak();

 private:
  void watch();

  SentinelOptions options_;
  mutable std::mutex mutex_;
  Sighting sighting_;
  std::atomic<bool> over_ = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace selfheal
