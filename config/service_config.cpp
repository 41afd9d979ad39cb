#include "config/service_config.hpp"

#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>

#include "base/parse_number.hpp"
#include "config/time_zones.hpp"
#include "config/yaml_reader.hpp"

namespace selfheal {
namespace {

namespace fs = std::filesystem;

constexpr const char* default_directory = "/etc/selfheal";

// The names of T's members along a dotted path. A map's keys may hold dots themselves, as those of
// librdkafka do.
template <class T>
void split_path(std::string_view path, std::vector<std::string>& names) {
  if constexpr (json_detail::is_map<T>::value) {
    names.emplace_back(path);
  } else {
    const std::size_t dot = path.find('.');
    names.emplace_back(path.substr(0, dot));
    if (dot == std::string_view::npos) return;
    const std::string_view rest = path.substr(dot + 1);
    bool known = false;
    if constexpr (HasFields<T>) {
      for_each_field<T>([&](const auto& each) {
        if (each.name != names.back() || known) return;
        known = true;
        using Member = std::remove_cvref_t<decltype(std::declval<T&>().*each.member)>;
        split_path<Member>(rest, names);
      });
    }
    if (!known) names.emplace_back(rest);
  }
}

Result<YamlNode> override_value(const std::string& text, const std::string& place) {
  // Only what looks like a list, a mapping or a quoted text is YAML: "#" and ": " stay text.
  if (!text.empty() && std::string_view("[{\"'").find(text[0]) != std::string_view::npos) {
    Result<YamlNode> node = parse_yaml(text, place);
    // Its line 1 would be no help.
    if (node) node->line = 0;
    return node;
  }
  YamlNode node;
  node.kind = YamlNode::Kind::scalar;
  node.text = text;
  return node;
}

// An override becomes the tree that a file with this one key would give, so that both have the same
// rules and messages.
Result<void> apply_override(const std::string& text, ServiceConfig& config) {
  const std::string place = "--set " + text;
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    return Error{ErrorCode::invalid, place + ": must be key=value, such as limits.x=3"};
  }
  Result<YamlNode> node = override_value(text.substr(equals + 1), place);
  if (!node) return node.error();
  std::vector<std::string> names;
  split_path<ServiceConfig>(std::string_view(text).substr(0, equals), names);
  YamlNode tree = std::move(*node);
  // A map is added to; it is replaced only where it is given whole.
  if (names.size() == 3 && names[0] == "bus" && names[1] == "properties") {
    return yaml_detail::read_text(tree, yaml_detail::Place{place, names[2]},
                                  config.bus.properties[names[2]]);
  }
  if (names.size() == 3 && names[0] == "predictor" && names[1] == "alert_codes") {
    return yaml_detail::read_text(tree, yaml_detail::Place{place, names[2]},
                                  config.predictor.alert_codes[names[2]]);
  }
  for (auto name = names.rbegin(); name != names.rend(); ++name) {
    YamlNode outer;
    outer.kind = YamlNode::Kind::map;
    outer.keys.push_back({*name, 0});
    outer.items.push_back(std::move(tree));
    tree = std::move(outer);
  }
  return read_yaml_node(tree, place, config);
}

struct PathMember {
  const char* key;
  std::string ServiceConfig::*member;
  bool optional;  // the default need not be there
};
constexpr std::array<PathMember, 6> path_members = {{
    {"data_dir", &ServiceConfig::data_dir, false},
    {"playbooks_dir", &ServiceConfig::playbooks_dir, true},
    {"policies_file", &ServiceConfig::policies_file, true},
    {"graph_file", &ServiceConfig::graph_file, true},
    {"keys_dir", &ServiceConfig::keys_dir, false},
    {"actions_dir", &ServiceConfig::actions_dir, false},
}};

// A service that changes its folder, or whose files are named in a log, must mean the same files.
void make_absolute(ServiceConfig& config, const fs::path& base) {
  for (const PathMember& path : path_members) {
    std::string& value = config.*path.member;
    if (!value.empty()) value = (base / value).lexically_normal().string();
  }
  std::string& secret = config.automation.secret_file;
  if (!secret.empty()) secret = (base / secret).lexically_normal().string();
}

Result<void> read_config_file(const std::string& file, ServiceConfig& config) {
  const Result<std::string> text = read_text_file(file);
  if (!text) return text.error();
  const Result<YamlNode> node = parse_yaml(*text, file);
  if (!node) return node.error();
  Result<void> done = read_yaml_node(*node, file, config);
  if (!done) return done;
  std::error_code failure;
  make_absolute(config, fs::absolute(file, failure).parent_path());
  for (const PathMember& path : path_members) {
    std::string& value = config.*path.member;
    if (path.optional && node->find(path.key) == nullptr && !fs::exists(value, failure)) {
      value.clear();
    }
  }
  return {};
}

// A first try needs no files at all.
void use_default_paths(ServiceConfig& config) {
  make_absolute(config, default_directory);
  std::error_code failure;
  for (const PathMember& path : path_members) {
    std::string& value = config.*path.member;
    if (path.optional && !fs::exists(value, failure)) value.clear();
  }
}

// A mistyped switch must not be taken for "not set": it may be the one that forbids acting.
Result<std::optional<bool>> environment_switch(const EnvironmentLookup& environment,
                                               const std::string& name) {
  const std::optional<std::string> text = environment(name);
  if (!text || text->empty()) return std::optional<bool>();
  const Result<bool> value = parse_switch(*text);
  if (!value) return value.error().within(name);
  return std::optional<bool>(*value);
}

Result<void> apply_environment(const EnvironmentLookup& environment, ServiceConfig& config) {
  constexpr std::array<const char*, 4> names = {"SELF_HEAL_OBSERVE_ONLY", "SELF_HEAL_EXECUTE",
                                                "SELF_HEAL_PREDICTIVE_SHADOW",
                                                "SELF_HEAL_AUTOPROVE_LOW_RISK"};
  std::array<std::optional<bool>, names.size()> values;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const Result<std::optional<bool>> value = environment_switch(environment, names[i]);
    if (!value) return value.error();
    values[i] = *value;
  }
  const auto& [observe, execute, shadow, autoprove] = values;
  if (execute) config.mode = *execute ? "execute" : "dry_run";
  // Observing is the stronger wish, whichever of the two was set first.
  if (observe && *observe) config.mode = "observe";
  if (shadow) config.predictive_shadow = *shadow;
  if (autoprove) config.approval.auto_approve_low_risk = *autoprove;
  return {};
}

