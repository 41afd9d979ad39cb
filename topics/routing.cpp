#include "topics/routing.hpp"

#include "base/check.hpp"

namespace selfheal {

std::uint32_t murmur2(std::string_view bytes) {
  constexpr std::uint32_t multiplier = 0x5bd1e995;
  const auto byte = [&](std::size_t at) {
    return static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[at]));
  };
  const std::size_t size = bytes.size();
  std::uint32_t hash = 0x9747b28c ^ static_cast<std::uint32_t>(size);
  std::size_t at = 0;
  for (; at + 4 <= size; at += 4) {
    std::uint32_t word = byte(at) | byte(at + 1) << 8 | byte(at + 2) << 16 | byte(at + 3) << 24;
    word *= multiplier;
    word ^= word >> 24;
    word *= multiplier;
    hash = (hash * multiplier) ^ word;
  }
  if (size - at >= 3) hash ^= byte(at + 2) << 16;
  if (size - at >= 2) hash ^= byte(at + 1) << 8;
  if (size - at >= 1) hash = (hash ^ byte(at)) * multiplier;
  hash ^= hash >> 13;
  hash *= multiplier;
  return hash ^ (hash >> 15);
}

std::int32_t shard_of(std::string_view service, std::int32_t partitions) {
  CHECK(partitions > 0, "a topic has at least one partition");
  return static_cast<std::int32_t>((murmur2(service) & 0x7fffffffU) %
                                   static_cast<std::uint32_t>(partitions));
}

}  // namespace selfheal
