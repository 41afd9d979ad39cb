// `selfheal doctor`: checks what the service needs, and says what to do where it does not hold.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "cli/commands.hpp"
#include "config/keys.hpp"
#include "storage/snapshot.hpp"
#include "topics/topic_table.hpp"

namespace selfheal {
namespace {

struct Finding {
  std::string check;
  bool holds = true;
  std::string found;
  std::string remedy;
};

Finding check_disk(const ServiceConfig& config) {
  Finding finding{.check = "data_dir can be written"};
  finding.found = config.data_dir;
  finding.remedy = "make the folder writable, or name another data_dir";
  std::error_code failure;
  std::filesystem::create_directories(config.data_dir, failure);
  const std::string probe = config.data_dir + "/.doctor";
  std::ofstream stream(probe);
  stream << "x";
  stream.close();
  finding.holds = !failure && stream.good();
  std::filesystem::remove(probe, failure);
  return finding;
}

Finding check_space(const ServiceConfig& config) {
  constexpr std::uintmax_t bytes_min = 256ULL << 20;
  Finding finding{.check = "space in data_dir"};
  finding.remedy = "free at least 256 MiB: with a full disk the service stops acting";
  std::error_code failure;
  const auto space = std::filesystem::space(config.data_dir, failure);
  finding.holds = !failure && space.available >= bytes_min;
  finding.found = failure ? failure.message() : std::to_string(space.available >> 20) + " MiB";
  return finding;
}

Finding check_settings(const ServiceConfig& config) {
  Finding finding{.check = "playbooks, policies, graph and keys"};
  const Result<Settings> settings = build_settings(config);
  finding.holds = settings.has_value();
  finding.found = settings ? std::to_string(settings->playbooks.size()) + " playbooks, " +
                                 std::to_string(settings->policies.size()) + " policies, " +
                                 std::to_string(settings->graph.services.size()) + " services"
                           : settings.error().context;
  finding.remedy = "selfheal config check names the file and the line";
  return finding;
}

Finding check_operator(const ServiceConfig& config) {
  Finding finding{.check = "somebody can approve"};
  finding.remedy = "selfheal keys new --role operator NAME";
  const Result<std::vector<PublicKey>> keys = list_keys(config.keys_dir);
  finding.holds = false;
  finding.found = keys ? "no operator key in " + config.keys_dir : keys.error().context;
  if (!keys) return finding;
  if (keys->empty()) {
    // Nothing is wrong with a new installation: the first start makes a key and says where.
    finding.holds = true;
    finding.found = "no key yet: selfheal run makes a first operator key";
  }
  for (const PublicKey& key : *keys) {
    if (key.role != "operator" && key.role != "admin") continue;
    finding.holds = true;
    finding.found = "key " + key.name;
  }
  return finding;
}

// A partition that has just been made has no leader for a moment, which is nothing to be told of.
template <class Ask>
auto ask_patiently(const Ask& ask) {
  using Clock = std::chrono::steady_clock;
  constexpr auto patience = std::chrono::seconds(5);
  constexpr auto pause = std::chrono::milliseconds(200);
  const Clock::time_point began = Clock::now();
  auto answer = ask();
  while (!answer && answer.error().code == ErrorCode::unavailable &&
         Clock::now() - began < patience) {
    std::this_thread::sleep_for(pause);
    answer = ask();
  }
  return answer;
}

// Of every shard one that is young enough, or a journal that is whole: else an empty disk could not
// be restored.
Finding check_snapshots(const ServiceConfig& config, Log& log) {
  Finding finding{.check = "snapshots"};
  finding.remedy = "see to it that a process owns every shard: it writes them by itself";
  std::vector<std::string> keys;
  const Result<std::vector<PublicKey>> listed = list_keys(config.keys_dir);
  for (const PublicKey& key : listed ? *listed : std::vector<PublicKey>{}) {
    if (key.role == "shard") keys.push_back(key.public_key);
  }
  const TopicNames topics = topic_names(config.topics.prefix, config.topics.partitions);
  std::int64_t whole = 0;  // without one, and with a journal from its beginning on
  std::int64_t lost = 0;   // without either
  DurationMs oldest_ms = 0;
  const std::int64_t shards = config.topics.partitions + 1;  // the last one is the fleet's
  for (std::int64_t shard = 0; shard < shards; ++shard) {
    const TopicPartition journal = topics.journal_of(shard);
    const auto range = ask_patiently([&] { return log.range(journal); });
    const auto pointer = ask_patiently([&] { return find_snapshot(log, topics, shard, keys); });
    if (!range || !pointer) {
      finding.holds = false;
      finding.remedy = "see to it that every partition has a leader";
      finding.found = range ? pointer.error().context : range.error().context;
      return finding;
    }
    if (!pointer->has_value()) {
      ++(range->begin > 0 ? lost : whole);
      continue;
    }
    oldest_ms = std::max(oldest_ms, wall_clock_ms() - (*pointer)->append_ms);
  }
  finding.holds = lost == 0 && oldest_ms <= snapshot_age_ms_max;
  const std::int64_t with = shards - whole - lost;
  finding.found = std::to_string(with) + " of " + std::to_string(shards) + " shards have one";
  if (with > 0) finding.found += ", the oldest of " + format_duration(oldest_ms);
  if (whole > 0) {
    finding.found += "; " + std::to_string(whole) + " can be restored from a whole journal";
  }
  if (lost > 0) {
    finding.found +=
        "; " + std::to_string(lost) + " have neither one nor their journal's beginning";
  }
  return finding;
}

// The bus: reachable, with every topic and enough partitions, and a journal that keeps what it
// says.
std::vector<Finding> check_bus(const ServiceConfig& config) {
  std::vector<Finding> findings;
  if (config.bus.kind != "kafka") {
    return {{"bus", true, "embedded in " + data_folders(config).bus, ""}};
  }
  const Result<std::shared_ptr<Log>> log = open_log(config);
  const Result<void> answer = log ? (*log)->ping(5000) : Result<void>(log.error());
  findings.push_back({"kafka answers", answer.has_value(),
                      answer ? config.bus.brokers : answer.error().context,
                      "start it, or correct bus.brokers"});
  if (!answer) return findings;
  for (const TopicSpec& spec :
       topic_specs(config.topics.prefix, static_cast<std::int32_t>(config.topics.partitions))) {
    const Result<std::int32_t> partitions = (*log)->partitions(spec.name);
    const bool holds = partitions && *partitions >= spec.partitions;
    findings.push_back(
        {"topic " + spec.name, holds,
         partitions ? std::to_string(*partitions) + " partitions" : partitions.error().context,
         "selfheal topics create"});
  }
  const bool all_there = std::all_of(findings.begin(), findings.end(),
                                     [](const Finding& finding) { return finding.holds; });
  if (all_there) findings.push_back(check_snapshots(config, **log));
  return findings;
}

Exit doctor(const ConfigOptions& options, bool json) {
  const Result<LoadedConfig> loaded = load(options);
  if (!loaded) return fail(loaded.error());
  const ServiceConfig& config = loaded->config;
  std::vector<Finding> findings = {check_disk(config), check_space(config), check_settings(config),
                                   check_operator(config)};
  for (Finding& finding : check_bus(config)) findings.push_back(std::move(finding));
  bool all = true;
  bool reachable = true;
  for (const Finding& finding : findings) {
    all = all && finding.holds;
    if (finding.check == "kafka answers") reachable = finding.holds;
    if (json) {
      print_line(Json{{"check", finding.check},
                      {"holds", finding.holds},
                      {"found", finding.found},
                      {"remedy", finding.holds ? "" : finding.remedy}});
      continue;
    }
    std::cout << (finding.holds ? "ok    " : "WRONG ") << finding.check << ": " << finding.found
              << "\n";
    if (!finding.holds) std::cout << "      -> " << finding.remedy << "\n";
  }
  if (!reachable) return Exit::unreachable;
  return all ? Exit::done : Exit::did_not_hold;
}

}  // namespace

void add_doctor_command(CLI::App& application, Action& action) {
  CLI::App* command = application.add_subcommand(
      "doctor", "Checks bus, settings, disk and keys, and says what to do");
  auto options = std::make_shared<ConfigOptions>();
  auto json = std::make_shared<bool>(false);
  add_config_options(*command, *options);
  command->add_flag("--json", *json, "One object a line");
  command->callback(
      [&action, options, json] { action = [options, json] { return doctor(*options, *json); }; });
}

}  // namespace selfheal
