// A playbook that publishes, carried out by a whole service on a log in memory: what is on the bus
// in the end, and what a runner that dies in the middle leaves.
#include <atomic>

#include "service_fixture.hpp"
#include "topics/memory_log.hpp"

namespace selfheal {
namespace {

class PublishTest : public ServiceTest {
 protected:
  void SetUp() override {
    ServiceTest::SetUp();
    log = std::make_shared<MemoryLog>();
    ASSERT_TRUE(log->create_topics(topic_specs("t", 1)));
    log->set_time_ms(wall_ms());
    clock = std::thread([this] {
      while (!ended) {
        log->set_time_ms(wall_ms());
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    });
    environment->log = log;
  }
  void TearDown() override {
    ended = true;
    clock.join();
    ServiceTest::TearDown();
  }

  // A service that heals `shop` by a record in that topic.
  void heal_with(const std::string& topic, const std::string& effect) {
    Playbook playbook;
    playbook.name = "tell_shop";
    playbook.risk = "low";
    playbook.auto_approve = true;
    playbook.triggers = {"service_down"};
    playbook.effect = effect;
    Step step{.name = "tell"};
    step.backoff.ms = 1;
    step.publish = {PublishCall{.topic = topic,
                                .key = "{{service}}",
                                .value = R"({"restart":"{{service}}"})",
                                .headers = {{"about", "{{incident.id}}"}}}};
    playbook.steps = {step};
    settings.mode = "execute";
    settings.playbooks = {playbook};
    settings.policies = {{"self_heal_execute", "allow", {}}};
    settings.graph.services = {{.name = "shop"}};
    settings.keys.push_back({"person", "operator", person.public_hex});
    environment->settings = settings_text(settings);
    service = std::make_unique<Service>(environment);
    service->start();
    ASSERT_TRUE(await([&] { return service->ready(); }));
    log->append({"t.signals", 0},
                {.value = R"({"type":"failure","service":"shop","code":"service_down","id":"f"})"},
                [](const Result<Offset>&) {});
  }
  // The run once it is in that state.
  Json run_in(const std::string& state) {
    Json found;
    EXPECT_TRUE(await([&] {
      const std::vector<Json> runs = environment->read_model->runs({.state = state});
      if (!runs.empty()) found = runs[0];
      return !runs.empty();
    })) << state
        << " in " << Json(environment->read_model->runs()).dump();
    return found;
  }
  // "key|value|name=header,…" of each record.
  std::vector<std::string> records(const std::string& topic) {
    std::vector<std::string> all;
    auto reader = log->open({topic, 0}, 0, nullptr);
    RecordBatch batch;
    if (!reader || !(*reader)->poll(batch, {})) return all;
    for (const RecordView& record : batch.records) {
      std::string text = std::string(record.key) + "|" + std::string(record.value) + "|";
      for (const auto& [name, value] : (*reader)->headers(record.offset)) {
        text += name + "=" + value + ",";
      }
      all.push_back(text);
    }
    return all;
  }
  void die_once_at(const char* wanted) {
    environment->failpoint = [this, wanted](const char* point) {
      if (std::string_view(point) == wanted && !died.exchange(true)) throw std::string(point);
    };
  }
  void resolve(const Json& run, const std::string& outcome) {
    ControlMessage message{.kind = "resolve", .target = run["id"], .body = outcome};
    message.time_ms = wall_ms();
    message.key_id = "person";
    message.nonce = random_hex(16);
    message.signature = *sign(person.secret_hex, message.signed_text());
    log->append({"t.control", 0}, {.value = encode_control(message)}, [](const Result<Offset>&) {});
  }

  const SigningKey person = generate_signing_key();
  std::shared_ptr<MemoryLog> log;
  std::unique_ptr<Service> service;
  std::thread clock;
  std::atomic<bool> ended = false;
  std::atomic<bool> died = false;
};

TEST_F(PublishTest, ARecordIsOnTheBusWithItsKeyOnceTheStepIsDone) {
  heal_with("shop.commands", "neither");
  const Json run = run_in("succeeded");
  EXPECT_EQ(run["steps"][0]["output"], "stored in shop.commands/0 at offset 0");
  const std::vector<std::string> expected = {
      R"(shop|{"restart":"shop"}|about=)" + run["incident_id"].get<std::string>() +
      ",Idempotency-Key=" + run["id"].get<std::string>() + ","};
  EXPECT_EQ(records("shop.commands"), expected);
  service->stop();
}

TEST_F(PublishTest, WhereOthersMakeTheTopicsAMissingOneFailsTheStep) {
  environment->alone = false;
  environment->placement.balance_after_ms = 3600'000;
  environment->shard_keys = {environment->journal_public_key};
  heal_with("shop.comands", "neither");
  const Json run = run_in("failed");
  EXPECT_NE(run["steps"][0]["output"].get<std::string>().find("nothing was published"),
            std::string::npos);
  EXPECT_FALSE(log->partitions("shop.comands"));
  service->stop();
}

TEST_F(PublishTest, TheJournalIsRefusedEvenWhereSettingsNameIt) {
  heal_with("t.journal", "neither");
  const Json run = run_in("failed");
  EXPECT_NE(run["steps"][0]["output"].get<std::string>().find("is selfheal's own"),
            std::string::npos);
  service->stop();
}

TEST_F(PublishTest, AnIdempotentStepThatDiedIsRepeatedWithTheSameKey) {
  die_once_at("after_effect");
  heal_with("shop.commands", "idempotent");
  const Json run = run_in("succeeded");
  EXPECT_EQ(run["steps"][0]["status"], "lost");
  EXPECT_EQ(run["steps"][1]["output"], "stored in shop.commands/0 at offset 1");
  const std::vector<std::string> both = records("shop.commands");
  ASSERT_EQ(both.size(), 2u);
  EXPECT_EQ(both[0], both[1]) << "a reader can tell by the key that it has seen it";
  service->stop();
}

TEST_F(PublishTest, AStepThatIsNeitherIsInDoubtUntilAPersonAnswers) {
  die_once_at("after_effect");
  heal_with("shop.commands", "neither");
  const Json run = run_in("in_doubt");
  EXPECT_EQ(run["awaits_answer"], true);
  EXPECT_GT(run["in_doubt_since_ms"], 0);
  EXPECT_NE(run["look_at"].get<std::string>().find("step 'tell' of playbook tell_shop"),
            std::string::npos);
  EXPECT_EQ(records("shop.commands").size(), 1u);
  resolve(run, "happened");
  const Json answered = run_in("succeeded");
  EXPECT_EQ(answered["answered_by"], "person");
  EXPECT_TRUE(await([&] {
    return environment->read_model->run(run["id"])->value("outcome", "") == "recovered";
  }));
  EXPECT_TRUE(
      await([&] { return !environment->read_model->incidents({.state = "closed"}).empty(); }));
  EXPECT_EQ(records("shop.commands").size(), 1u);
  resolve(run, "not_happened");
  EXPECT_TRUE(await([&] {
    return shows("self_heal_decisions_total{type=\"control_refused\"} 1\n");
  })) << "a second answer is refused, and counted";
  service->stop();
}

TEST_F(PublishTest, WhatDidNotHappenIsDoneAgain) {
  die_once_at("after_started");
  heal_with("shop.commands", "neither");
  const Json run = run_in("in_doubt");
  EXPECT_FALSE(log->partitions("shop.commands")) << "nothing was published";
  resolve(run, "not_happened");
  const Json again = run_in("succeeded");
  EXPECT_NE(again["id"], run["id"]);
  EXPECT_EQ(environment->read_model->run(run["id"])->value("outcome", ""), "not_recovered");
  EXPECT_EQ(records("shop.commands").size(), 1u);
  service->stop();
}

}  // namespace
}  // namespace selfheal
