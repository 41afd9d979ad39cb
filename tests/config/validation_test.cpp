// Validation is decision/'s; its cases are written as YAML, which config/ reads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/yaml_reader.hpp"
#include "tests/config/support.hpp"

namespace selfheal {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

std::string problem(const std::string& text) {
  const Result<Playbook> playbook = read_yaml_text<Playbook>(text, "x.yaml");
  return playbook ? error_of(validate_playbook(*playbook)) : playbook.error().context;
}

TEST(ValidatePlaybook, EachMistakeHasItsMessage) {
  const std::pair<const char*, const char*> cases[] = {
      {"steps: [{wait: 1s}]", "no error"},
      {"risk: extreme", "risk must be low, moderate, high or critical, not 'extreme'"},
      {"effect: maybe", "effect must be idempotent, verifiable or neither, not 'maybe'"},
      {"effect: verifiable",
       "effect verifiable goes with one probe, and a probe with effect verifiable"},
      {"scope: {services: ['a*b']}",
       "scope.services: 'a*b' is neither a name nor a prefix that ends in *"},
      {"prior: {mean: 1.5}", "prior.mean must be above 0 and at most 1"},
      {"steps: []", "there are no steps"},
      {"steps: [{name: s}]",
       "step 's': a step has exactly one of run, http, publish, systemd, wait and wait_for; this "
       "has 0"},
      {"steps: [{wait: 1s, http: {url: 'http://a'}}]",
       "step 1: a step has exactly one of run, http, publish, systemd, wait and wait_for; this has "
       "2"},
      {"steps: [{wait: 2h}]", "step 1: wait must be above 0s and at most 1h, not 7200s"},
      {"steps: [{run: {argv: [a], timeout: 0s}}]",
       "step 1: timeout must be above 0s and at most 1h, not 0s"},
      {"steps: [{run: {argv: []}}]", "step 1: argv has no program"},
      {"steps: [{run: {argv: ['kill {{service}}'], shell: true}}]",
       "step 1: a shell text must hold no variables; give them as further arguments, $1 …"},
      {"steps: [{run: {argv: ['kill $1', '{{service}}'], shell: true}}]", "no error"},
      {"steps: [{http: {url: 'ftp://a'}}]",
       "step 1: url must start with http:// or https://, not 'ftp://a'"},
      {"steps: [{http: {url: '{{labels.url}}'}}]",
       "step 1: url must start with http:// or https://, not '{{labels.url}}'"},
      {"steps: [{http: {url: 'http://a', status: 99}}]",
       "step 1: status must be from 100 to 599, not 99"},
      {"steps: [{http: {url: 'http://a', headers: {X: \"a\\r\\nY: b\"}}}]",
       "step 1: header 'X' is not a header"},
      {"steps: [{http: {url: 'http://a/{{labels.zone}}/{{ resource.id }}'}}]", "no error"},
      {"steps: [{http: {url: 'http://a/{{label.zone}}'}}]",
       "step 1: unknown variable {{label.zone}}; there are service, resource.kind, resource.id, "
       "incident.id and labels.X"},
      {"steps: [{run: {argv: [a], environment: {X: '{{y}}'}}}]",
       "step 1: unknown variable {{y}}; there are service, resource.kind, resource.id, "
       "incident.id and labels.X"},
      {"steps: [{run: {argv: [a, '{{service']}}]", "step 1: '{{' without '}}' in '{{service'"},
      {"steps: [{wait: 1s, retries: 101}]", "step 1: retries must be from 0 to 100, not 101"},
      {"steps: [{wait: 1s, rollback: {wait: 1s, rollback: {wait: 1s}}}]",
       "step 1: a rollback has no rollback of its own"},
      {"steps: [{wait: 1s, rollback: {run: {argv: [a, '{{x}}']}}}]",
       "step 1: rollback: unknown variable {{x}}; there are service, resource.kind, resource.id, "
       "incident.id and labels.X"},
      {"steps: [{wait: 1s}]\nverify: [{metric: m, op: below, value: 1}]",
       "verify[0]: op: 'below' is not one of lt, lte, gt, gte, eq, ne"},
      {"steps: [{wait: 1s}]\nverify: [{within: 5s}]",
       "verify[0]: a condition has exactly one of metric, promql, http, tcp and run; this has 0"},
      {"steps: [{wait: 1s}]\npreconditions: [{metric: m, op: lt, tcp: {host: a, port: 1}}]",
       "preconditions[0]: a condition has exactly one of metric, promql, http, tcp and run; this "
       "has 2"},
      {"steps: [{wait: 1s}]\nverify: [{tcp: {host: a, port: 70000}}]",
       "verify[0]: tcp.port must be from 1 to 65535, not 70000"},
      {"steps: [{wait: 1s}]\nverify: [{metric: m, op: lt, for: 90s, within: 60s}]",
       "verify[0]: for must not be longer than within (60s)"},
      {"steps: [{wait_for: {promql: {query: up, url: 'http://p:9090'}}}]", "no error"},
      {"steps: [{publish: {key: a}}]",
       "step 1: publish.topic must be a topic's full name without variables, not ''"},
      {"steps: [{publish: {topic: 'x.{{service}}'}}]",
       "step 1: publish.topic must be a topic's full name without variables, not "
       "'x.{{service}}'"},
      {"steps: [{publish: {topic: a, headers: {idempotency-KEY: x}}}]",
       "step 1: publish.headers: 'idempotency-KEY' cannot be given; selfheal sets the key"},
      {"steps: [{publish: {topic: a, value: '{{x}}'}}]",
       "step 1: unknown variable {{x}}; there are service, resource.kind, resource.id, "
       "incident.id and labels.X"},
      {"steps: [{publish: {topic: a}}, {publish: {topic: a}}]",
       "two steps publish to one topic; they would carry the same Idempotency-Key"},
      {"steps: [{publish: {topic: a, headers: {h: '{{service}}'}}}, {publish: {topic: b}}]",
       "no error"},
  };
  for (const auto& [text, message] : cases) {
    const std::string expected =
        std::string_view(message) == "no error" ? message : "playbook 'x': " + std::string(message);
    EXPECT_EQ(problem("name: x\n" + std::string(text)), expected);
  }
  EXPECT_THAT(problem("name: ../x\nsteps: [{wait: 1s}]"), HasSubstr("name must be letters"));
}

TEST(Validate, NobodyPublishesIntoTheJournal) {
  const auto playbook = [](const std::string& topic) {
    Playbook made;
    made.name = "x";
    Step step;
    step.publish = {PublishCall{.topic = topic}};
    Step undone;
    undone.wait.ms = 1000;
    undone.rollback = {step};
    made.steps = {undone};
    return made;
  };
  for (const char* topic :
       {"p.journal", "p.control", "p.fleet.control", "p", "p.snapshots.latest"}) {
    EXPECT_EQ(error_of(validate_publish_topics(playbook(topic), "p")),
              "playbook 'x': publish.topic '" + std::string(topic) +
                  "' is selfheal's own; of these only p.signals may be written to");
  }
  for (const char* topic : {"p.signals", "pq.journal", "orders"}) {
    EXPECT_EQ(error_of(validate_publish_topics(playbook(topic), "p")), "no error") << topic;
  }
}

TEST(Validate, WhatOnlyTheWholeShows) {
  Settings settings;
  EXPECT_EQ(error_of(validate(settings)), "no error");
  const Playbook playbook = read_yaml_text<Playbook>("{name: a, steps: [{wait: 1s}]}", "x").value();
  settings.playbooks = {playbook, playbook};
  EXPECT_EQ(error_of(validate(settings)), "playbook 'a' is given twice");
  settings.playbooks.pop_back();
  settings.keys = {{"k", "root", std::string(64, '0')}};
  EXPECT_EQ(error_of(validate(settings)),
            "key 'k': role must be viewer, operator, admin or shard, not 'root'");
  settings.keys = {{"k", "admin", "abc"}};
  EXPECT_EQ(error_of(validate(settings)), "key 'k': public_key must be 64 hex digits");
  settings.keys.clear();
  settings.policies = {{"self_heal_execute", "allow", {{"confidence", "gte", {"high"}}}}};
  EXPECT_EQ(error_of(validate(settings)),
            "policies: policy 1: condition 'confidence': gte needs a number, not 'high'");
  settings.policies.clear();
  settings.graph.services = {{.name = "a", .depends_on = {"b"}}};
  EXPECT_THAT(error_of(validate(settings)), HasSubstr("graph: "));
}

}  // namespace
}  // namespace selfheal
