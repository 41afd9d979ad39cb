#include "config/yaml_reader.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "config/service_config.hpp"
#include "tests/config/support.hpp"

namespace selfheal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// As the contract has it.
constexpr const char* sample_playbook = R"(name: restart_service
title: Restart service
risk: moderate                       # low, moderate, high, critical
auto_approve: false
triggers: [service_down, degraded]   # diagnosis codes
scope: {services: ["*"], resource_kinds: [service]}
preconditions: [{metric: up, op: lt, value: 1}]
effect: idempotent                   # idempotent, verifiable (with `probe:`), neither
steps:
  - name: restart
    run: {argv: [/usr/bin/systemctl, restart, "{{service}}"], timeout: 30s}
    retries: 2
    rollback: {run: {argv: [/usr/bin/systemctl, stop, "{{service}}"], timeout: 30s}}
  - wait: 5s
verify:
  - {metric: latency_p99_seconds, op: lt, value: 0.5, for: 10s, within: 60s}
  - {http: {url: "http://127.0.0.1:8080/health", status: 200}, within: 30s}
secrets: [pager_token]
derived_from: proposal-17
)";

std::string playbook_error(const std::string& text) {
  return error_of(read_yaml_text<Playbook>(text, "playbooks/x.yaml"));
}

TEST(YamlReader, ReadsTheSamplePlaybookAsWritten) {
  const Result<Playbook> playbook = read_yaml_text<Playbook>(sample_playbook, "x.yaml");
  ASSERT_TRUE(playbook.has_value()) << error_of(playbook);
  EXPECT_EQ(error_of(validate_playbook(*playbook)), "no error");
  EXPECT_THAT(playbook->triggers, ElementsAre("service_down", "degraded"));
  EXPECT_EQ(playbook->preconditions[0].metric, "up");
  ASSERT_EQ(playbook->steps.size(), 2U);
  const Step& restart = playbook->steps[0];
  EXPECT_THAT(restart.run[0].argv, ElementsAre("/usr/bin/systemctl", "restart", "{{service}}"));
  EXPECT_EQ(restart.run[0].timeout.ms, 30000);
  EXPECT_EQ(restart.retries, 2);
  EXPECT_EQ(restart.rollback[0].run[0].argv[1], "stop");
  EXPECT_EQ(playbook->steps[1].wait.ms, 5000);
  EXPECT_EQ(playbook->verify[0].hold.ms, 10000);
  EXPECT_EQ(playbook->verify[1].http[0].status, 200);
  EXPECT_EQ(playbook->verify[1].within.ms, 30000);
  EXPECT_EQ(playbook->derived_from, "proposal-17");
}

TEST(YamlReader, TheCanonicalFormReadsBackEqual) {
  const Result<Playbook> playbook = read_yaml_text<Playbook>(sample_playbook, "x.yaml");
  ASSERT_TRUE(playbook.has_value());
  const Result<Playbook> again = read_yaml_text<Playbook>(to_json_text(*playbook), "x.yaml");
  ASSERT_TRUE(again.has_value()) << error_of(again);
  EXPECT_EQ(*again, *playbook);
}

