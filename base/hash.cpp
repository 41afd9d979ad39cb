#include "base/hash.hpp"

#include <sodium.h>

// Most of what is hashed is shorter than a call into a shared library is worth.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <array>

namespace selfheal {

std::uint64_t hash64(std::string_view bytes, std::uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

Hash128 hash128(std::string_view bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return {hash.low64, hash.high64};
}

std::string to_hex(std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string hex(bytes.size() * 2, '0');
  char* at = hex.data();
  for (const char each : bytes) {
    const auto byte = static_cast<unsigned char>(each);
    *at++ = digits[byte >> 4];
    *at++ = digits[byte & 15];
  }
  return hex;
}

std::string to_hex(const Sha256& digest) {
  return to_hex(std::string_view(reinterpret_cast<const char*>(digest.data()), digest.size()));
}

std::string to_hex(std::uint64_t value) {
  std::array<char, 8> bytes;
  for (char& byte : bytes) {
    byte = static_cast<char>(value >> 56);
    value <<= 8;
  }
  return to_hex(std::string_view(bytes.data(), bytes.size()));
}

Result<std::string> from_hex(std::string_view hex) {
  const auto nibble = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  if (hex.size() % 2 != 0) return Error{ErrorCode::invalid, "odd number of hex digits"};
  std::string bytes(hex.size() / 2, '\0');
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    const int high = nibble(hex[i]);
    const int low = nibble(hex[i + 1]);
    if (high < 0 || low < 0) return Error{ErrorCode::invalid, "not a hex digit"};
    bytes[i / 2] = static_cast<char>(high * 16 + low);
  }
  return bytes;
}

bool constant_time_equal(std::string_view left, std::string_view right) {
  if (left.size() != right.size()) return false;
  return sodium_memcmp(left.data(), right.data(), left.size()) == 0;
}

}  // namespace selfheal