// What Kafka allows in a topic's name, with room for the rest of the name.
bool is_topic_prefix(const std::string& prefix) {
  return !prefix.empty() && prefix.size() <= 200 && prefix.front() != '.' &&
         std::ranges::all_of(prefix, [](char each) {
           return (each >= 'a' && each <= 'z') || (each >= 'A' && each <= 'Z') ||
                  (each >= '0' && each <= '9') || each == '_' || each == '-' || each == '.';
         });
}

// The last colon: an IPv6 address has others.
bool is_address(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0) return false;
  return parse_number<std::uint16_t>(std::string_view(text).substr(colon + 1)).has_value();
}

// What the type cannot say. The first problem wins.
Result<void> check(const ServiceConfig& config) {
  const auto bad = [](const std::string& what) { return Error{ErrorCode::invalid, what}; };
  if (config.bus.kind != "embedded" && config.bus.kind != "kafka") {
    return bad("bus.kind must be embedded or kafka, not '" + config.bus.kind + "'");
  }
  if (config.bus.kind == "kafka" && config.bus.brokers.empty()) {
    return bad("bus.brokers is needed where bus.kind is kafka");
  }
  if (!is_topic_prefix(config.topics.prefix)) {
    return bad("topics.prefix must be letters, digits, '.', '_' and '-', not '" +
               config.topics.prefix + "'");
  }
  if (config.topics.partitions < 1 || config.topics.partitions > 1024) {
    return bad("topics.partitions must be from 1 to 1024, not " +
               std::to_string(config.topics.partitions));
  }
  if (!is_address(config.http.listen)) {
    return bad("http.listen must be host:port, not '" + config.http.listen + "'");
  }
  if (config.data_dir.empty()) return bad("data_dir is empty");
  if (config.cut_budget_us < 1 || config.cut_budget_us > 1'000'000) {
    return bad("cut_budget_us must be from 1 to 1000000, not " +
               std::to_string(config.cut_budget_us));
  }
  if (config.cut_timeout.ms < one_second_ms || config.cut_timeout.ms > one_hour_ms) {
    return bad("cut_timeout must be from 1s to 1h");
  }
  const ClusterConfig& cluster = config.cluster;
  constexpr DurationMs interval_ms_min = 20;
  constexpr DurationMs interval_ms_max = 10'000;
  constexpr DurationMs timeout_ms_max = 60'000;
  if (cluster.heartbeat_interval.ms < interval_ms_min ||
      cluster.heartbeat_interval.ms > interval_ms_max) {
    return bad("cluster.heartbeat_interval must be from 20ms to 10s");
  }
  if (cluster.heartbeat_timeout.ms < 3 * cluster.heartbeat_interval.ms ||
      cluster.heartbeat_timeout.ms > timeout_ms_max) {
    return bad("cluster.heartbeat_timeout must be at least three intervals and at most 60s");
  }
  if (cluster.balance_after.ms < 0 || cluster.balance_after.ms > one_hour_ms) {
    return bad("cluster.balance_after must be at most 1h");
  }
  constexpr DurationMs snapshot_ms_min = 10'000;
  constexpr DurationMs snapshot_ms_max = 42 * one_hour_ms;
  if (config.snapshot.interval.ms < snapshot_ms_min ||
      config.snapshot.interval.ms > snapshot_ms_max) {
    return bad("snapshot.interval must be from 10s to 42h");
  }
  if (config.snapshot.records < 1000) return bad("snapshot.records must be at least 1000");
  if (config.save_interval.ms <= 0 || config.save_interval.ms > one_hour_ms) {
    return bad("save_interval must be above 0s and at most 1h");
  }
  return validate(decision_settings(config));
}

