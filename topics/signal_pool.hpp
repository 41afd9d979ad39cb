#pragma once
// Batches that are used again. A cut of some thousand signals takes blocks so large that the
// allocator gives them back to the system, and every cut would pay for each of their pages anew:
// a seventh of the processor time of a backlog. Thread-safe.
#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

#include "topics/signal.hpp"

namespace selfheal {

class SignalBatchPool : public std::enable_shared_from_this<SignalBatchPool> {
 public:
  // What lies unused is bounded: so many batches, and none larger than this.
  static constexpr std::size_t unused_max = 8;
  static constexpr std::size_t batch_bytes_max = std::size_t{2} << 20;

  static std::shared_ptr<SignalBatchPool> make() { return std::make_shared<SignalBatchPool>(); }

  // Empty; comes back by itself with its last owner, whether the pool still lives or not.
  std::shared_ptr<SignalBatch> take();
  std::size_t unused() const;

 private:
  void give_back(std::unique_ptr<SignalBatch> batch);

  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<SignalBatch>> unused_;
};

}  // namespace selfheal
