#pragma once
// Programs that run beside this one: started, watched, ended by their process id. Only what was
// started here is ever signalled. Not thread-safe.
#include <sys/types.h>

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace selfheal {

struct ChildOptions {
  std::vector<std::string> argv;                   // argv[0]: path of the program
  std::map<std::string, std::string> environment;  // added to ours, and stronger
  std::string output_file;                         // stdout is appended to it
  std::string log_file;                            // stderr is appended to it
  // A session of its own that outlives us; else it gets SIGTERM when we die, however we die.
  bool detached = false;
};

class ChildProcess {
 public:
  // Inherits none of our descriptors. To be called by a thread that lives as long as the child.
  static Result<ChildProcess> start(const ChildOptions& options);

  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&&) = delete;
  ~ChildProcess();  // ends it, unless it is detached

  pid_t pid() const { return pid_; }
  bool running();
  // 128 + the signal where one ended it; none while it runs.
  std::optional<int> exit_code();
  std::optional<int> wait_for_exit(std::chrono::milliseconds limit);
  void signal(int number);
  // SIGTERM, and SIGKILL where that does not help within the time.
  void end(std::chrono::milliseconds grace);

 private:
  ChildProcess(pid_t pid, bool detached) : pid_(pid), detached_(detached) {}

  pid_t pid_ = -1;
  bool detached_ = false;
  std::optional<int> exit_code_;
};

// What a program printed until it ended.
struct ProgramAnswer {
  int exit_code = 0;
  std::string output;
  std::string log;
};
// Leaves two files whose names begin with `files`.
Result<ProgramAnswer> run_to_end(std::vector<std::string> argv, const std::string& files,
                                 std::chrono::milliseconds limit);

// Path of this executable.
std::string own_executable();
// A port of 127.0.0.1 that nobody listens on now.
Result<int> free_port();
// The whole file; empty where there is none.
std::string file_text(const std::string& file);

}  // namespace selfheal
