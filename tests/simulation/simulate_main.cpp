// Many schedules of the simulated cluster, long or short ones: see usage. Every twentieth seed runs
// twice and must give the same digest. Prints the seed first, and of each finding the command that
// shows it again.
#include <malloc.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <iomanip>
#include <iostream>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/simulation/simulation.hpp"

namespace {

using selfheal::simulation::ScheduleShape;
using selfheal::simulation::SimulationReport;

constexpr std::string_view usage =
    "Usage: selfheal_simulate [--seed S] [--schedules N] [--minutes M] [--jobs J] [--short]\n"
    "  --seed S       the first seed; the others follow it (default 1)\n"
    "  --schedules N  how many (default 100)\n"
    "  --minutes M    end after so long, however many have run by then\n"
    "  --jobs J       threads (default: one a core)\n"
    "  --short        short schedules: about one incident each, with faults around it\n"
    "Exit 0 without findings, 1 with any, 2 for arguments that are not understood.\n";

struct Options {
  std::uint64_t seed = 1;
  std::uint64_t schedules = 100;
  double minutes = 0;  // 0: no limit
  unsigned jobs = std::max(1U, std::thread::hardware_concurrency());
  bool are_short = false;
  bool help = false;

  const ScheduleShape& shape() const {
    return are_short ? selfheal::simulation::short_schedule : selfheal::simulation::long_schedule;
  }
};

// Of an argument that is a number as a whole.
template <typename Number>
bool read_number(std::string_view text, Number& number) {
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  return read.ec == std::errc() && read.ptr == text.data() + text.size();
}

// Nothing: an argument is not understood, and has been named.
std::optional<Options> options_of(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    const std::string_view value = i + 1 < argc ? argv[i + 1] : "";
    bool understood = true;
    if (name == "--short") {
      options.are_short = true;
      continue;
    }
    if (name == "--help" || name == "-h") {
      options.help = true;
      continue;
    }
    if (name == "--seed") {
      understood = read_number(value, options.seed);
    } else if (name == "--schedules") {
      understood = read_number(value, options.schedules);
    } else if (name == "--minutes") {
      understood = read_number(value, options.minutes);
    } else if (name == "--jobs") {
      understood = read_number(value, options.jobs);
    } else {
      std::cerr << "selfheal_simulate: unknown argument '" << name << "'; try --help" << std::endl;
      return std::nullopt;
    }
    if (!understood) {
      std::cerr << "selfheal_simulate: " << name << " needs a number" << std::endl;
      return std::nullopt;
    }
    ++i;
  }
  options.jobs = std::max(1U, options.jobs);
  return options;
}

double cpu_seconds() {
  timespec used{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) * 1e-9;
}

// The seeds of one run, taken one by one by its threads, and what came of them.
class Run {
 public:
  explicit Run(const Options& options) : options_(options) {}

  void work() {
    while (true) {
      const std::uint64_t taken = next_++;
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin_;
      const bool late = options_.minutes > 0 && took.count() > options_.minutes * 60;
      if (taken >= options_.schedules || late || bad_ >= bad_max) return;
      const std::uint64_t seed = options_.seed + taken;
      SimulationReport report = selfheal::simulation::simulate(seed, options_.shape());
      // A hidden clock, thread or hash order would show as another digest.
      if (taken % 20 == 0 &&
          selfheal::simulation::simulate(seed, options_.shape()).digest != report.digest) {
        report.findings.push_back("the second run of this seed decided something else");
      }
      add(seed, report);
    }
  }

  bool finish() const {
    const double cpu_ms =
        cpu_seconds() * 1000 / static_cast<double>(std::max<std::uint64_t>(1, done_));
    std::cout << done_ << " schedules (" << (options_.are_short ? done_ : 0) << " of them short), "
              << bad_ << " with findings; " << sum_.incidents << " incidents, " << sum_.decisions
              << " decisions, " << sum_.effects << " effects (" << sum_.effects_among_faults
              << " while faults went on), " << sum_.in_doubt << " in doubt (" << sum_.doubts_ended
              << " ended by a person), " << sum_.claims << " claims, " << sum_.crashes
              << " crashes, " << sum_.rewritten << " rewritten journals refused, "
              << sum_.zombie_appends << " appends by replaced owners ignored, " << sum_.poisoned
              << " poisonous records, " << sum_.failed_cuts << " failed cuts, " << sum_.locks
              << " locks, " << sum_.lock_waits << " waits for one, " << sum_.suspicions
              << " inputs suspected, " << sum_.disks_lost << " lost disks, "
              << sum_.snapshots_written << " snapshots, " << sum_.snapshots_restored
              << " restored from, " << sum_.snapshots_refused << " refused, " << sum_.orders
              << " orders to claim, " << sum_.reloads << " reloads; digest " << std::hex
              << sum_.digest << std::dec << "\n"
              << std::fixed << std::setprecision(2) << cpu_ms << " ms CPU a schedule, "
              << options_.jobs << " jobs" << std::endl;
    return bad_ == 0;
  }

 private:
  static constexpr std::uint64_t bad_max = 10;

  void add(std::uint64_t seed, const SimulationReport& report) {
    const std::lock_guard lock(mutex_);
    ++done_;
    sum_ += report;
    if (done_ % 1000 == 0) std::cerr << done_ << " schedules" << std::endl;
    if (report.findings.empty()) return;
    ++bad_;
    std::cout << "seed " << seed << ", " << report.findings.size() << " findings:\n";
    for (const std::string& finding : report.findings) {
      std::cout << "  " << finding.substr(0, 3000) << "\n";
    }
    std::cout << "  again: selfheal_simulate --seed " << seed << " --schedules 1"
              << (options_.are_short ? " --short" : "") << std::endl;
  }

  const Options options_;
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  std::atomic<std::uint64_t> next_{0};
  std::atomic<std::uint64_t> bad_{0};
  std::mutex mutex_;
  std::uint64_t done_ = 0;
  SimulationReport sum_;
};

}  // namespace

int main(int argc, char** argv) {
  const std::optional<Options> understood = options_of(argc, argv);
  if (!understood) return 2;
  const Options& options = *understood;
  if (options.help) {
    std::cout << usage;
    return 0;
  }
  // A schedule's memory is wanted again at once by the next one: handing it back costs more.
  mallopt(M_TRIM_THRESHOLD, 256 << 20);
  mallopt(M_MMAP_THRESHOLD, 256 << 20);
  mallopt(M_TOP_PAD, 16 << 20);
  std::cout << "seed " << options.seed << ", " << options.schedules
            << (options.are_short ? " short schedules" : " schedules") << std::endl;
  Run run(options);
  std::vector<std::thread> threads;
  // One job needs no thread: as long as there is only one, locks and shared pointers cost less.
  for (unsigned job = 1; job < options.jobs; ++job) threads.emplace_back([&run] { run.work(); });
  run.work();
  for (std::thread& thread : threads) thread.join();
  return run.finish() ? 0 : 1;
}
