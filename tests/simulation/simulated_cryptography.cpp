// Hashes and signatures without cryptography, linked into selfheal_simulate in the place of
// base/sha256.cpp and base/signature.cpp: the real ones would be two thirds of what a schedule
// costs. Nobody forges here; an altered text or another key is refused all the same.
// simulation_tests runs schedules with the real ones.
#include "base/signature.hpp"

#include <atomic>
#include <cstring>

#include "base/hash.hpp"

namespace selfheal {
namespace {

// 128 digits, of which the first 16 depend on key and message.
std::string mark(std::string_view public_hex, std::string_view message) {
  std::string text = to_hex(hash64(message, hash64(public_hex)));
  text.append(128 - text.size(), '0');
  return text;
}

}  // namespace

Sha256 sha256(std::string_view bytes) {
  return sha256(bytes, std::string_view());
}

Sha256 sha256(std::string_view first, std::string_view second) {
  const Hash128 of_second = hash128(second);
  const std::uint64_t of_first = hash64(first, of_second.low);
  const std::array<std::uint64_t, 4> parts = {of_first, of_second.low, of_second.high,
                                              first.size() + second.size()};
  Sha256 digest;
  std::memcpy(digest.data(), parts.data(), digest.size());
  return digest;
}

SigningKey generate_signing_key() {
  static std::atomic<std::uint64_t> made{0};
  const std::uint64_t number = ++made;
  std::string public_hex;
  for (const char* part : {"a", "b", "c", "d"}) public_hex += to_hex(hash64(part, number));
  return {public_hex, public_hex + public_hex};
}

Result<std::string> sign(std::string_view secret_hex, std::string_view message) {
  if (secret_hex.size() != 128) {
    return Error{ErrorCode::invalid, "the signing key is not 128 hex digits"};
  }
  return mark(secret_hex.substr(0, 64), message);
}

bool verify(std::string_view public_hex, std::string_view message, std::string_view signature_hex) {
  return public_hex.size() == 64 && signature_hex == mark(public_hex, message);
}

std::string random_hex(std::size_t bytes) {
  // Each another one, and of the same length: what is named by it is told apart.
  static std::atomic<std::uint64_t> made{0};
  std::string text = to_hex(++made);
  text.resize(bytes * 2, '7');
  return text;
}

}  // namespace selfheal
