#pragma once
// Puts a process together from its configuration: bus, store, keys, clock. The one place that knows
// every real implementation.
#include <memory>
#include <string>
#include <vector>

#include "actors/environment.hpp"
#include "base/result.hpp"
#include "config/keys.hpp"
#include "config/service_config.hpp"

namespace selfheal {

// Exit codes of every command.
enum class Exit : int { done = 0, did_not_hold = 1, wrong_usage = 2, unreachable = 3 };

// The code that an error ends a command with.
Exit exit_for(const Error& error);

// Where things are under data_dir.
struct DataFolders {
  std::string bus;      // the embedded log
  std::string state;    // pages
  std::string actions;  // of the action shim
  std::string secrets;
};
DataFolders data_folders(const ServiceConfig& config);

TimeMs wall_clock_ms();

// Name and version of this build.
std::string build_name();

// Needs no broker; of the embedded bus, makes the folder and the topics. Errors: invalid and
// refused (a property of Kafka, by its name), and those of the folder.
Result<std::shared_ptr<Log>> open_log(const ServiceConfig& config);

// Log, store, read model, metrics and keys, with the settings that the configuration names. Makes
// the folders, the topics of the embedded bus and the first keys. Refuses the data_dir of another.
struct Assembly {
  std::shared_ptr<Environment> environment;
  Settings settings;
  FirstKeys first_keys;
};
Result<Assembly> assemble(const LoadedConfig& loaded);

// The options that every command which talks to a service or a bus has.
struct ConfigOptions {
  std::string file;
  std::vector<std::string> overrides;
};
Result<LoadedConfig> load(const ConfigOptions& options);

}  // namespace selfheal
