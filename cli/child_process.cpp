#include "cli/child_process.hpp"

#include "effects/pointers.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

namespace selfheal {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto look_pause = std::chrono::milliseconds(20);
constexpr int signal_base = 128;
constexpr int not_started_code = 127;

std::vector<std::string> merged_environment(const std::map<std::string, std::string>& added) {
  std::vector<std::string> texts;
  for (char** each = environ; *each != nullptr; ++each) {
    const std::string text = *each;
    if (!added.contains(text.substr(0, text.find('=')))) texts.push_back(text);
  }
  for (const auto& [name, value] : added) texts.push_back(name + "=" + value);
  return texts;
}

// Owns a descriptor until the end of its scope.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number() const { return number_; }

 private:
  int number_;
};

int open_for_output(const std::string& file) {
  const char* const path = file.empty() ? "/dev/null" : file.c_str();
  return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
}

// Runs between fork and exec: only what is allowed there while other threads may hold locks.
[[noreturn]] void become(const std::vector<char*>& argv, const std::vector<char*>& environment,
                         int input, int output, int log, bool detached) {
  if (detached) {
    setsid();
  } else {
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  dup2(input, STDIN_FILENO);
  dup2(output, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  close_range(STDERR_FILENO + 1, ~0U, 0);
  execve(argv[0], argv.data(), environment.data());
  _exit(not_started_code);
}

}  // namespace

Result<ChildProcess> ChildProcess::start(const ChildOptions& options) {
  const Descriptor input(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const Descriptor output(open_for_output(options.output_file));
  const Descriptor log(open_for_output(options.log_file));
  if (input.number() < 0 || output.number() < 0 || log.number() < 0) {
    return Error{ErrorCode::unavailable, "cannot open the output files of " + options.argv[0] +
                                             ": " + std::strerror(errno)};
  }
  std::vector<std::string> arguments = options.argv;
  std::vector<std::string> variables = merged_environment(options.environment);
  const std::vector<char*> argv = pointers(arguments);
  const std::vector<char*> environment = pointers(variables);
  const pid_t pid = fork();
  if (pid == 0) {
    become(argv, environment, input.number(), output.number(), log.number(), options.detached);
  }
  if (pid < 0) {
    return Error{ErrorCode::unavailable,
                 "cannot start " + options.argv[0] + ": " + std::strerror(errno)};
  }
  return ChildProcess(pid, options.detached);
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(other.pid_), detached_(other.detached_), exit_code_(other.exit_code_) {
  other.pid_ = -1;
}

ChildProcess::~ChildProcess() {
  if (pid_ > 0 && !detached_) end(std::chrono::seconds(2));
}

std::optional<int> ChildProcess::exit_code() {
  if (exit_code_ || pid_ <= 0) return exit_code_;
  int status = 0;
  const pid_t ended = waitpid(pid_, &status, WNOHANG);
  if (ended == pid_) {
    exit_code_ = WIFSIGNALED(status) ? signal_base + WTERMSIG(status) : WEXITSTATUS(status);
  }
  return exit_code_;
}

bool ChildProcess::running() {
  return pid_ > 0 && !exit_code();
}

std::optional<int> ChildProcess::wait_for_exit(std::chrono::milliseconds limit) {
  const auto until = Clock::now() + limit;
  while (running() && Clock::now() < until) std::this_thread::sleep_for(look_pause);
  return exit_code();
}

void ChildProcess::signal(int number) {
  // An ended child that was reaped has lost its number to others.
  if (running()) kill(pid_, number);
}

void ChildProcess::end(std::chrono::milliseconds grace) {
  signal(SIGTERM);
  if (wait_for_exit(grace)) return;
  signal(SIGKILL);
  wait_for_exit(std::chrono::seconds(5));
}

Result<ProgramAnswer> run_to_end(std::vector<std::string> argv, const std::string& files,
                                 std::chrono::milliseconds limit) {
  ChildOptions options;
  options.argv = std::move(argv);
  options.output_file = files + ".out";
  options.log_file = files + ".log";
  for (const std::string& file : {options.output_file, options.log_file}) {
    std::error_code failure;
    std::filesystem::remove(file, failure);
  }
  Result<ChildProcess> child = ChildProcess::start(options);
  if (!child) return child.error();
  const std::optional<int> code = child->wait_for_exit(limit);
  if (!code) return Error{ErrorCode::unavailable, options.argv[0] + " did not end in time"};
  return ProgramAnswer{*code, file_text(options.output_file), file_text(options.log_file)};
}

std::string own_executable() {
  std::error_code failure;
  const auto path = std::filesystem::read_symlink("/proc/self/exe", failure);
  return failure ? std::string("/proc/self/exe") : path.string();
}

Result<int> free_port() {
  const Descriptor listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  if (listener.number() < 0 || bind(listener.number(), any, size) != 0 ||
      getsockname(listener.number(), any, &size) != 0) {
    return Error{ErrorCode::unavailable,
                 std::string("no free port on 127.0.0.1: ") + std::strerror(errno)};
  }
  return static_cast<int>(ntohs(address.sin_port));
}

std::string file_text(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

}  // namespace selfheal
