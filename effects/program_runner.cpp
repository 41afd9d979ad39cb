#include "effects/program_runner.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <system_error>
#include <vector>

#include "effects/pointers.hpp"
#include "effects/posix_file.hpp"

namespace selfheal {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int not_found_code = 127;
constexpr int not_executable_code = 126;
constexpr int signal_base = 128;
constexpr auto term_grace = std::chrono::seconds(2);
// The first free number, so that everything above it can be closed in one call.
constexpr int inherited_descriptor = 3;

struct Executable {
  std::string path;
  int code = 0;  // why it cannot run; 0: it can
};

bool is_file(const std::string& path) {
  struct stat status {};
  return stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode);
}

// Looked up in the PATH that the program itself gets, as a shell would.
Executable find_executable(const std::string& name, const std::string& search_path) {
  if (name.find('/') != std::string::npos) return {name, 0};
  Executable found{name, not_found_code};
  std::size_t from = 0;
  while (from <= search_path.size()) {
    const std::size_t colon = std::min(search_path.find(':', from), search_path.size());
    const std::string path = search_path.substr(from, colon - from) + "/" + name;
    from = colon + 1;
    // A relative entry would depend on the working folder: nobody approved what lies there.
    if (path.front() != '/' || !is_file(path)) continue;
    if (access(path.c_str(), X_OK) == 0) return {path, 0};
    found = {path, not_executable_code};
  }
  return found;
}

std::vector<std::string> argument_list(const Program& program) {
  if (!program.shell) return program.argv;
  // The texts stay arguments of the script; only argv[0] is read as one.
  std::vector<std::string> list = {"/bin/sh", "-c", program.argv[0], "sh"};
  list.insert(list.end(), program.argv.begin() + 1, program.argv.end());
  return list;
}

bool holds_nul(const std::string& text) {
  return text.find('\0') != std::string::npos;
}

// What the operating system's form of argv and environment cannot carry.
std::string why_malformed(const Program& program,
                          const std::map<std::string, std::string>& environment) {
  if (program.argv.empty() || program.argv[0].empty()) return "argv names no program";
  if (std::any_of(program.argv.begin(), program.argv.end(), holds_nul)) {
    return "an argument holds a NUL byte";
  }
  for (const auto& [name, value] : environment) {
    if (name.empty() || name.find('=') != std::string::npos || holds_nul(name)) {
      return "an environment variable's name is empty or holds = or NUL";
    }
    if (holds_nul(value)) return "the environment variable " + name + " holds a NUL byte";
  }
  if (holds_nul(program.directory)) return "the working folder holds a NUL byte";
  struct stat status {};
  if (!program.directory.empty() &&
      (stat(program.directory.c_str(), &status) != 0 || !S_ISDIR(status.st_mode))) {
    return "the working folder " + program.directory + " does not exist or is no folder";
  }
  return {};
}

// The settings of one spawn; frees what the C interface allocates.
class SpawnSettings {
 public:
  SpawnSettings(int output, int kept_descriptor, const std::string& directory) {
    posix_spawn_file_actions_init(&actions_);
    posix_spawnattr_init(&attributes_);
    posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions_, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions_, output, STDERR_FILENO);
    int first_closed = inherited_descriptor;
    if (kept_descriptor >= 0) {
      posix_spawn_file_actions_adddup2(&actions_, kept_descriptor, inherited_descriptor);
      ++first_closed;
    }
    // A socket of the service in a daemon's hands would keep its port from the next service.
    posix_spawn_file_actions_addclosefrom_np(&actions_, first_closed);
    if (!directory.empty()) posix_spawn_file_actions_addchdir_np(&actions_, directory.c_str());
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    // The shim ignores signals and the service blocks some; a program expects neither.
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &all);
    posix_spawnattr_setpgroup(&attributes_, 0);
    posix_spawnattr_setflags(
        &attributes_, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  ~SpawnSettings() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;

  const posix_spawn_file_actions_t* actions() const { return &actions_; }
  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

// Returns the process, or fills `end` with the reason why there is none.
pid_t spawn(const Program& program, const std::map<std::string, std::string>& environment,
            int output, int kept_descriptor, ProgramEnd& end) {
  end.failure = why_malformed(program, environment);
  end.exit_code = not_executable_code;
  if (!end.failure.empty()) return -1;
  std::vector<std::string> arguments = argument_list(program);
  const auto path = environment.find("PATH");
  const Executable executable =
      find_executable(arguments[0], path == environment.end() ? "" : path->second);
  std::vector<std::string> variables;
  variables.reserve(environment.size());
  for (const auto& [name, value] : environment) variables.push_back(name + "=" + value);
  pid_t child = -1;
  int failed = executable.code == not_found_code ? ENOENT : EACCES;
  // posix_spawn reports a failed exec to the caller, which a plain fork cannot.
  if (executable.code == 0) {
    const SpawnSettings settings(output, kept_descriptor, program.directory);
    failed = posix_spawn(&child, executable.path.c_str(), settings.actions(), settings.attributes(),
                         pointers(arguments).data(), pointers(variables).data());
  }
  if (failed == 0) {
    end.began = true;
    end.exit_code = 0;
    return child;
  }
  end.exit_code = failed == ENOENT ? not_found_code : not_executable_code;
  end.failure = "cannot run " + executable.path + ": " + std::generic_category().message(failed);
  return -1;
}

// Takes one chunk, so that a program that never pauses cannot keep its limit from being looked at.
// False at the end of the output: nobody holds the other side any more.
bool drain(int output, OutputCapture& capture) {
  std::array<char, std::size_t{16} * 1024> chunk;
  const ssize_t count = read(output, chunk.data(), chunk.size());
  if (count > 0) capture.take({chunk.data(), static_cast<std::size_t>(count)});
  return count > 0 || (count < 0 && (errno == EAGAIN || errno == EINTR));
}

// Leaves the process unreaped, so that its group's number cannot be taken by another one.
bool has_exited(pid_t child) {
  siginfo_t information{};
  return waitid(P_PID, static_cast<id_t>(child), &information, WEXITED | WNOHANG | WNOWAIT) != 0 ||
         information.si_pid == child;
}

int reap(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return signal_base;
  }
  return WIFSIGNALED(status) ? signal_base + WTERMSIG(status) : WEXITSTATUS(status);
}