TEST(YamlReader, MessagesNameFileLineAndKey) {
  const std::pair<const char*, const char*> cases[] = {
      {"name: x\nsteps:\n  - run:\n      argv: [a]\n      tiemout: 3s\n",
       "playbooks/x.yaml:5: unknown key 'tiemout' in run; did you mean 'timeout'?"},
      {"nmae: x\n", "playbooks/x.yaml:1: unknown key 'nmae'; did you mean 'name'?"},
      {"steps: [{runs: {}}]\n",
       "playbooks/x.yaml:1: unknown key 'runs' in steps[0]; did you mean 'run'?"},
      {"name: x\n\nname: y\n", "playbooks/x.yaml:3: key 'name' is already given in line 1"},
      {"steps:\n - retries: two\n",
       "playbooks/x.yaml:2: 'steps[0].retries' must be a whole number, not 'two'"},
      {"steps:\n - retries: \"2\"\n",
       "playbooks/x.yaml:2: 'steps[0].retries' must be a whole number, not '2'"},
      {"steps:\n - retries: 2.5\n",
       "playbooks/x.yaml:2: 'steps[0].retries' must be a whole number, not '2.5'"},
      {"auto_approve: yes\n",
       "playbooks/x.yaml:1: 'auto_approve' must be true or false, not 'yes'"},
      {"prior: {mean: .nan}\n", "playbooks/x.yaml:1: 'prior.mean' must be a number, not '.nan'"},
      {"prior: {mean: inf}\n", "playbooks/x.yaml:1: 'prior.mean' must be a number, not 'inf'"},
      {"steps:\n  - wait: soon\n",
       "playbooks/x.yaml:2: 'steps[0].wait' must be a duration such as 250ms, 30s, 5m, 2h or 7d, "
       "not 'soon'"},
      {"triggers: degraded\n", "playbooks/x.yaml:1: 'triggers' must be a list, not 'degraded'"},
      {"name: [x]\n", "playbooks/x.yaml:1: 'name' must be text, not a list"},
      {"title: a\nname:\n", "playbooks/x.yaml:2: 'name' must be text, not empty"},
      {"- name: x\n", "playbooks/x.yaml:1: the document must be a mapping, not a list"},
      {"steps:\n  - run: [{argv: [a]}, {argv: [b]}]\n",
       "playbooks/x.yaml:2: 'steps[0].run' must be one mapping, not a list"},
      {"steps:\n  - systemd: {unit: a, action: restrat}\n",
       "playbooks/x.yaml:2: 'steps[0].systemd.action' is 'restrat'; did you mean 'restart'?"},
      {"steps:\n  - systemd: {unit: 'a*', action: stop}\n",
       "playbooks/x.yaml:2: 'steps[0].systemd.unit': 'a*' is no name of a unit: letters, digits "
       "and "
       "':_.\\@-', not beginning with '-'"},
      {"steps:\n  - systemd: {action: stop}\n",
       "playbooks/x.yaml:2: 'steps[0].systemd' must be a mapping with a unit, not a mapping"},
      {"name: x\n---\nname: y\n", "playbooks/x.yaml:2: a second document; one file holds one"},
      {", name: x\n", "playbooks/x.yaml:1: not YAML: nothing can begin like this"},
      {"name: x\n...\n, y\n", "playbooks/x.yaml:3: a second document; one file holds one"},
      {"[a]: b\n", "playbooks/x.yaml:1: a key must be text"},
      {"name: x\n\x04title: y\n", "playbooks/x.yaml:2: holds a control character"},
      {"name: \"a\\0b\"\n", "playbooks/x.yaml:1: a text holds a NUL character"},
      {"name: \xff\n", "playbooks/x.yaml: is not UTF-8"},
  };
  for (const auto& [text, message] : cases) EXPECT_EQ(playbook_error(text), message) << text;
}

TEST(YamlReader, BadYamlNamesItsLine) {
  EXPECT_THAT(playbook_error("name: x\nsteps: [\n"), HasSubstr("playbooks/x.yaml:"));
  EXPECT_THAT(playbook_error("name: x\nsteps: [\n"), HasSubstr(": not YAML: "));
  EXPECT_THAT(playbook_error("name: *nobody\n"), HasSubstr("playbooks/x.yaml:1: not YAML: "));
}

TEST(YamlReader, SwitchesAndNumbersInTheirForms) {
  for (const char* yes : {"true", "True", "TRUE", "1"}) {
    const auto read = read_yaml_text<Playbook>(std::string("auto_approve: ") + yes, "x");
    ASSERT_TRUE(read.has_value()) << error_of(read);
    EXPECT_TRUE(read->auto_approve) << yes;
  }
  for (const char* no : {"false", "False", "FALSE", "0"}) {
    const auto read = read_yaml_text<Playbook>(std::string("auto_approve: ") + no, "x");
    ASSERT_TRUE(read.has_value()) << error_of(read);
    EXPECT_FALSE(read->auto_approve) << no;
  }
  const auto prior = read_yaml_text<PlaybookPrior>("{mean: +5e-1, weight: 8}", "x");
  ASSERT_TRUE(prior.has_value()) << error_of(prior);
  EXPECT_EQ(prior->mean, 0.5);
}

TEST(YamlReader, TextStaysAsItIsWritten) {
  const auto program = read_yaml_text<Program>(
      "{argv: [/bin/echo, 007, true, \"a b\", '', 1e3], environment: {PORT: 8080}}", "x");
  ASSERT_TRUE(program.has_value()) << error_of(program);
  EXPECT_THAT(program->argv, ElementsAre("/bin/echo", "007", "true", "a b", "", "1e3"));
  EXPECT_EQ(program->environment.at("PORT"), "8080");
}

TEST(YamlReader, SystemdStepBecomesARunStep) {
  const auto step = read_yaml_text<Step>("systemd: {unit: \"{{service}}\", timeout: 7s}", "x");
  ASSERT_TRUE(step.has_value()) << error_of(step);
  EXPECT_THAT(step->run[0].argv, ElementsAre("systemctl", "restart", "--", "{{service}}"));
  EXPECT_EQ(step->run[0].timeout.ms, 7000);
  EXPECT_EQ(error_of(read_yaml_text<Step>("{systemd: {unit: a}, run: {argv: [b]}}", "x")),
            "x:1: 'systemd' stands beside run; a step does one thing");
}