std::string host_name() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "localhost";
  return name.data();
}

}  // namespace

Settings decision_settings(const ServiceConfig& config) {
  Settings settings;
  settings.mode = config.mode;
  settings.predictive_shadow = config.predictive_shadow;
  settings.predictor = config.predictor;
  settings.choice = config.choice;
  settings.approval = config.approval;
  settings.change_windows = config.change_windows;
  settings.time_zones = zones_of(config.change_windows);
  settings.limits = config.limits;
  settings.breaker = config.breaker;
  settings.silence = config.silence;
  settings.run = config.run;
  return settings;
}

std::optional<std::string> process_environment(const std::string& name) {
  const char* const value = std::getenv(name.c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

Result<LoadedConfig> load_config(const std::optional<std::string>& file,
                                 const std::vector<std::string>& overrides,
                                 const EnvironmentLookup& environment) {
  LoadedConfig loaded{.file = file.value_or("")};
  ServiceConfig& config = loaded.config;
  if (file) {
    const Result<void> read = read_config_file(*file, config);
    if (!read) return read.error();
    // Checked before anything is laid over it, so that a mistake is blamed on its own place.
    const Result<void> checked = check(config);
    if (!checked) return checked.error().within(*file);
  } else {
    use_default_paths(config);
  }
  for (const std::string& text : overrides) {
    const Result<void> done = apply_override(text, config);
    if (!done) return done.error();
  }
  std::error_code failure;
  make_absolute(config, fs::current_path(failure));
  const Result<void> switched = apply_environment(environment, config);
  if (!switched) return switched.error();
  // Overrides may depend on each other, so they are checked together.
  const Result<void> checked = check(config);
  if (!checked) return checked.error().within(overrides.empty() ? "configuration" : "--set");
  loaded.instance_is_named = !config.instance.empty();
  if (config.instance.empty()) config.instance = host_name();
  if (config.keys_dir.empty()) config.keys_dir = (fs::path(config.data_dir) / "keys").string();
  if (config.actions_dir.empty()) {
    config.actions_dir = (fs::path(config.data_dir) / "actions").string();
  }
  return loaded;
}

}  // namespace selfheal
