#pragma once
// By what this program decides. In a file of its own, so that the tests can link another program
// from the same libraries that decides by another version: the next build of an upgrade.
#include <cstdint>

#include "decision/token.hpp"
#include "topics/journal.hpp"

namespace selfheal {

// A version of everything that is learnt from raw signals, and of what is decided from equal
// inputs: raised whenever either changes, so that nobody compares what two versions decide. Another
// version starts what is learnt from signals anew; what events say stays.
extern const std::int64_t fold_version;

// The rolling hash: over the one before, the series rows touched and how much was said. Equal
// hashes at equal places mean equal soft state; events are compared by themselves.
std::uint64_t state_hash_after(const Chain& chain, const Token& token);

}  // namespace selfheal
