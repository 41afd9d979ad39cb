#include "config/service_config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/yaml_reader.hpp"
#include "tests/config/support.hpp"

namespace selfheal {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;

using Environment = std::map<std::string, std::string>;

EnvironmentLookup lookup_in(Environment environment) {
  return [environment](const std::string& name) -> std::optional<std::string> {
    const auto found = environment.find(name);
    if (found == environment.end()) return std::nullopt;
    return found->second;
  };
}

Result<LoadedConfig> load(const std::optional<std::string>& file,
                          const std::vector<std::string>& overrides = {},
                          const Environment& environment = {}) {
  return load_config(file, overrides, lookup_in(environment));
}

TEST(ServiceConfig, DefaultsNeedNoFile) {
  const Result<LoadedConfig> loaded = load(std::nullopt);
  ASSERT_TRUE(loaded.has_value()) << error_of(loaded);
  EXPECT_EQ(loaded->config.mode, "observe");
  EXPECT_EQ(loaded->config.http.listen, "127.0.0.1:8000");
  EXPECT_EQ(loaded->config.topics.partitions, 8);
  EXPECT_EQ(loaded->config.data_dir, "/var/lib/selfheal");
  EXPECT_EQ(loaded->config.keys_dir, "/var/lib/selfheal/keys");
  EXPECT_FALSE(loaded->config.instance.empty());
  EXPECT_FALSE(loaded->instance_is_named);
}

TEST(ServiceConfig, FileOverDefaultsAndOverridesOverFile) {
  const TemporaryDirectory directory;
  const std::string file =
      directory.write("etc/service.yaml",
                      "mode: dry_run\nlimits: {fleet_concurrent: 4}\ndata_dir: ../data\n"
                      "bus: {properties: {socket.timeout.ms: 500, client.id: a}}\n");
  const Result<LoadedConfig> loaded =
      load(file, {"limits.fleet_concurrent=6", "bus.properties.client.id=b c", "breaker.reset=7m",
                  "approval.impacts=[low]", "instance=\"one\"", "predictor.alert_codes.A=b"});
  ASSERT_TRUE(loaded.has_value()) << error_of(loaded);
  const ServiceConfig& config = loaded->config;
  EXPECT_EQ(config.mode, "dry_run");
  EXPECT_EQ(config.limits.fleet_concurrent, 6);
  EXPECT_EQ(config.limits.fleet_starts_per_minute, 30);
  EXPECT_EQ(config.bus.properties.at("socket.timeout.ms"), "500");
  EXPECT_EQ(config.bus.properties.at("client.id"), "b c");
  EXPECT_EQ(config.breaker.reset.ms, 420000);
  EXPECT_EQ(config.approval.impacts, std::vector<std::string>{"low"});
  EXPECT_EQ(config.instance, "one");
  EXPECT_TRUE(loaded->instance_is_named);
  EXPECT_EQ(config.predictor.alert_codes.size(), 2U);
  EXPECT_EQ(config.data_dir, directory / "data");
  EXPECT_EQ(config.keys_dir, directory / "data/keys");
}

TEST(ServiceConfig, PathsOfOverridesAreRelativeToTheCurrentFolder) {
  const TemporaryDirectory directory;
  const std::string file = directory.write("service.yaml", "");
  const Result<LoadedConfig> loaded = load(file, {"data_dir=here"});
  ASSERT_TRUE(loaded.has_value()) << error_of(loaded);
  EXPECT_EQ(loaded->config.data_dir, (std::filesystem::current_path() / "here").string());
}

TEST(ServiceConfig, DefaultFilesNeedNotBeThereButNamedOnesMust) {
  const TemporaryDirectory directory;
  const auto plain = load(directory.write("a.yaml", "mode: observe\n"));
  ASSERT_TRUE(plain.has_value()) << error_of(plain);
  EXPECT_EQ(plain->config.graph_file, "");
  EXPECT_EQ(error_of(build_settings(plain->config)), "no error");
  const std::pair<const char*, const char*> cases[] = {
      {"graph_file: graph.yaml\n", "graph.yaml: no such file"},
      {"policies_file: p.yaml\n", "p.yaml: no such file"},
      {"playbooks_dir: none\n", "none: playbooks_dir cannot be read (No such file or directory)"}};
  for (const auto& [text, message] : cases) {
    const auto named = load(directory.write("b.yaml", text));
    ASSERT_TRUE(named.has_value()) << error_of(named);
    EXPECT_EQ(directory.without_path(error_of(build_settings(named->config))), message);
  }
}

TEST(ServiceConfig, MistakesInTheFile) {
  const std::pair<const char*, const char*> cases[] = {
      {"mode: exceute\n", "c.yaml: mode must be observe, dry_run or execute, not 'exceute'"},
      {"limits:\n  fleet_concurent: 3\n",
       "c.yaml:2: unknown key 'fleet_concurent' in limits; did you mean 'fleet_concurrent'?"},
      {"limits: {fleet_concurrent: 0}\n", "c.yaml: limits.fleet_concurrent must be above 0, not 0"},
      {"breaker: {reset: 0s}\n", "c.yaml: breaker.reset must be above 0s"},
      {"bus: {kind: rabbit}\n", "c.yaml: bus.kind must be embedded or kafka, not 'rabbit'"},
      {"topics: {prefix: a b}\n",
       "c.yaml: topics.prefix must be letters, digits, '.', '_' and '-', not 'a b'"},
      {"topics: {partitions: 0}\n", "c.yaml: topics.partitions must be from 1 to 1024, not 0"},
      {"http: {listen: nowhere}\n", "c.yaml: http.listen must be host:port, not 'nowhere'"},
      {"http: {listen: 'a:99999'}\n", "c.yaml: http.listen must be host:port, not 'a:99999'"},
      {"cut_budget_us: 0\n", "c.yaml: cut_budget_us must be from 1 to 1000000, not 0"},
      {"cut_timeout: 10ms\n", "c.yaml: cut_timeout must be from 1s to 1h"},
      {"choice: {gate: 1.5}\n", "c.yaml: choice.gate must be from 0 to 1, not 1.5"},
      {"change_windows: [{from: '9:00'}]\n",
       "c.yaml: change_windows[0].from must be hh:mm, not '9:00'"},
      {"change_windows: [{from: '09:60'}]\n",
       "c.yaml: change_windows[0].from must be hh:mm, not '09:60'"},
      {"change_windows: [{from: '22:00', to: '06:00'}]\n",
       "c.yaml: change_windows[0].from must be before its to; write two windows around midnight"},
      {"change_windows: [{days: [monday]}]\n",
       "c.yaml: change_windows[0].days must be mon, tue, wed, thu, fri, sat or sun, not 'monday'"},
      {"change_windows:\n  - days: [mon]\n    time_zone: Europe/Berln\n",
       "c.yaml:3: change_windows[0].time_zone: unknown time zone 'Europe/Berln'; did you mean "
       "'Europe/Berlin'?"},
      {"change_windows: [{time_zone: ../zoneinfo/Europe/Berlin}]\n",
       "c.yaml:1: change_windows[0].time_zone: unknown time zone '../zoneinfo/Europe/Berlin'; did "
       "you mean 'Europe/Berlin'?"},
      {"predictor: {rules: [{code: a, metric: m, op: over}]}\n",
       "c.yaml: predictor.rules[0].op must be lt, lte, gt, gte, eq or ne, not 'over'"},
  };
  const TemporaryDirectory directory;
  for (const auto& [text, message] : cases) {
    const auto loaded = load(directory.write("c.yaml", text));
    EXPECT_EQ(directory.without_path(error_of(loaded)), message);
  }
}

TEST(ServiceConfig, MistakesInOverrides) {
  const std::pair<const char*, const char*> cases[] = {
      {"limits.fleet_concurent=5",
       "--set limits.fleet_concurent=5: unknown key 'fleet_concurent' in limits; did you mean "
       "'fleet_concurrent'?"},
      {"modus=x", "--set modus=x: unknown key 'modus'; did you mean 'mode'?"},
      {"mode", "--set mode: must be key=value, such as limits.x=3"},
      {"=x", "--set =x: must be key=value, such as limits.x=3"},
      {"limits=5", "--set limits=5: 'limits' must be a mapping, not '5'"},
      {"limits.fleet_concurrent=",
       "--set limits.fleet_concurrent=: 'limits.fleet_concurrent' must "
       "be a whole number, not ''"},
      {"mode.x=1", "--set mode.x=1: 'mode' must be text, not a mapping"},
      {"limits.fleet_concurrent=-1", "--set: limits.fleet_concurrent must be above 0, not -1"},
  };
  for (const auto& [text, message] : cases) {
    EXPECT_EQ(error_of(load(std::nullopt, {text})), message);
  }
}

TEST(ServiceConfig, SwitchesOfTheEnvironment) {
  struct Case {
    const char* observe;
    const char* execute;
    const char* mode;
  };
  // Over a file that says dry_run; "" is not set.
  const Case cases[] = {{"", "", "dry_run"},          {"True", "", "observe"},
                        {"True", "True", "observe"},  {"True", "False", "observe"},
                        {"False", "True", "execute"}, {"0", "1", "execute"},
                        {"", "true", "execute"},      {"False", "False", "dry_run"},
                        {"False", "", "dry_run"},     {"", "0", "dry_run"}};
  const TemporaryDirectory directory;
  const std::string file = directory.write("service.yaml", "mode: dry_run\n");
  for (const Case& each : cases) {
    const auto loaded = load(
        file, {}, {{"SELF_HEAL_OBSERVE_ONLY", each.observe}, {"SELF_HEAL_EXECUTE", each.execute}});
    ASSERT_TRUE(loaded.has_value()) << error_of(loaded);
    EXPECT_EQ(loaded->config.mode, each.mode) << each.observe << "/" << each.execute;
  }
  const auto loaded =
      load(file, {"mode=execute", "predictive_shadow=false"},
           {{"SELF_HEAL_PREDICTIVE_SHADOW", "1"}, {"SELF_HEAL_AUTOPROVE_LOW_RISK", "False"}});
  ASSERT_TRUE(loaded.has_value()) << error_of(loaded);
  EXPECT_EQ(loaded->config.mode, "execute");
  EXPECT_TRUE(loaded->config.predictive_shadow);
  EXPECT_FALSE(loaded->config.approval.auto_approve_low_risk);
  EXPECT_EQ(error_of(load(file, {}, {{"SELF_HEAL_EXECUTE", "maybe"}})),
            "SELF_HEAL_EXECUTE: must be true or false, not 'maybe'");
}

TEST(BuildSettings, MistakesInTheFilesNamedByTheConfiguration) {
  struct Case {
    const char* file;
    const char* text;
    const char* message;
  };
  const Case cases[] = {
      {"playbooks/a.yaml", "name: a\nsteps:\n  - {name: s, run: {argv: [x, \"{{servcie}}\"]}}\n",
       "playbooks/a.yaml: playbook 'a': step 's': unknown variable {{servcie}}; there are service, "
       "resource.kind, resource.id, incident.id and labels.X"},
      {"playbooks/a.yaml", "name: a\n", "playbooks/a.yaml: playbook 'a': there are no steps"},
      {"policies/default.yaml", "- {action: heal, decision: allow}\n",
       "policies/default.yaml: policy 1: action must be self_heal_execute or "
       "self_heal_execute_proactive, not 'heal'"},
      {"policies/default.yaml", "- {action: self_heal_execute, decision: permit}\n",
       "policies/default.yaml: policy 1: decision must be allow, deny or require_approval, not "
       "'permit'"},
      {"graph.yaml", "services: [{name: a, risk_tier: huge}]\n",
       "graph.yaml: service 'a': risk tier 'huge' is none of low, medium, high, critical"},
      {"graph.yaml", "services: [{name: a, depends: [b]}]\n",
       "graph.yaml:1: unknown key 'depends' in services[0]; did you mean 'depends_on'?"},
  };
  for (const Case& each : cases) {
    const TemporaryDirectory directory;
    directory.write(each.file, each.text);
    const auto loaded = load(directory.write("service.yaml", "data_dir: data\n"));
    ASSERT_TRUE(loaded.has_value()) << error_of(loaded);
    EXPECT_EQ(directory.without_path(error_of(build_settings(loaded->config))), each.message);
  }
}

TEST(BuildSettings, FilesAreNamedAsOneLikesAndPlaybooksOnce) {
  const TemporaryDirectory directory;
  directory.write("playbooks/01-restart.yaml", "name: restart\nsteps: [{wait: 1s}]\n");
  directory.write("playbooks/cache.yml", "name: warm_cache\nsteps: [{wait: 1s}]\n");
  directory.write("playbooks/.cache.yml.swp", "half a fi");
  const auto loaded = load(directory.write("service.yaml", "data_dir: data\n"));
  ASSERT_TRUE(loaded.has_value()) << error_of(loaded);
  const Result<Settings> settings = build_settings(loaded->config);
  ASSERT_TRUE(settings.has_value()) << error_of(settings);
  ASSERT_EQ(settings->playbooks.size(), 2U);
  EXPECT_EQ(settings->playbooks[0].name, "restart");
  EXPECT_EQ(settings->playbooks[1].name, "warm_cache");

  directory.write("playbooks/zz.yaml", "name: restart\nsteps: [{wait: 2s}]\n");
  const std::string error = directory.without_path(error_of(build_settings(loaded->config)));
  EXPECT_NE(error.find("playbooks/zz.yaml: the playbook is named 'restart'"), std::string::npos);
  EXPECT_NE(error.find("playbooks/01-restart.yaml"), std::string::npos);
}

TEST(BuildSettings, OnePolicyAloneAndEmptyFiles) {
  const TemporaryDirectory directory;
  directory.write("policies/default.yaml",
                  R"({"action": "self_heal_execute", "decision": "allow",
                      "conditions": {"impact": ["low", "medium"], "change_window": True}})");
  directory.write("graph.yaml", "# nothing yet\n");
  const auto loaded = load(directory.write("service.yaml", "data_dir: data\n"));
  ASSERT_TRUE(loaded.has_value()) << error_of(loaded);
  const Result<Settings> settings = build_settings(loaded->config);
  ASSERT_TRUE(settings.has_value()) << error_of(settings);
  ASSERT_EQ(settings->policies.size(), 1U);
  EXPECT_EQ(settings->policies[0].conditions.size(), 2U);
}

