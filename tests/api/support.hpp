#pragma once
// A service's API over logs and pages in memory, with one incident in the read model.
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>

#include "actors/environment.hpp"
#include "api/routes.hpp"
#include "base/signature.hpp"
#include "topics/memory_log.hpp"
#include "topics/signal_decoder.hpp"

namespace selfheal {

constexpr std::int32_t test_partitions = 4;
constexpr TimeMs test_time_ms = 1'800'000'000'000;

class ApiTest : public testing::Test {
 protected:
  void SetUp() override {
    static int count = 0;
    keys_dir = (std::filesystem::temp_directory_path() /
                ("selfheal-api-" + std::to_string(getpid()) + "-" + std::to_string(++count)))
                   .string();
    ASSERT_TRUE(ensure_first_key(keys_dir));
    ASSERT_TRUE(create_key(keys_dir, "watcher", "viewer"));
    environment = std::make_shared<Environment>();
    log = std::make_shared<MemoryLog>();
    environment->log = log;
    environment->topics = topic_names("t", test_partitions);
    ASSERT_TRUE(log->create_topics(topic_specs("t", test_partitions)));
    environment->store = std::make_shared<MemoryPageStore>();
    environment->read_model = std::make_shared<ReadModel>(environment->store);
    environment->metrics = std::make_shared<Metrics>();
    Settings settings;
    settings.playbooks.push_back({.name = "restart_service"});
    settings.policies.push_back({.action = "self_heal_execute", .decision = "allow"});
    settings.graph.services = {{.name = "core.web"}, {.name = "core.db"}, {.name = "edge"}};
    settings.graph.resources = {{.kind = "Instance", .id = "inst-1", .service = "core.db"}};
    environment->settings = settings_text(settings);
    environment->now_ms = [] { return test_time_ms; };
    environment->make_decoder = [] {
      auto decoder = std::make_shared<SignalDecoder>();
      return [decoder](const RecordView& record, SignalBatch& batch) {
        decoder->decode(record, batch);
      };
    };
    options = {.listen = "127.0.0.1:0",
               .environment = environment,
               .keys_dir = keys_dir,
               .bus_kind = "kafka",
               .shards =
                   [] {
                     return std::vector<Json>{{{"shard", 0}, {"state", "live"}}};
                   },
               .ready = [this] { return ready; }};
    Result<ApiContext> made = make_api_context(options);
    ASSERT_TRUE(made);
    context = *made;
    context.bus_trouble = [this] { return trouble; };
  }
  void TearDown() override { std::filesystem::remove_all(keys_dir); }

  ApiResponse ask(ApiRequest request) {
    ApiResponse answer{.status = 0};
    route_request(context, std::move(request), [&](ApiResponse each) { answer = std::move(each); });
    return answer;
  }
  ApiResponse get(const std::string& target) { return ask({.target = target}); }
  ApiResponse post(const std::string& target, const std::string& body,
                   std::map<std::string, std::string> headers = {}) {
    return ask({.method = "POST", .target = target, .headers = std::move(headers), .body = body});
  }
  std::string bearer(const std::string& name) {
    return "Bearer " + load_secret(keys_dir, name)->token;
  }

  // An incident of core.web whose proposal waits for a person.
  void hold_proposal(std::int64_t seq = 1) {
    JournalRecord record;
    record.seq = seq;
    record.cut.tick_ms = test_time_ms;
    const auto add = [&](EventBody body) {
      record.events.push_back({"core.web", "inc-0-1-0", "timer", std::move(body)});
    };
    add(IncidentOpened{.incident_id = "inc-0-1-0", .code = "service_down", .service = "core.web"});
    add(Proposal{.proposal_id = "prop-0-1-1",
                 .incident_id = "inc-0-1-0",
                 .playbook = "restart_service",
                 .service = "core.web"});
    Verdict verdict{.proposal_id = "prop-0-1-1", .verdict = "held_for_person"};
    verdict.content_hash = "feed";
    add(verdict);
    environment->read_model->apply(record);
  }

  std::vector<std::string> records(const std::string& topic) {
    std::vector<std::string> all;
    for (std::int32_t partition = 0; partition < test_partitions; ++partition) {
      const auto reader = log->open({topic, partition}, 0, nullptr);
      RecordBatch batch;
      EXPECT_TRUE((*reader)->poll(batch, {}));
      for (const RecordView& each : batch.records) {
        all.push_back(std::to_string(partition) + " " + std::string(each.key) + " " +
                      std::string(each.value));
      }
    }
    return all;
  }

  std::string keys_dir;
  bool ready = true;
  std::string trouble;
  std::shared_ptr<Environment> environment;
  std::shared_ptr<MemoryLog> log;
  HttpOptions options;
  ApiContext context;
};

inline Json json_of(const ApiResponse& response) {
  return *parse_json(response.body);
}

}  // namespace selfheal
