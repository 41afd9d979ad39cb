#include "config/keys.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/hash.hpp"
#include "base/signature.hpp"
#include "config/yaml_tree.hpp"
#include "topics/json_codec.hpp"

namespace selfheal {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t name_bytes_max = 64;
constexpr std::size_t token_bytes = 32;
constexpr mode_t secret_mode = 0600;
constexpr mode_t public_mode = 0644;
constexpr std::string_view public_suffix = ".pub.json";

Error failed(const std::string& what, const std::string& file) {
  return {ErrorCode::unavailable, file + ": " + what + ": " + std::strerror(errno)};
}

// Closes what every early return would leave open.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number() const { return number_; }

 private:
  int number_;
};

// A name becomes a file's name and a field of every signed message.
Result<void> check_name(const std::string& name) {
  const bool fine =
      !name.empty() && name.size() <= name_bytes_max && std::ranges::all_of(name, [](char each) {
        return (each >= 'a' && each <= 'z') || (each >= '0' && each <= '9') || each == '_' ||
               each == '-';
      });
  if (fine) return {};
  return Error{ErrorCode::invalid,
               "a key's name is 1 to 64 of a-z, 0-9, '_' and '-', not '" + name + "'"};
}

Result<void> check_role(const std::string& role) {
  constexpr std::array<std::string_view, 4> roles = {"viewer", "operator", "admin", "shard"};
  if (std::ranges::find(roles, role) != roles.end()) return {};
  return Error{ErrorCode::invalid, "role must be viewer, operator or admin, not '" + role + "'"};
}

// Only the last folder is closed to others; those above may be the system's.
Result<void> make_directory(const std::string& directory) {
  std::error_code failure;
  const fs::path parent = fs::path(directory).parent_path();
  if (!parent.empty()) fs::create_directories(parent, failure);
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return failed("cannot be made", directory);
  }
  return {};
}

// Synced: a key that an approval was signed with must not vanish with the power.
Result<void> write_all(int descriptor, std::string_view text, const std::string& file) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return failed("cannot be written", file);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  if (::fsync(descriptor) != 0) return failed("cannot be written", file);
  return {};
}

// Whole or not at all, and never over a file that is there: then `refused`.
Result<void> write_new_file(const std::string& file, std::string_view text, mode_t mode) {
  const std::string draft = file + "." + random_hex(8) + ".tmp";
  Result<void> done;
  {
    const Descriptor descriptor(
        ::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode));
    if (descriptor.number() < 0) return failed("cannot be made", draft);
    done = write_all(descriptor.number(), text, draft);
  }
  if (done && ::link(draft.c_str(), file.c_str()) != 0) {
    done = errno == EEXIST ? Error{ErrorCode::refused, file + ": is already there"}
                           : failed("cannot be made", file);
  }
  ::unlink(draft.c_str());
  return done;
}

template <HasFields T>
std::string pretty(const T& value) {
  return to_json_value(value).dump(2) + "\n";
}

template <HasFields T>
Result<T> read_key_file(const std::string& file, const std::string& text) {
  Result<T> key = from_json_text<T>(text);
  // The parser's message could quote the file, and with it the secret.
  if (!key) return Error{ErrorCode::corrupt, file + ": is not a key file"};
  const std::string name = fs::path(file).filename().string();
  if (!check_name(key->name) || !name.starts_with(key->name + ".")) {
    return Error{ErrorCode::corrupt, file + ": the name in it is not the file's"};
  }
  if (!check_role(key->role)) return Error{ErrorCode::corrupt, file + ": has an unknown role"};
  return key;
}

// The token is long and random, so its plain hash cannot be guessed back.
PublicKey public_part(const SecretKey& secret) {
  return {secret.name, secret.role, secret.public_key, to_hex(sha256(secret.token))};
}

