#include "actors/crash_mark.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "actors/hang_watch.hpp"

namespace selfheal {
namespace {

constexpr std::array<int, 5> fatal_signals = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

struct CurrentCut {
  std::int64_t shard;
  std::array<std::int64_t, 4> offsets;
  const char* stage;
};

// Read by a handler that runs on the same thread.
thread_local CurrentCut current{};
thread_local volatile sig_atomic_t is_deciding = 0;
std::atomic<int> mark_file{-1};

// Appends to a buffer that is large enough; only what a signal handler may do.
char* append(char* out, std::int64_t value) {
  if (value < 0) {
    *out++ = '-';
    value = -value;
  }
  std::array<char, 20> digits;
  std::size_t count = 0;
  do {
    digits[count++] = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value > 0);
  while (count > 0) *out++ = digits[--count];
  *out++ = ' ';
  return out;
}

void on_crash(int signal_number) {
  const int file = mark_file.load();
  if (is_deciding != 0 && file >= 0) {
    std::array<char, 256> line;
    char* out = append(line.data(), current.shard);
    for (const std::int64_t offset : current.offsets) out = append(out, offset);
    constexpr std::size_t stage_size_max = 64;
    for (std::size_t i = 0; i < stage_size_max && current.stage[i] != '\0'; ++i) {
      *out++ = current.stage[i];
    }
    *out++ = '\n';
    if (write(file, line.data(), static_cast<std::size_t>(out - line.data())) > 0) fsync(file);
  }
  // The default action is back (SA_RESETHAND): the process ends as it would have.
  raise(signal_number);
}

void install_handlers() {
  struct sigaction action {};
  action.sa_handler = on_crash;
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_NODEFER);
  sigemptyset(&action.sa_mask);
  for (const int each : fatal_signals) sigaction(each, &action, nullptr);
}

}  // namespace

CrashScope::CrashScope(std::int64_t shard, const Cut& cut, const char* stage) {
  current = {
      shard, {cut.signals_begin, cut.signals_end, cut.control_begin, cut.control_end}, stage};
  is_deciding = 1;
  note_work();
}

CrashScope::~CrashScope() {
  note_work();
  is_deciding = 0;
}

Result<std::shared_ptr<CrashMarks>> CrashMarks::open(const std::string& folder) {
  const std::string path = folder + "/crashed_cuts";
  auto marks = std::make_shared<CrashMarks>();
  std::ifstream stream(path);
  for (std::string line; std::getline(stream, line);) {
    std::istringstream words(line);
    std::int64_t shard = 0;
    CrashedCut crashed;
    Cut& cut = crashed.cut;
    words >> shard >> cut.signals_begin >> cut.signals_end >> cut.control_begin >>
        cut.control_end >> crashed.stage;
    // A line that was cut short names nothing.
    if (words) marks->cuts_[shard] = std::move(crashed);
  }
  const int file = ::open(path.c_str(), O_CREAT | O_WRONLY | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
  if (file < 0) {
    return Error{ErrorCode::unavailable, "cannot write " + path + ": " + std::strerror(errno)};
  }
  const int before = mark_file.exchange(file);
  if (before >= 0) close(before);
  install_handlers();
  return marks;
}

std::optional<CrashedCut> CrashMarks::take(std::int64_t shard) {
  const std::lock_guard lock(mutex_);
  const auto found = cuts_.find(shard);
  if (found == cuts_.end()) return std::nullopt;
  CrashedCut crashed = std::move(found->second);
  cuts_.erase(found);
  return crashed;
}

}  // namespace selfheal