// Orphans become children of this process; each round may orphan more.
void kill_descendants() {
  constexpr int rounds_max = 64;
  const std::string path = "/proc/self/task/" + std::to_string(getpid()) + "/children";
  for (int round = 0; round < rounds_max; ++round) {
    std::ifstream list(path);
    pid_t child = 0;
    bool any = false;
    while (list >> child) {
      any = true;
      kill(child, SIGKILL);
      waitpid(child, nullptr, 0);
    }
    if (!any) return;
  }
}

// Waits for the exit, reading the output all the while; ends the group at the limit.
void watch(pid_t child, int output, const RunLimits& limits, ProgramEnd& end) {
  // The wrapper of some C libraries cannot be linked from C++.
  const Descriptor handle(static_cast<int>(syscall(SYS_pidfd_open, child, 0)));
  // Without a handle on the process (an old kernel), its exit is looked for this often.
  const int pause_ms = handle.valid() ? 1000 : 20;
  Clock::time_point deadline = Clock::now() + std::chrono::milliseconds(limits.limit_ms);
  bool open = true;
  while (true) {
    const bool exited = has_exited(child);
    // At the limit the rest of the group gets its grace too, for as long as it may be alive.
    if (exited && (!end.timed_out || !open)) break;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) {
      if (end.timed_out) break;
      end.timed_out = true;
      kill(-child, SIGTERM);
      deadline = Clock::now() + term_grace;
      continue;
    }
    std::array<pollfd, 2> events = {pollfd{open ? output : -1, POLLIN, 0},
                                    pollfd{exited ? -1 : handle.get(), POLLIN, 0}};
    const auto wait_ms = std::min<DurationMs>(left.count(), pause_ms);
    poll(events.data(), events.size(), static_cast<int>(wait_ms));
    if (open && events[0].revents != 0) open = drain(output, end.output);
  }
  // Before the reaping, while the number of the group is certainly ours.
  if (end.timed_out) kill(-child, SIGKILL);
  end.exit_code = reap(child);
  if (end.timed_out && limits.owns_descendants) kill_descendants();
}

}  // namespace

std::map<std::string, std::string> base_environment() {
  const char* const home = std::getenv("HOME");
  return {{"PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
          {"HOME", home == nullptr ? "/" : home},
          {"LANG", "C.UTF-8"}};
}

ProgramEnd run_program(const Program& program,
                       const std::map<std::string, std::string>& environment,
                       const RunLimits& limits) {
  ProgramEnd end;
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) {
    end.failure = system_error("create a pipe").context;
    end.exit_code = not_executable_code;
    return end;
  }
  const Descriptor output(ends[0]);
  Descriptor input(ends[1]);
  // Only our side: a program must not meet a standard output that refuses to wait.
  fcntl(output.get(), F_SETFL, O_NONBLOCK);
  const pid_t child = spawn(program, environment, input.get(), limits.kept_descriptor, end);
  input.reset();
  if (child < 0) return end;
  watch(child, output.get(), limits, end);
  // What is in the pipe already; a daemon that still holds it is not waited for.
  constexpr int drains_max = 8;
  for (int round = 0; round < drains_max && drain(output.get(), end.output); ++round) {
  }
  return end;
}

}  // namespace selfheal
