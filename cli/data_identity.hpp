#pragma once
// Whose state a data folder holds. Another process's saved state and action files would be taken
// for this one's own.
#include "base/result.hpp"
#include "config/service_config.hpp"

namespace selfheal {

// Compares the file `identity` in data_dir with this process's bus, topics and instance, and writes
// it where there is none. Where the instance is only the host's name, the embedded bus does not
// compare it: all of the cluster is in the folder, and a container has another name at every start.
// Errors: refused (it belongs to another: nothing was touched), unavailable (cannot be written).
// Not to be called by two processes at once for a folder that has no such file.
Result<void> check_identity(const LoadedConfig& loaded);

}  // namespace selfheal
