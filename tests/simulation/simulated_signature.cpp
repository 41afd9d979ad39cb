// Signatures without cryptography, linked into selfheal_simulate in the place of
// base/signature.cpp: Ed25519 would be two thirds of what a schedule costs. Nobody forges here; an
// altered text or another key is refused all the same. simulation_tests runs schedules with the
// real ones.
#include "base/signature.hpp"

#include <atomic>

#include "base/hash.hpp"

namespace selfheal {
namespace {

std::string mark(std::string_view public_hex, std::string_view message) {
  std::string text;
  for (std::uint64_t part = 0; part < 8; ++part) {
    // One pass over the message; the rest only has to have the length of a signature.
    const std::uint64_t of_message = part == 0 ? hash64(message) : part;
    text += to_hex(hash64(public_hex, of_message));
  }
  return text;
}

}  // namespace

SigningKey generate_signing_key() {
  static std::atomic<std::uint64_t> made{0};
  const std::uint64_t number = ++made;
  std::string public_hex;
  for (std::uint64_t part = 0; part < 4; ++part)
    public_hex += to_hex(hash64("key", number + part * 1000));
  return {public_hex, public_hex + public_hex};
}

Result<std::string> sign(std::string_view secret_hex, std::string_view message) {
  if (secret_hex.size() != 128)
    return Error{ErrorCode::invalid, "the signing key is not 128 hex digits"};
  return mark(secret_hex.substr(0, 64), message);
}

bool verify(std::string_view public_hex, std::string_view message, std::string_view signature_hex) {
  return public_hex.size() == 64 && signature_hex == mark(public_hex, message);
}

std::string random_hex(std::size_t bytes) {
  return std::string(bytes * 2, '7');
}

}  // namespace selfheal
