// The fold of a build that is still to come: linked before the library that holds today's. It
// hashes otherwise, so that whoever compares what the two decide finds that it differs.
#include "decision/shard/fold_version.hpp"

namespace selfheal {

const std::int64_t fold_version = 1000;

std::uint64_t state_hash_after(const Chain& chain, const Token& token) {
  return hash64(to_hex(chain.state_hash) + "/" + to_hex(token.touched_digest) + "/" +
                std::to_string(token.events.size()));
}

}  // namespace selfheal
