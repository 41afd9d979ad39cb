#pragma once
// Holds a reader's wake so that it can be taken away safely: once clear() has returned, the wake
// neither runs nor will run. Thread-safe.
#include <mutex>
#include <utility>

#include "topics/log.hpp"

namespace selfheal {

class WakeCell {
 public:
  explicit WakeCell(Wake wake) : wake_(std::move(wake)) {}

  void call() {
    const std::lock_guard lock(mutex_);
    if (wake_) wake_();
  }

  void clear() {
    const std::lock_guard lock(mutex_);
    wake_ = nullptr;
  }

 private:
  std::mutex mutex_;
  Wake wake_;
};

}  // namespace selfheal
