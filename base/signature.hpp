#pragma once
// Ed25519 signatures (RFC 8032). Signing and verifying are pure functions of their arguments, so a
// replay checks a signature exactly as the live decision did. Thread-safe.
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace selfheal {

// Keys and signatures travel as lower-case hex.
struct SigningKey {
  std::string public_hex;  // 64 digits
  std::string secret_hex;  // 128 digits; never logged, never put on a topic
};

// Fresh randomness from the operating system: never called while deciding.
SigningKey generate_signing_key();

// The secret must come from generate_signing_key(); anything else is an error.
Result<std::string> sign(std::string_view secret_hex, std::string_view message);

// False for a wrong signature and for anything malformed alike.
bool verify(std::string_view public_hex, std::string_view message, std::string_view signature_hex);

// `bytes` random bytes as hex, for nonces and tokens; never called while deciding.
std::string random_hex(std::size_t bytes);

}  // namespace selfheal
