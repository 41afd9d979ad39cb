#pragma once
// The durable files of starts, in the order that step_effect.hpp lists. They alone decide whether a
// start may run, so every write is on the disk before the next step is taken.
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "effects/posix_file.hpp"
#include "effects/step_effect.hpp"

namespace selfheal {

// <actions_folder>/<action_id>/<step>[.rollback].<attempt>
std::string start_folder(const std::string& actions_folder, const StepOrder& order);

// An order whose names and numbers can be put into a path.
Result<void> check_order(const StepOrder& order);

// A result of this start that carries only a status and a text.
StepResult result_of(const StepOrder& order, const std::string& status, const std::string& output);

// The files of one start. Not thread-safe; the lock is between processes and between objects.
class ActionFiles {
 public:
  // Creates the folder, durably, and opens the lock without taking it.
  static Result<ActionFiles> open(const std::string& actions_folder, const StepOrder& order);

  // False while somebody else holds it.
  Result<bool> try_lock();
  // A child that inherits this descriptor goes on holding the lock when its parent dies.
  int lock_descriptor() const { return lock_.get(); }

  // Empty where there is none yet.
  Result<std::optional<StepResult>> result() const;
  bool started() const;
  Result<void> mark_started(TimeMs now_ms);
  Result<void> write_result(const StepResult& result);

 private:
  std::string folder_;
  Descriptor lock_;
};

// Reads the files of a start without changing them.
TracedStep trace_files(const std::string& actions_folder, const StepOrder& order);

// The fence of a shard on this machine, locked while the object lives. Whoever is about to begin a
// start holds it until `started` is on the disk: a fence that was raised then either sees the start
// or stops it.
class Fence {
 public:
  static Result<Fence> lock(const std::string& actions_folder, std::int64_t shard);

  std::int64_t epoch() const { return epoch_; }
  // The epochs, newest first, whose owners have said that they use this folder: of the last few
  // only. A start of any of them looks at this fence. After the loss of a folder there are none.
  const std::vector<std::int64_t>& owned() const { return owned_; }

  // Lower epochs change nothing.
  Result<void> raise(std::int64_t epoch);
  // As raise(), by the owner of that epoch, before anything of it is started.
  Result<void> own(std::int64_t epoch);

 private:
  Result<void> write(std::int64_t epoch, const std::vector<std::int64_t>& owned);

  std::string folder_;
  std::string name_;
  Descriptor lock_;
  std::int64_t epoch_ = 0;
  std::vector<std::int64_t> owned_;
};

}  // namespace selfheal
