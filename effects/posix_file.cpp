#include "effects/posix_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

namespace selfheal {
namespace {

// Outputs may tell about other services: for the owner only.
constexpr mode_t private_folder = 0700;
constexpr mode_t private_file = 0600;
constexpr std::size_t name_bytes_max = 128;

Result<void> write_new(const std::string& path, int flags, std::string_view bytes) {
  const Descriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | flags, private_file));
  if (!file.valid()) {
    Error error = system_error("create " + path);
    if (errno == EEXIST) error.code = ErrorCode::refused;
    return error;
  }
  Result<void> written = write_all(file.get(), bytes, path);
  if (!written) return written;
  if (fsync(file.get()) != 0) return system_error("sync " + path);
  return {};
}

}  // namespace

void Descriptor::reset(int number) {
  if (number_ >= 0) close(number_);
  number_ = number;
}

Error system_error(const std::string& what) {
  const int number = errno;
  const ErrorCode code = number == ENOENT ? ErrorCode::not_found : ErrorCode::unavailable;
  return {code, what + ": " + std::generic_category().message(number)};
}

bool is_safe_name(std::string_view name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  };
  return !name.empty() && name.size() <= name_bytes_max &&
         std::all_of(name.begin(), name.end(), allowed);
}

Result<void> create_private_folder(const std::string& folder) {
  if (mkdir(folder.c_str(), private_folder) == 0 || errno == EEXIST) return {};
  const Error error = system_error("create the folder " + folder);
  const std::size_t slash = folder.find_last_of('/');
  if (errno != ENOENT || slash == std::string::npos || slash == 0) return error;
  Result<void> parent = create_private_folder(folder.substr(0, slash));
  if (!parent) return parent;
  if (mkdir(folder.c_str(), private_folder) == 0 || errno == EEXIST) return {};
  return system_error("create the folder " + folder);
}

Result<void> sync_folder(const std::string& folder) {
  const Descriptor opened(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!opened.valid()) return system_error("open the folder " + folder);
  if (fsync(opened.get()) != 0) return system_error("sync the folder " + folder);
  return {};
}

bool exists(const std::string& path) {
  struct stat status {};
  // Anything but a clear "no" counts as there: a start must not run twice because a disk fails.
  return stat(path.c_str(), &status) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

Result<std::string> read_whole_file(const std::string& path, std::size_t bytes_max) {
  // A pipe in place of a file must not block.
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.valid()) return system_error("open " + path);
  std::string bytes;
  std::array<char, 4096> chunk;
  while (true) {
    const ssize_t count = read(file.get(), chunk.data(), chunk.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_error("read " + path);
    if (count == 0) return bytes;
    bytes.append(chunk.data(), static_cast<std::size_t>(count));
    if (bytes.size() > bytes_max) {
      return Error{ErrorCode::exhausted, path + " is longer than " + std::to_string(bytes_max) +
                                             " bytes; it must be shorter"};
    }
  }
}

Result<void> write_all(int descriptor, std::string_view bytes, const std::string& what) {
  while (!bytes.empty()) {
    const ssize_t count = write(descriptor, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_error("write " + what);
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return {};
}

Result<void> replace_durably(const std::string& folder, const std::string& name,
                             std::string_view bytes) {
  // Callers hold a lock, so one name for the copy aside is enough; an old one is overwritten.
  const std::string path = folder + "/" + name;
  const std::string aside = path + ".new";
  Result<void> written = write_new(aside, O_TRUNC, bytes);
  if (!written) return written;
  if (rename(aside.c_str(), path.c_str()) != 0) return system_error("rename " + aside);
  return sync_folder(folder);
}

Result<void> create_durably(const std::string& folder, const std::string& name,
                            std::string_view bytes) {
  Result<void> written = write_new(folder + "/" + name, O_EXCL, bytes);
  if (!written) return written;
  return sync_folder(folder);
}

}  // namespace selfheal
