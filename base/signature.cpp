#include "base/signature.hpp"

#include <sodium.h>

#include "base/check.hpp"
#include "base/hash.hpp"

namespace selfheal {
namespace {

const unsigned char* raw(std::string_view bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

void ensure_library() {
  static const int ready = sodium_init();
  CHECK(ready >= 0, "libsodium could not start: no source of randomness");
}

}  // namespace

SigningKey generate_signing_key() {
  ensure_library();
  std::string public_key(crypto_sign_PUBLICKEYBYTES, '\0');
  std::string secret_key(crypto_sign_SECRETKEYBYTES, '\0');
  crypto_sign_keypair(reinterpret_cast<unsigned char*>(public_key.data()),
                      reinterpret_cast<unsigned char*>(secret_key.data()));
  return {to_hex(public_key), to_hex(secret_key)};
}

Result<std::string> sign(std::string_view secret_hex, std::string_view message) {
  const Result<std::string> secret = from_hex(secret_hex);
  if (!secret || secret->size() != crypto_sign_SECRETKEYBYTES) {
    return Error{ErrorCode::invalid, "the signing key is not 128 hex digits"};
  }
  std::string signature(crypto_sign_BYTES, '\0');
  crypto_sign_detached(reinterpret_cast<unsigned char*>(signature.data()), nullptr, raw(message),
                       message.size(), raw(*secret));
  return to_hex(signature);
}

bool verify(std::string_view public_hex, std::string_view message, std::string_view signature_hex) {
  const Result<std::string> key = from_hex(public_hex);
  const Result<std::string> signature = from_hex(signature_hex);
  if (!key || key->size() != crypto_sign_PUBLICKEYBYTES) return false;
  if (!signature || signature->size() != crypto_sign_BYTES) return false;
  return crypto_sign_verify_detached(raw(*signature), raw(message), message.size(), raw(*key)) == 0;
}

std::string random_hex(std::size_t bytes) {
  ensure_library();
  std::string random(bytes, '\0');
  randombytes_buf(random.data(), random.size());
  return to_hex(random);
}

}  // namespace selfheal
