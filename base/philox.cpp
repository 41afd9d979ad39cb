#include "base/philox.hpp"

namespace selfheal {

PhiloxBlock philox(PhiloxBlock counter, std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = std::uint64_t{0xD2511F53} * counter[0];
    const std::uint64_t b = std::uint64_t{0xCD9E8D57} * counter[2];
    counter = {
        static_cast<std::uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(b),
        static_cast<std::uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(a)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

double uniform_draw(std::uint64_t shard_seed, DrawName name) {
  const PhiloxBlock block = philox(
      {static_cast<std::uint32_t>(name.decision), static_cast<std::uint32_t>(name.decision >> 32),
       name.arm, name.draw},
      {static_cast<std::uint32_t>(shard_seed), static_cast<std::uint32_t>(shard_seed >> 32)});
  const std::uint64_t bits = (std::uint64_t{block[1]} << 32) | block[0];
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

}  // namespace selfheal
