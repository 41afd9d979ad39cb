#pragma once
// Which shard a service belongs to. Always computed here and never taken from the partition that a
// record came in on: producers disagree about hashes, and one frame may mix services.
#include <cstdint>
#include <string_view>

namespace selfheal {

// Murmur2 as Java's Kafka client computes it (seed 0x9747b28c), so that a key sent by the Java
// client lands where we look for it.
std::uint32_t murmur2(std::string_view bytes);

// In [0, partitions). partitions > 0.
std::int32_t shard_of(std::string_view service, std::int32_t partitions);

}  // namespace selfheal
