#pragma once
// Signing keys and API tokens, as files in keys_dir. NAME.key.json holds the secrets and belongs to
// its owner alone (mode 0600); NAME.pub.json holds what others need to check them. Safe between
// threads and processes: a key appears whole or not at all, and is never overwritten.
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/fields.hpp"
#include "base/result.hpp"

namespace selfheal {

struct PublicKey {
  std::string name;          // [a-z0-9_-]{1,64}
  std::string role;          // viewer, operator, admin or shard
  std::string public_key;    // 64 hex digits
  std::string token_sha256;  // of the API token's text, 64 hex digits
  static constexpr auto fields() {
    return std::tuple{field("name", &PublicKey::name), field("role", &PublicKey::role),
                      field("public_key", &PublicKey::public_key),
                      field("token_sha256", &PublicKey::token_sha256)};
  }
  bool operator==(const PublicKey&) const = default;
};

// Never logged, never put on a topic, never part of an error.
struct SecretKey {
  std::string name;
  std::string role;
  std::string public_key;
  std::string secret_key;  // for sign()
  std::string token;       // for "Authorization: Bearer …"
  static constexpr auto fields() {
    return std::tuple{field("name", &SecretKey::name), field("role", &SecretKey::role),
                      field("public_key", &SecretKey::public_key),
                      field("secret_key", &SecretKey::secret_key),
                      field("token", &SecretKey::token)};
  }
};

std::string secret_key_file(const std::string& directory, std::string_view name);
std::string public_key_file(const std::string& directory, std::string_view name);

// Makes the directory (mode 0700) and both files. Fails with invalid (name, role), refused (there
// is such a key) or unavailable (the disk). Draws randomness: never while deciding.
Result<PublicKey> create_key(const std::string& directory, const std::string& name,
                             const std::string& role);

// Every *.pub.json, by name; none where there is no directory. Fails with corrupt or unavailable,
// naming the file.
Result<std::vector<PublicKey>> list_keys(const std::string& directory);

// Fails with not_found, corrupt, or refused where others may read the file.
Result<SecretKey> load_secret(const std::string& directory, const std::string& name);

struct FirstKeys {
  std::vector<std::string> created;  // names; empty where there was nothing to do
  std::string operator_file;         // the new operator's secrets; empty where one was there
};

// Sees to it that somebody can approve (a key with role operator or admin: else "operator" is made)
// and that this cluster can sign its own records (a key "journal", role shard). Processes that
// share the directory may call it at once.
Result<FirstKeys> ensure_first_key(const std::string& directory);

}  // namespace selfheal
