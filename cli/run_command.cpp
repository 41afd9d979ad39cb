// `selfheal run`: the service.
#include <malloc.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>

#include "actors/hang_watch.hpp"
#include "actors/service.hpp"
#include "api/http_server.hpp"
#include "cli/commands.hpp"
#include "storage/snapshot.hpp"

namespace selfheal {
namespace {

constexpr DurationMs stop_wait_ms = 2000;

// Blocks SIGTERM, SIGINT and SIGHUP in every thread started after it, so that one thread can wait
// for them.
sigset_t block_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return set;
}

// A bus that is away at the start is waited for: the healing path must come up by itself. False:
// told to stop meanwhile.
Result<bool> wait_for_topics(Environment& environment, const sigset_t& signals) {
  using Clock = std::chrono::steady_clock;
  constexpr timespec pause{2, 0};
  // A broker that is there answers sooner: one that is away may come up while it is being asked.
  constexpr auto answer_time_max = std::chrono::seconds(1);
  const Clock::time_point began = Clock::now();
  while (true) {
    const Result<std::int32_t> partitions = environment.log->partitions(environment.topics.journal);
    if (partitions) {
      if (*partitions < environment.topics.partitions) {
        return Error{ErrorCode::refused, environment.topics.journal + " has " +
                                             std::to_string(*partitions) +
                                             " partitions and topics.partitions says " +
                                             std::to_string(environment.topics.partitions)};
      }
      return true;
    }
    // A broker that has only just come up may still be given its topics.
    const bool waited = Clock::now() - began > answer_time_max;
    if (partitions.error().code == ErrorCode::not_found && !waited) {
      return partitions.error().within("run `selfheal topics create` first");
    }
    spdlog::warn("waiting for the bus: {}", partitions.error().context);
    const int got = sigtimedwait(&signals, nullptr, &pause);
    if (got == SIGTERM || got == SIGINT) return false;
  }
}

// How long a restore from the newest snapshot stays possible; null where there is none.
Json headroom(TimeMs snapshot_ms) {
  if (snapshot_ms == 0) return nullptr;
  return (inputs_kept_ms - (wall_clock_ms() - snapshot_ms)) / 1000;
}

void reload(const ConfigOptions& options, const Environment& environment, Service& service) {
  const Result<LoadedConfig> loaded = load(options);
  const Result<Settings> settings =
      loaded ? build_settings(loaded->config) : Result<Settings>(loaded.error());
  if (!settings) {
    spdlog::error("reload: {}; the settings in force stay", settings.error().context);
    return;
  }
  const std::string content = settings_text(*settings);
  if (!may_claim(content, environment.journal_public_key)) {
    spdlog::error(
        "reload: keys_dir names journal keys, and not this process's own: it would lock "
        "itself out of its journal; the settings in force stay");
    return;
  }
  service.activate(content);
  spdlog::info("reload: other settings take effect at each shard's next cut");
}

// glibc gives each busy thread a heap of its own and keeps what is freed in it: a few are enough,
// and a third less memory. What is fetched and saved comes in blocks of a megabyte that would leave
// holes in the heaps: they go back to the system instead, at a hundredth of the processor time.
void share_heaps() {
  constexpr int heaps_max = 3;
  constexpr int large_bytes = 256 << 10;  // set by hand, it stays; else each free may raise it
  mallopt(M_ARENA_MAX, heaps_max);
  mallopt(M_MMAP_THRESHOLD, large_bytes);
}

Exit run(const ConfigOptions& options) {
  share_heaps();
  const sigset_t signals = block_signals();
  const Result<LoadedConfig> loaded = load(options);
  if (!loaded) return fail(loaded.error());
  const ServiceConfig& config = loaded->config;
  const Result<TrustedAutomation> automation =
      load_automation(config.automation, process_environment);
  if (!automation) return fail(automation.error(), Exit::wrong_usage);
  Result<Assembly> assembly = assemble(*loaded);
  if (!assembly) {
    const bool damaged = assembly.error().code == ErrorCode::corrupt;
    return fail(assembly.error(), damaged ? Exit::did_not_hold : Exit::wrong_usage);
  }
  Environment& environment = *assembly->environment;
  if (!assembly->first_keys.operator_file.empty()) {
    spdlog::info("made the first operator key: {}", assembly->first_keys.operator_file);
  }
  std::atomic<bool> must_end = false;
  environment.replaced = [&must_end](const std::string& why) {
    if (must_end.exchange(true)) return;
    spdlog::critical("{}", why);
    kill(getpid(), SIGTERM);
  };
  const HangWatch watch(config.cut_timeout.ms);
  Service service(assembly->environment);
  HttpServer server({.listen = config.http.listen,
                     .environment = assembly->environment,
                     .keys_dir = config.keys_dir,
                     .bus_kind = config.bus.kind,
                     .automation = *automation,
                     .shards =
                         [&] {
                           std::vector<Json> states;
                           for (const ShardStatus& shard : service.shards()) {
                             states.push_back(
                                 Json{{"shard", shard.shard},
                                      {"state", shard.state},
                                      {"reason", shard.reason},
                                      {"unsaved", shard.unsaved},
                                      {"owner", shard.owner},
                                      {"owner_until_ms", shard.owner_until_ms},
                                      {"snapshot_headroom_seconds", headroom(shard.snapshot_ms)}});
                           }
                           return states;
                         },
                     .ready = [&] { return service.ready(); }});
  const Result<std::string> address = server.start();
  if (!address) return fail(address.error(), Exit::wrong_usage);
  const Result<bool> topics = wait_for_topics(environment, signals);
  if (!topics) return fail(topics.error());
  if (!*topics) return Exit::done;  // nothing has begun
  service.start();
  constexpr timespec short_pause{0, 20'000'000};
  bool announced = false;
  while (true) {
    const timespec pause = announced ? timespec{3600, 0} : short_pause;
    const int got = sigtimedwait(&signals, nullptr, &pause);
    if (got == SIGTERM || got == SIGINT) break;
    if (got == SIGHUP) reload(options, environment, service);
    if (!announced && service.ready()) {
      announced = true;
      std::cout << "ready http=" << *address << " bus=" << environment.log->describe()
                << " mode=" << assembly->settings.mode << std::endl;
    }
  }
  server.stop();
  service.stop();
  const Result<void> written = environment.store->flush();
  if (!written) spdlog::warn("{}", written.error().context);
  static_cast<void>(environment.log->flush(stop_wait_ms));
  // Steps that still run belong to their shims and are found again at the next start: their threads
  // are not waited for, and everything that has to last has been written.
  std::cout.flush();
  std::_Exit(static_cast<int>(must_end ? Exit::did_not_hold : Exit::done));
}

}  // namespace

void add_run_command(CLI::App& application, Action& action) {
  CLI::App* command = application.add_subcommand("run", "Runs the service until SIGTERM");
  auto options = std::make_shared<ConfigOptions>();
  add_config_options(*command, *options);
  command->callback([&action, options] { action = [options] { return run(*options); }; });
}

}  // namespace selfheal
