#pragma once
// Which cut a process was deciding when it crashed: a cut that kills its process leaves no FAILED
// record behind, and would kill every process that takes the shard over. So a crash (a fatal signal
// of our own making: SIGSEGV, SIGABRT …) writes the cut into a file that was opened before, and the
// next start journals it as FAILED, from where halving finds the one record. A kill from outside
// (SIGKILL) runs no handler and is never taken for a crash.
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "topics/journal.hpp"

namespace selfheal {

struct CrashedCut {
  Cut cut;  // its offsets alone
  std::string stage;
};

// While it lives, a crash of this thread names the cut. Cheap: a few stores.
class CrashScope {
 public:
  // `stage` must outlive it.
  CrashScope(std::int64_t shard, const Cut& cut, const char* stage);
  ~CrashScope();
  CrashScope(const CrashScope&) = delete;
  CrashScope& operator=(const CrashScope&) = delete;
};

// What earlier crashes have left in a folder, and where the next one will write. Thread-safe; one a
// process.
class CrashMarks {
 public:
  // Reads and empties the file, and installs the handlers. Fails where the file cannot be written.
  static Result<std::shared_ptr<CrashMarks>> open(const std::string& folder);
  // The cut of a shard that the process was deciding when it crashed; given once.
  std::optional<CrashedCut> take(std::int64_t shard);

 private:
  std::mutex mutex_;
  std::map<std::int64_t, CrashedCut> cuts_;
};

}  // namespace selfheal
