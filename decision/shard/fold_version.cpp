#include "decision/shard/fold_version.hpp"

#include <array>
#include <cstring>

namespace selfheal {

const std::int64_t fold_version = 8;

std::uint64_t state_hash_after(const Chain& chain, const Token& token) {
  const std::array<std::uint64_t, 3> parts = {chain.state_hash, token.touched_digest,
                                              token.events.size()};
  std::array<char, sizeof parts> bytes;
  std::memcpy(bytes.data(), parts.data(), bytes.size());
  return hash64(std::string_view(bytes.data(), bytes.size()));
}

}  // namespace selfheal
