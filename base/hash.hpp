#pragma once
// Two kinds of hash. Fast ones (XXH3) find rows and notice accidents; SHA-256 is what the chain,
// the audit and approvals rest on. Neither depends on the CPU. All functions are thread-safe.
#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace selfheal {

std::uint64_t hash64(std::string_view bytes, std::uint64_t seed = 0);

struct Hash128 {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  auto operator<=>(const Hash128&) const = default;
};
Hash128 hash128(std::string_view bytes);

using Sha256 = std::array<std::uint8_t, 32>;
Sha256 sha256(std::string_view bytes);
Sha256 sha256(std::string_view first, std::string_view second);  // of both, one behind the other

std::string to_hex(std::string_view bytes);
std::string to_hex(const Sha256& digest);
std::string to_hex(std::uint64_t value);  // 16 digits

// Lower or upper case; an odd length or another character is an error.
Result<std::string> from_hex(std::string_view hex);

// Takes the same time wherever the first difference is. Lengths are not secret.
bool constant_time_equal(std::string_view left, std::string_view right);

}  // namespace selfheal
