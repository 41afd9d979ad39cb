#include "cli/assembly.hpp"

#include <signal.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>

#include "cli/data_identity.hpp"
#include "cli/journal_source.hpp"
#include "storage/embedded_log.hpp"
#include "topics/kafka_log.hpp"

namespace selfheal {
namespace {

Result<void> make_folder(const std::string& folder) {
  std::error_code failure;
  std::filesystem::create_directories(folder, failure);
  if (failure) {
    return Error{ErrorCode::unavailable, "cannot make " + folder + ": " + failure.message() +
                                             "; name a folder that can be written as data_dir"};
  }
  return {};
}

std::string own_program() {
  std::error_code failure;
  const auto path = std::filesystem::read_symlink("/proc/self/exe", failure);
  return failure ? std::string("selfheal") : path.string();
}

// SELFHEAL_FAILPOINT=name[:count] ends the process with SIGKILL at the count-th pass of that point:
// how the tests crash the service at each step of the effect order.
std::function<void(const char*)> failpoints() {
  const char* wanted = std::getenv("SELFHEAL_FAILPOINT");
  if (wanted == nullptr) return [](const char*) {};
  std::string name = wanted;
  int passes = 1;
  if (const std::size_t colon = name.find(':'); colon != std::string::npos) {
    passes = std::atoi(name.c_str() + colon + 1);
    name.resize(colon);
  }
  auto left = std::make_shared<std::atomic<int>>(passes);
  // SELFHEAL_FAILPOINT_CRASH=1: as by a fault of the process itself; SELFHEAL_FAILPOINT_HANG=1: it
  // does not end, and that thread never comes back.
  const bool hangs = std::getenv("SELFHEAL_FAILPOINT_HANG") != nullptr;
  const int how = std::getenv("SELFHEAL_FAILPOINT_CRASH") != nullptr ? SIGABRT : SIGKILL;
  return [name, left, hangs, how](const char* point) {
    if (name != point || --*left != 0) return;
    if (hangs) {
      for (;;) pause();
    }
    raise(how);
  };
}

}  // namespace

Exit exit_for(const Error& error) {
  switch (error.code) {
    case ErrorCode::invalid:
    case ErrorCode::not_found:
      return Exit::wrong_usage;
    case ErrorCode::unavailable:
      return Exit::unreachable;
    default:
      return Exit::did_not_hold;
  }
}

DataFolders data_folders(const ServiceConfig& config) {
  return {config.data_dir + "/bus", config.data_dir + "/state", config.actions_dir,
          config.data_dir + "/secrets"};
}

TimeMs wall_clock_ms() {
  // SELFHEAL_CLOCK_SKEW_MS: how the tests give one process of a cluster a wrong clock.
  static const TimeMs skew_ms = [] {
    const char* wanted = std::getenv("SELFHEAL_CLOCK_SKEW_MS");
    return wanted == nullptr ? TimeMs{0} : TimeMs{std::atoll(wanted)};
  }();
  return skew_ms + std::chrono::duration_cast<std::chrono::milliseconds>(
                       std::chrono::system_clock::now().time_since_epoch())
                       .count();
}

std::string build_name() {
  return "selfheal " SELFHEAL_VERSION;
}

Result<std::shared_ptr<Log>> open_log(const ServiceConfig& config) {
  if (config.bus.kind == "kafka") {
    KafkaOptions options;
    options.brokers = config.bus.brokers;
    options.properties = config.bus.properties;
    options.log = [](int level, std::string_view text) {
      if (level <= 3) spdlog::error("kafka client: {}", text);
      if (level > 3 && level <= 5) spdlog::warn("kafka client: {}", text);
    };
    Result<std::unique_ptr<KafkaLog>> log = KafkaLog::open(std::move(options));
    if (!log) return log.error().within("bus.properties");
    return std::shared_ptr<Log>(std::move(*log));
  }
  const std::string folder = data_folders(config).bus;
  const Result<void> made = make_folder(folder);
  if (!made) return made.error();
  Result<std::unique_ptr<EmbeddedLog>> log = EmbeddedLog::open({folder, wall_clock_ms});
  if (!log) return log.error();
  const Result<void> topics = (*log)->create_topics(
      topic_specs(config.topics.prefix, static_cast<std::int32_t>(config.topics.partitions)));
  if (!topics) return topics.error();
  return std::shared_ptr<Log>(std::move(*log));
}

Result<Assembly> assemble(const LoadedConfig& loaded) {
  const ServiceConfig& config = loaded.config;
  const DataFolders folders = data_folders(config);
  for (const std::string& folder : {folders.state, folders.actions, folders.secrets}) {
    const Result<void> made = make_folder(folder);
    if (!made) return made.error();
  }
  if (const Result<void> own = check_identity(loaded); !own) return own.error();
  Assembly assembly;
  Result<FirstKeys> first = ensure_first_key(config.keys_dir);
  if (!first) return first.error();
  assembly.first_keys = *first;
  Result<Settings> settings = build_settings(config);
  if (!settings) return settings.error();
  assembly.settings = std::move(*settings);
  const Result<SecretKey> journal = load_secret(config.keys_dir, "journal");
  if (!journal) return journal.error();

  auto environment = std::make_shared<Environment>();
  Result<std::unique_ptr<PageStore>> store = open_page_store(folders.state);
  if (!store) return store.error();
  environment->store = std::move(*store);
  Result<std::shared_ptr<Log>> log = open_log(config);
  if (!log) return log.error();
  environment->log = std::move(*log);
  environment->read_model = std::make_shared<ReadModel>(environment->store);
  const Result<void> shown = environment->read_model->load();
  if (!shown) return shown.error();
  environment->metrics = std::make_shared<Metrics>();
  environment->topics_prefix = config.topics.prefix;
  environment->topics = topic_names(config.topics.prefix, config.topics.partitions);
  environment->instance = config.instance;
  environment->build = build_name();
  environment->journal_public_key = journal->public_key;
  environment->journal_secret_key = journal->secret_key;
  environment->forward_key_id = journal->name;
  environment->settings = settings_text(assembly.settings);
  Result<std::shared_ptr<CrashMarks>> marks = CrashMarks::open(config.data_dir);
  if (!marks) return marks.error();
  environment->crash_marks = std::move(*marks);
  environment->actions_folder = folders.actions;
  environment->secrets_folder = folders.secrets;
  environment->program = own_program();
  environment->now_ms = wall_clock_ms;
  environment->make_decoder = fresh_decoder;
  environment->cut_budget_us = config.cut_budget_us;
  environment->save_interval_ms = config.save_interval.ms;
  environment->failpoint = failpoints();
  environment->shard_keys = {journal->public_key};
  for (const KeyEntry& key : assembly.settings.keys) {
    const bool known = key.public_key == journal->public_key;
    if (key.role == "shard" && !known) environment->shard_keys.push_back(key.public_key);
  }
  environment->snapshots = config.bus.kind == "kafka";
  environment->snapshot_interval_ms = config.snapshot.interval.ms;
  environment->snapshot_records = config.snapshot.records;
  environment->alone = config.bus.kind != "kafka";
  environment->heartbeat_interval_ms = config.cluster.heartbeat_interval.ms;
  environment->placement.heartbeat_timeout_ms = config.cluster.heartbeat_timeout.ms;
  environment->placement.balance_after_ms = config.cluster.balance_after.ms;
  assembly.environment = std::move(environment);
  return assembly;
}

Result<LoadedConfig> load(const ConfigOptions& options) {
  Result<LoadedConfig> loaded =
      load_config(options.file.empty() ? std::nullopt : std::optional(options.file),
                  options.overrides, process_environment);
  // Whatever is wrong with it, it is the configuration that is wrong.
  if (!loaded) return Error{ErrorCode::invalid, loaded.error().context};
  return loaded;
}

}  // namespace selfheal
