#include "topics/signal_pool.hpp"

#include <gtest/gtest.h>

#include <string>

namespace selfheal {
namespace {

TEST(SignalPool, ABatchComesBackEmptyAndIsTakenAgain) {
  const auto pool = SignalBatchPool::make();
  std::shared_ptr<SignalBatch> batch = pool->take();
  batch->signals.resize(100);
  batch->failures.push_back({1, 2, "wrong"});
  batch->keep("some text");
  batch->add_detail();
  const SignalBatch* const first = batch.get();
  batch = nullptr;
  EXPECT_EQ(pool->unused(), 1U);
  batch = pool->take();
  EXPECT_EQ(batch.get(), first);
  EXPECT_EQ(pool->unused(), 0U);
  EXPECT_TRUE(batch->signals.empty());
  EXPECT_TRUE(batch->failures.empty());
  EXPECT_GE(batch->signals.capacity(), 100U);
}

TEST(SignalPool, NeitherManyNorLargeBatchesAreKept) {
  const auto pool = SignalBatchPool::make();
  std::vector<std::shared_ptr<SignalBatch>> taken;
  for (std::size_t i = 0; i < SignalBatchPool::unused_max + 3; ++i) taken.push_back(pool->take());
  taken.clear();
  EXPECT_EQ(pool->unused(), SignalBatchPool::unused_max);
  const std::shared_ptr<SignalBatch> one = pool->take();
  std::shared_ptr<SignalBatch> large = pool->take();
  large->signals.reserve(SignalBatchPool::batch_bytes_max / sizeof(Signal) + 1);
  large = nullptr;
  EXPECT_EQ(pool->unused(), SignalBatchPool::unused_max - 2);
}

TEST(SignalPool, ATextLongerThanABlockIsNotHeldOnTo) {
  const auto pool = SignalBatchPool::make();
  std::shared_ptr<SignalBatch> batch = pool->take();
  batch->keep(std::string(1 << 20, 'x'));
  batch = nullptr;
  batch = pool->take();
  EXPECT_LT(batch->held_bytes(), std::size_t{1} << 17);
}

TEST(SignalPool, ABatchMayOutliveItsPool) {
  std::shared_ptr<SignalBatch> batch = SignalBatchPool::make()->take();
  EXPECT_EQ(batch->keep("still here"), "still here");
}

}  // namespace
}  // namespace selfheal
