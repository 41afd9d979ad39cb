#include "effects/secrets.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include "effects/posix_file.hpp"

namespace selfheal {
namespace {

constexpr std::size_t secret_bytes_max = std::size_t{64} * 1024;
// Of a fixed length: the length of a secret is not shown either.
constexpr std::string_view mask = "***";

Result<std::string> read_value(const std::string& path) {
  Result<std::string> value = read_whole_file(path, secret_bytes_max);
  if (value && value->ends_with('\n')) value->pop_back();
  return value;
}

// How many bytes at the edge of the text may be a part of a secret that goes on beyond it.
std::size_t part_at_edge(std::string_view text, CutEdge edge, std::string_view secret) {
  for (std::size_t size = std::min(secret.size() - 1, text.size()); size > 0; --size) {
    const bool same = edge == CutEdge::end ? text.ends_with(secret.substr(0, size))
                                           : text.starts_with(secret.substr(secret.size() - size));
    if (same) return size;
  }
  return 0;
}

}  // namespace

Result<std::string> read_secret(const std::string& folder, const std::string& name) {
  if (!is_safe_name(name)) {
    return Error{ErrorCode::invalid,
                 "a secret's name is 1 to 128 of A-Z, a-z, 0-9, _ and -; nothing was read"};
  }
  const std::string path = folder + "/" + name;
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return system_error("secret " + name);
  if (!S_ISREG(status.st_mode)) {
    return Error{ErrorCode::invalid, "secret " + name + " is not a file"};
  }
  // What others could read may be known to others: somebody must look before it is used.
  if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return Error{ErrorCode::refused,
                 "secret " + name + " can be read by others; run: chmod 600 " + path};
  }
  Result<std::string> value = read_value(path);
  if (!value) return value.error().within("secret " + name);
  if (value->empty()) return Error{ErrorCode::invalid, "secret " + name + " is empty"};
  return value;
}

Result<Secrets> read_secrets(const std::string& folder, const std::vector<std::string>& names) {
  Secrets secrets;
  for (const std::string& name : names) {
    Result<std::string> value = read_secret(folder, name);
    if (!value) return value.error();
    secrets[name] = std::move(*value);
  }
  return secrets;
}

Secrets readable_secrets(const std::string& folder) {
  Secrets secrets;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    if (!entry.is_regular_file(ignored)) continue;
    // Even one with too open a mode, which no step would get, is a secret.
    Result<std::string> value = read_value(entry.path().string());
    if (value) secrets[entry.path().filename().string()] = std::move(*value);
  }
  return secrets;
}

std::string secret_variable(std::string_view name) {
  std::string variable = "SELF_HEAL_SECRET_";
  for (const char c : name) {
    if (c >= 'a' && c <= 'z') {
      variable += static_cast<char>(c - 'a' + 'A');
    } else {
      variable += c == '-' ? '_' : c;
    }
  }
  return variable;
}

std::string scrub(std::string_view text, const Secrets& secrets) {
  // Marked first and replaced afterwards: secrets may overlap in the text.
  std::vector<std::pair<std::size_t, std::size_t>> found;
  for (const auto& [name, value] : secrets) {
    if (value.empty()) continue;
    for (std::size_t at = text.find(value); at != std::string_view::npos;
         at = text.find(value, at + 1)) {
      found.emplace_back(at, at + value.size());
    }
  }
  std::sort(found.begin(), found.end());
  std::string scrubbed;
  std::size_t copied = 0;
  for (const auto& [begin, end] : found) {
    if (begin >= copied) scrubbed.append(text.substr(copied, begin - copied)).append(mask);
    copied = std::max(copied, end);
  }
  return scrubbed.append(text.substr(copied));
}

std::string scrub_cut(std::string_view text, CutEdge edge, const Secrets& secrets) {
  std::string scrubbed = scrub(text, secrets);
  std::size_t part = 0;
  for (const auto& [name, value] : secrets) {
    if (!value.empty()) part = std::max(part, part_at_edge(scrubbed, edge, value));
  }
  if (part == 0) return scrubbed;
  const auto bytes = static_cast<std::ptrdiff_t>(part);
  if (edge == CutEdge::end) {
    scrubbed.replace(scrubbed.end() - bytes, scrubbed.end(), mask);
  } else {
    scrubbed.replace(scrubbed.begin(), scrubbed.begin() + bytes, mask);
  }
  return scrubbed;
}

}  // namespace selfheal