Result<std::string> read_secret_text(const std::string& file) {
  const Descriptor descriptor(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (descriptor.number() < 0) {
    if (errno == ENOENT) return Error{ErrorCode::not_found, file + ": no such key"};
    return failed("cannot be read", file);
  }
  struct stat status {};
  // Of what was opened, not of the name: the two could differ by now.
  if (::fstat(descriptor.number(), &status) != 0) return failed("cannot be read", file);
  if ((status.st_mode & 077) != 0) {
    return Error{ErrorCode::refused,
                 file + ": others than its owner may use it; run: chmod 600 " + file};
  }
  std::array<char, 4096> bytes{};
  const ssize_t size = ::read(descriptor.number(), bytes.data(), bytes.size());
  if (size < 0) return failed("cannot be read", file);
  return std::string(bytes.data(), static_cast<std::size_t>(size));
}

// The public half, where a crash or a copy by hand has left only the secret one.
Result<void> restore_public_half(const std::string& directory, const std::string& name) {
  const std::string file = public_key_file(directory, name);
  std::error_code failure;
  if (fs::exists(file, failure)) return {};
  const Result<SecretKey> secret = load_secret(directory, name);
  if (!secret) return secret.error();
  Result<void> done = write_new_file(file, pretty(public_part(*secret)), public_mode);
  if (!done && done.error().code != ErrorCode::refused) return done;
  return {};
}

// Another process that shares the directory may have made it in the meantime: just as good.
Result<bool> create_if_missing(const std::string& directory, const std::string& name,
                               const std::string& role) {
  const Result<PublicKey> created = create_key(directory, name, role);
  if (created) return true;
  if (created.error().code != ErrorCode::refused) return created.error();
  const Result<void> restored = restore_public_half(directory, name);
  if (!restored) return restored.error();
  return false;
}

}  // namespace

std::string secret_key_file(const std::string& directory, std::string_view name) {
  return (fs::path(directory) / (std::string(name) + ".key.json")).string();
}

std::string public_key_file(const std::string& directory, std::string_view name) {
  return (fs::path(directory) / (std::string(name) + std::string(public_suffix))).string();
}

Result<PublicKey> create_key(const std::string& directory, const std::string& name,
                             const std::string& role) {
  for (const Result<void>& checked : {check_name(name), check_role(role)}) {
    if (!checked) return checked.error();
  }
  if (const Result<void> made = make_directory(directory); !made) return made.error();
  std::error_code failure;
  const std::string public_file = public_key_file(directory, name);
  if (fs::exists(public_file, failure)) {
    return Error{ErrorCode::refused, public_file + ": is already there"};
  }
  const SigningKey signing = generate_signing_key();
  const SecretKey secret{name, role, signing.public_hex, signing.secret_hex,
                         random_hex(token_bytes)};
  Result<void> written =
      write_new_file(secret_key_file(directory, name), pretty(secret), secret_mode);
  if (!written) return written.error();
  const PublicKey key = public_part(secret);
  written = write_new_file(public_file, pretty(key), public_mode);
  // Another process that shares the directory may have added the public half of this very key.
  if (!written && written.error().code != ErrorCode::refused) return written.error();
  return key;
}

Result<std::vector<PublicKey>> list_keys(const std::string& directory) {
  std::vector<std::string> files;
  std::error_code failure;
  if (!fs::exists(directory, failure)) return std::vector<PublicKey>{};
  fs::directory_iterator each(directory, failure);
  for (; !failure && each != fs::directory_iterator(); each.increment(failure)) {
    const std::string file = each->path().string();
    if (file.ends_with(public_suffix)) files.push_back(file);
  }
  if (failure) {
    return Error{ErrorCode::unavailable, directory + ": cannot be read: " + failure.message()};
  }
  std::ranges::sort(files);
  std::vector<PublicKey> keys;
  for (const std::string& file : files) {
    const Result<std::string> text = read_text_file(file);
    if (!text) return text.error();
    Result<PublicKey> key = read_key_file<PublicKey>(file, *text);
    if (!key) return key.error();
    keys.push_back(std::move(*key));
  }
  return keys;
}

Result<SecretKey> load_secret(const std::string& directory, const std::string& name) {
  if (const Result<void> checked = check_name(name); !checked) return checked.error();
  const std::string file = secret_key_file(directory, name);
  const Result<std::string> text = read_secret_text(file);
  if (!text) return text.error();
  Result<SecretKey> key = read_key_file<SecretKey>(file, *text);
  if (key && !sign(key->secret_key, "")) {
    return Error{ErrorCode::corrupt, file + ": secret_key is not a key"};
  }
  return key;
}

Result<FirstKeys> ensure_first_key(const std::string& directory) {
  FirstKeys first;
  const Result<std::vector<PublicKey>> keys = list_keys(directory);
  if (!keys) return keys.error();
  const bool approver = std::ranges::any_of(
      *keys, [](const PublicKey& key) { return key.role == "operator" || key.role == "admin"; });
  const bool journal =
      std::ranges::any_of(*keys, [](const PublicKey& key) { return key.name == "journal"; });
  if (!approver) {
    const Result<bool> created = create_if_missing(directory, "operator", "operator");
    if (!created) return created.error();
    if (*created) {
      first.created.emplace_back("operator");
      first.operator_file = secret_key_file(directory, "operator");
    }
  }
  if (!journal) {
    const Result<bool> created = create_if_missing(directory, "journal", "shard");
    if (!created) return created.error();
    if (*created) first.created.emplace_back("journal");
  }
  return first;
}

}  // namespace selfheal
