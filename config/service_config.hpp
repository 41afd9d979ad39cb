#pragma once
// What one process is started with: where its bus, files and listener are, and the settings that
// its decisions depend on. Order: defaults, file, --set, environment switches; later ones win.
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "base/fields.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "decision/settings.hpp"

namespace selfheal {

struct BusConfig {
  std::string kind = "embedded";
  std::string brokers = "127.0.0.1:9092";
  std::map<std::string, std::string> properties;
  static constexpr auto fields() {
    return std::tuple{
        field("kind", &BusConfig::kind, "embedded (durable, in data_dir, one process) or kafka"),
        field("brokers", &BusConfig::brokers, "host:port, separated by commas; of kafka"),
        field("properties", &BusConfig::properties,
              "librdkafka properties by name; each reaches every client that knows it")};
  }
  bool operator==(const BusConfig&) const = default;
};

struct TopicsConfig {
  std::string prefix = "selfheal";
  std::int64_t partitions = 8;
  static constexpr auto fields() {
    return std::tuple{field("prefix", &TopicsConfig::prefix,
                            "in front of every topic's name; one cluster may hold several"),
                      field("partitions", &TopicsConfig::partitions,
                            "shards, 1 to 1024; pinned once the topics are made")};
  }
  bool operator==(const TopicsConfig&) const = default;
};

struct HttpConfig {
  std::string listen = "127.0.0.1:8000";
  static constexpr auto fields() {
    return std::tuple{field("listen", &HttpConfig::listen,
                            "host:port of API, metrics and console; port 0 takes any free one")};
  }
  bool operator==(const HttpConfig&) const = default;
};

// Programs whose changing calls need no confirmation by a person.
struct AutomationConfig {
  std::vector<std::string> models;
  std::string header = "x-selfheal-automation";
  std::string secret_file;
  static constexpr auto fields() {
    return std::tuple{
        field("models", &AutomationConfig::models,
              "model ids that are trusted in the header x-gpt-id"),
        field("header", &AutomationConfig::header, "header in which the shared secret is sent"),
        field("secret_file", &AutomationConfig::secret_file,
              "holds the shared secret, at least 16 characters; empty: none is trusted by one")};
  }
  bool operator==(const AutomationConfig&) const = default;
};

// Several processes on one Kafka: how soon one takes over from another.
struct ClusterConfig {
  Duration heartbeat_interval{100};
  Duration heartbeat_timeout{500};
  Duration balance_after{10000};
  static constexpr auto fields() {
    return std::tuple{
        field("heartbeat_interval", &ClusterConfig::heartbeat_interval,
              "how often a process says that it is there, 20ms to 10s"),
        field(
            "heartbeat_timeout", &ClusterConfig::heartbeat_timeout,
            "silent for so long it is taken for dead and its shards are taken over; at least three "
            "intervals, at most 60s; the same in every process"),
        field("balance_after", &ClusterConfig::balance_after,
              "without anybody coming or going for so long, shards move to who has fewer")};
  }
  bool operator==(const ClusterConfig&) const = default;
};

// State on the bus, for a machine whose disk is empty. Not with the embedded bus, which is on it.
struct SnapshotConfig {
  Duration interval{6 * one_hour_ms};
  std::int64_t records = 200'000;
  static constexpr auto fields() {
    return std::tuple{
        field("interval", &SnapshotConfig::interval,
              "age at which a shard is given a new one, 10s to 42h: a quarter of what the topic "
              "keeps"),
        field("records", &SnapshotConfig::records,
              "records of the journal after which it is, whatever its age; at least 1000")};
  }
  bool operator==(const SnapshotConfig&) const = default;
};

struct ServiceConfig {
  BusConfig bus;
  TopicsConfig topics;
  std::string data_dir = "/var/lib/selfheal";
  HttpConfig http;
  AutomationConfig automation;
  std::string mode = "observe";
  bool predictive_shadow = false;
  std::string playbooks_dir = "playbooks";
  std::string policies_file = "policies/default.yaml";
  std::string graph_file = "graph.yaml";
  std::string keys_dir;
  std::string actions_dir;
  std::string instance;
  LimitSettings limits;
  BreakerSettings breaker;
  SilenceSettings silence;
  ApprovalSettings approval;
  PredictorSettings predictor;
  ChoiceSettings choice;
  RunSettings run;
  std::vector<ChangeWindow> change_windows;
  ClusterConfig cluster;
  SnapshotConfig snapshot;
  std::int64_t cut_budget_us = 1000;
  Duration cut_timeout{30'000};
  Duration save_interval{1000};
  static constexpr auto fields() {
    return std::tuple{
        field("bus", &ServiceConfig::bus, "where signals come from and the journal is"),
        field("topics", &ServiceConfig::topics, "names and number"),
        field("data_dir", &ServiceConfig::data_dir, "state of this process; one process each"),
        field("http", &ServiceConfig::http, "the one listener"),
        field("automation", &ServiceConfig::automation,
              "programs whose changing calls need no x-confirmed: yes"),
        field("mode", &ServiceConfig::mode,
              "observe (decide, never act), dry_run (up to the effect) or execute"),
        field("predictive_shadow", &ServiceConfig::predictive_shadow,
              "predictions are recorded and scored, never acted on"),
        field("playbooks_dir", &ServiceConfig::playbooks_dir, "its *.yaml files, a playbook each"),
        field("policies_file", &ServiceConfig::policies_file, "policies, first match wins"),
        field("graph_file", &ServiceConfig::graph_file, "services, what they run on and need"),
        field("keys_dir", &ServiceConfig::keys_dir,
              "signing keys and tokens; may be shared in a cluster; empty: keys in data_dir"),
        field(
            "actions_dir", &ServiceConfig::actions_dir,
            "what was started on this machine, to be shared by its processes: one that takes over "
            "then knows at once; empty: actions in data_dir"),
        field("instance", &ServiceConfig::instance,
              "name of this process in the cluster; empty: the host name"),
        field("limits", &ServiceConfig::limits, "how much may run"),
        field("breaker", &ServiceConfig::breaker, "when a failing playbook is left alone"),
        field("silence", &ServiceConfig::silence, "when the way of the signals is suspected"),
        field("approval", &ServiceConfig::approval, "what may run without a person"),
        field("predictor", &ServiceConfig::predictor, "what becomes a diagnosis"),
        field("choice", &ServiceConfig::choice, "how a playbook is chosen"),
        field("run", &ServiceConfig::run, "how a run is carried out"),
        field("change_windows", &ServiceConfig::change_windows,
              "when changes are allowed; none: always"),
        field("cluster", &ServiceConfig::cluster, "several processes on one Kafka"),
        field("snapshot", &ServiceConfig::snapshot, "of state, on Kafka"),
        field("cut_budget_us", &ServiceConfig::cut_budget_us,
              "work in one cut, in microseconds, 1 to 1000000"),
        field("cut_timeout", &ServiceConfig::cut_timeout,
              "a stage that works on one cut for longer hangs: the process ends itself and then "
              "leaves the record out; 1s to 1h"),
        field("save_interval", &ServiceConfig::save_interval,
              "how often pages go to disk; at most 1h")};
  }
  bool operator==(const ServiceConfig&) const = default;
};

struct LoadedConfig {
  ServiceConfig config;            // valid, every path absolute, instance and keys_dir filled in
  std::string file;                // as given; empty where there was none
  bool instance_is_named = false;  // else it is the host's name
};

// The value of an environment variable; none where it is not set.
using EnvironmentLookup = std::function<std::optional<std::string>(const std::string& name)>;

// Looks into the environment of this process. Not while another thread changes it.
std::optional<std::string> process_environment(const std::string& name);

// Reads `file` (none: defaults, relative to /etc/selfheal), then `overrides` ("limits.x=3"), then
// the switches. Paths in the file are relative to its folder, those of an override to the current
// one. A default playbooks_dir, policies_file or graph_file that is not there becomes empty: none.
// Fails with not_found, unavailable, exhausted or invalid; the message names the place.
Result<LoadedConfig> load_config(const std::optional<std::string>& file,
                                 const std::vector<std::string>& overrides,
                                 const EnvironmentLookup& environment);

// The part of the configuration itself that decisions depend on: no playbooks, policies or keys.
Settings decision_settings(const ServiceConfig& config);

// The settings that decisions depend on, with every playbook, policy, service and public key that
// the configuration names; valid. Errors name the file. Reads files; otherwise thread-safe.
Result<Settings> build_settings(const ServiceConfig& config);

// The *.yaml and *.yml files of a folder, sorted; not_found where it cannot be read.
Result<std::vector<std::string>> playbook_files(const std::string& directory);
// Read and validated by itself; the error names the file.
Result<Playbook> read_playbook(const std::string& file, const std::string& topics_prefix);

}  // namespace selfheal