TEST(YamlReader, PoliciesInEveryForm) {
  const auto policy = read_yaml_text<Policy>(
      R"({"action": "self_heal_execute", "decision": "allow", "conditions": {
          "impact": ["low", "medium"], "blast_radius": {"lte": 2}, "confidence": {"gte": 0.7},
          "change_window": True, "tier": {"ne": "critical", "in": [low, high]}}})",
      "x");
  ASSERT_TRUE(policy.has_value()) << error_of(policy);
  const std::vector<PolicyCondition> expected = {
      {"impact", "in", {"low", "medium"}}, {"blast_radius", "lte", {"2"}},
      {"confidence", "gte", {"0.7"}},      {"change_window", "eq", {"true"}},
      {"tier", "ne", {"critical"}},        {"tier", "in", {"low", "high"}}};
  EXPECT_EQ(policy->conditions, expected);
  const auto again = read_yaml_text<Policy>(to_json_text(*policy), "x");
  ASSERT_TRUE(again.has_value()) << error_of(again);
  EXPECT_EQ(*again, *policy);
}

TEST(YamlReader, BadPoliciesNameTheirPlace) {
  const std::pair<const char*, const char*> cases[] = {
      {"conditions: {blast_raduis: {lte: 2}}",
       "p:1: unknown key 'blast_raduis' in conditions; did you mean 'blast_radius'?"},
      {"conditions: {confidence: {gt_e: 2}}",
       "p:1: unknown key 'gt_e' in confidence; did you mean 'gte'?"},
      {"conditions: {confidence: {gte: [1, 2]}}",
       "p:1: 'conditions.confidence.gte' must be one value, not a list"},
      {"conditions: {confidence: {gte: {lt: 1}}}",
       "p:1: 'conditions.confidence.gte' must be one value, not a mapping"},
      {"conditions: {impact: {in: low}}", "p:1: 'conditions.impact.in' must be a list, not 'low'"},
      {"conditions: {change_window: maybe}",
       "p:1: 'conditions.change_window' must be true or false, not 'maybe'"},
      {"conditions: {impact: {}}",
       "p:1: 'conditions.impact' must be a value or a comparison, not a mapping"},
      {"descision: allow", "p:1: unknown key 'descision'; did you mean 'decision'?"},
  };
  for (const auto& [text, message] : cases) {
    EXPECT_EQ(error_of(read_yaml_text<Policy>(text, "p")), message);
  }
}

TEST(YamlReader, HostileDocumentsEndInAnError) {
  const std::string deep(100'000, '[');
  EXPECT_NE(playbook_error(deep), "no error");
  std::string nested = "name: ";
  for (int i = 0; i < 40; ++i) nested += "[";
  for (int i = 0; i < 40; ++i) nested += "]";
  EXPECT_THAT(playbook_error(nested), HasSubstr("nested deeper than 32 levels"));
  std::string bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n";
  for (char each = 'b'; each < 'k'; ++each) {
    const char before = static_cast<char>(each - 1);
    bomb += std::string(1, each) + ": &" + each + " [";
    for (int i = 0; i < 10; ++i) bomb += std::string(i == 0 ? "*" : ", *") + before;
    bomb += "]\n";
  }
  EXPECT_THAT(playbook_error(bomb), HasSubstr("too large once its aliases are copied out"));
  EXPECT_NE(playbook_error("a: &a [*a]\n"), "no error");
  EXPECT_THAT(playbook_error(std::string(yaml_bytes_max + 1, ' ')), HasSubstr("is larger than"));
}

TEST(YamlReader, BrokenTextsNeverCrash) {
  std::mt19937 random(7);
  const std::string alphabet = "{}[]:,-?&*!|>'\"%@`#\n \t\xff\x80~<";
  for (int round = 0; round < 3000; ++round) {
    std::string text = sample_playbook;
    for (int change = 0; change < 4; ++change) {
      const std::size_t at = random() % text.size();
      const char each = alphabet[random() % alphabet.size()];
      if (random() % 2 == 0)
        text[at] = each;
      else
        text.insert(at, 1 + random() % 3, each);
    }
    (void)read_yaml_text<Playbook>(text, "x.yaml");
  }
}

TEST(YamlReader, FilesThatCannotBeRead) {
  const TemporaryDirectory directory;
  EXPECT_EQ(directory.without_path(error_of(read_text_file(directory / "none.yaml"))),
            "none.yaml: no such file");
  EXPECT_THAT(error_of(read_text_file(directory / ".")), HasSubstr("cannot be read"));
  EXPECT_THAT(error_of(read_text_file("/dev/zero")), HasSubstr("is larger than"));
}

}  // namespace
}  // namespace selfheal
