#include "topics/routing.hpp"

#include <gtest/gtest.h>

namespace selfheal {
namespace {

// The values that the test of the Java client pins.
TEST(Routing, Murmur2IsThatOfTheJavaClient) {
  const std::pair<std::string_view, std::int32_t> table[] = {
      {"21", -973932308},
      {"foobar", -790332482},
      {"a-little-bit-long-string", -985981536},
      {"a-little-bit-longer-string", -1486304829},
      {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
      {"abc", 479470107},
  };
  for (const auto& [text, hash] : table) {
    EXPECT_EQ(static_cast<std::int32_t>(murmur2(text)), hash) << text;
  }
}

TEST(Routing, ShardsLieWithinThePartitions) {
  EXPECT_EQ(shard_of("foobar", 1), 0);
  for (int partitions = 1; partitions < 50; ++partitions) {
    for (const char* service : {"", "a", "checkout", "foobar", "21"}) {
      const std::int32_t shard = shard_of(service, partitions);
      EXPECT_GE(shard, 0);
      EXPECT_LT(shard, partitions);
    }
  }
  EXPECT_EQ(shard_of("foobar", 8), (-790332482 & 0x7fffffff) % 8);
}

}  // namespace
}  // namespace selfheal
