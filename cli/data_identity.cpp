#include "cli/data_identity.hpp"

#include <filesystem>
#include <fstream>
#include <string>

namespace selfheal {

Result<void> check_identity(const LoadedConfig& loaded) {
  const ServiceConfig& config = loaded.config;
  const bool embedded = config.bus.kind != "kafka";
  const std::string topics = (embedded ? "embedded topics " : "topics ") + config.topics.prefix;
  const std::string mine = "instance " + config.instance + ", " + topics;
  const std::string path = config.data_dir + "/identity";
  std::string found;
  if (std::ifstream stream(path); std::getline(stream, found) && !found.empty()) {
    const bool only_renamed =
        embedded && !loaded.instance_is_named && found.ends_with(", " + topics);
    if (found == mine || only_renamed) return {};
    return Error{ErrorCode::refused, config.data_dir + " belongs to " + found + ", and this is " +
                                         mine +
                                         ": give each process a data_dir of its own, or delete the "
                                         "file identity in it where it was renamed on purpose"};
  }
  // Whole or not at all: a torn name would be another's.
  const std::string draft = path + ".new";
  std::ofstream out(draft);
  out << mine << "\n";
  out.close();
  std::error_code failure;
  if (out) std::filesystem::rename(draft, path, failure);
  if (!out || failure) return Error{ErrorCode::unavailable, "cannot write " + path};
  return {};
}

}  // namespace selfheal