TEST(Shipped, ConfigurationIsValidAndComplete) {
  const auto loaded = load(SELFHEAL_SOURCE_DIR "/config/service.yaml");
  ASSERT_TRUE(loaded.has_value()) << error_of(loaded);
  const Result<Settings> settings = build_settings(loaded->config);
  ASSERT_TRUE(settings.has_value()) << error_of(settings);
  struct Expected {
    const char* name;
    const char* risk;
    bool auto_approve;
    std::vector<std::string> triggers;
  };
  const Expected table[] = {{"flush_circuit_breakers",
                             "moderate",
                             false,
                             {"elevated_errors", "circuit_breaker_open", "CB_open"}},
                            {"increase_logging", "low", true, {"degradation", "investigation"}},
                            {"restart_service", "moderate", false, {"service_down", "degraded"}},
                            {"rollback_flag", "low", true, {"elevated_errors", "flag_issue"}},
                            {"scale_up_instances", "low", true, {"latency_spike", "capacity"}},
                            {"warm_cache", "low", true, {"latency_spike", "cache_cold"}}};
  ASSERT_EQ(settings->playbooks.size(), std::size(table));
  for (std::size_t i = 0; i < std::size(table); ++i) {
    const Playbook& playbook = settings->playbooks[i];
    EXPECT_EQ(playbook.name, table[i].name);
    EXPECT_EQ(playbook.risk, table[i].risk);
    EXPECT_EQ(playbook.auto_approve, table[i].auto_approve);
    EXPECT_EQ(playbook.triggers, table[i].triggers);
    EXPECT_FALSE(playbook.verify.empty());
  }
  EXPECT_EQ(settings->policies.size(), 2U);
  EXPECT_EQ(settings->policies[1].action, "self_heal_execute_proactive");
  EXPECT_EQ(settings->graph.services.size(), 4U);
  EXPECT_EQ(settings_from_text(settings_text(*settings)).value(), *settings);
}

TEST(Shipped, SwitchesExecute) {
  Environment environment;
  std::istringstream lines(file_text(SELFHEAL_SOURCE_DIR "/config/selfheal.env"));
  for (std::string line; std::getline(lines, line);) {
    const std::size_t equals = line.find('=');
    if (line.starts_with('#') || equals == std::string::npos) continue;
    environment[line.substr(0, equals)] = line.substr(equals + 1);
  }
  ASSERT_EQ(environment.size(), 4U);
  const auto loaded = load(std::nullopt, {}, environment);
  ASSERT_TRUE(loaded.has_value()) << error_of(loaded);
  EXPECT_EQ(loaded->config.mode, "execute");
  EXPECT_FALSE(loaded->config.predictive_shadow);
  EXPECT_TRUE(loaded->config.approval.auto_approve_low_risk);
}

}  // namespace
}  // namespace selfheal
