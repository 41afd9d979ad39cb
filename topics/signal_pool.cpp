#include "topics/signal_pool.hpp"

namespace selfheal {

std::shared_ptr<SignalBatch> SignalBatchPool::take() {
  std::unique_ptr<SignalBatch> batch;
  {
    const std::lock_guard lock(mutex_);
    if (!unused_.empty()) {
      batch = std::move(unused_.back());
      unused_.pop_back();
    }
  }
  if (!batch) batch = std::make_unique<SignalBatch>();
  return {batch.release(), [pool = weak_from_this()](SignalBatch* used) {
            std::unique_ptr<SignalBatch> owned(used);
            if (const auto back = pool.lock()) back->give_back(std::move(owned));
          }};
}

void SignalBatchPool::give_back(std::unique_ptr<SignalBatch> batch) {
  batch->clear();
  if (batch->held_bytes() > batch_bytes_max) return;
  const std::lock_guard lock(mutex_);
  if (unused_.size() < unused_max) unused_.push_back(std::move(batch));
}

std::size_t SignalBatchPool::unused() const {
  const std::lock_guard lock(mutex_);
  return unused_.size();
}

}  // namespace selfheal
