#include "storage/read_model.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

namespace selfheal {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr TimeMs begin_ms = 1'800'000'000'000;
const std::string recent = "read_model/recent/";  // the latest decisions

class ReadModelTest : public testing::Test {
 protected:
  void apply(const std::string& incident, std::vector<EventBody> bodies) {
    JournalRecord record;
    record.seq = ++seq;
    record.cut.tick_ms = begin_ms + seq;
    for (EventBody& body : bodies) record.events.push_back({"web", incident, "timer", body});
    model->apply(record);
  }
  void open(const std::string& incident) {
    apply(incident, {IncidentOpened{.incident_id = incident, .code = "down", .service = "web"},
                     Proposal{.proposal_id = "prop-" + incident,
                              .incident_id = incident,
                              .playbook = "restart",
                              .service = "web"},
                     RunIntent{.action_id = "act-" + incident,
                               .proposal_id = "prop-" + incident,
                               .incident_id = incident,
                               .playbook = "restart",
                               .service = "web"}});
  }
  void close(const std::string& incident) {
    apply(incident, {IncidentClosed{.incident_id = incident, .reason = "recovered"}});
  }
  void start_again() {
    model = std::make_unique<ReadModel>(store);
    ASSERT_TRUE(model->load());
  }
  std::size_t rows(const std::string& prefix = "") {
    std::size_t count = 0;
    EXPECT_TRUE(store->visit_rows(prefix, [&](std::string_view, std::string_view) -> Result<void> {
      ++count;
      return {};
    }));
    return count;
  }
  static std::vector<std::string> types_of(const Json& incident) {
    std::vector<std::string> types;
    for (const Json& entry : incident["timeline"]) types.push_back(entry.value("type", ""));
    return types;
  }

  std::shared_ptr<MemoryPageStore> store = std::make_shared<MemoryPageStore>();
  std::unique_ptr<ReadModel> model = std::make_unique<ReadModel>(store);
  std::int64_t seq = 0;
};

TEST_F(ReadModelTest, AClaimDoesNotHideTheRecordThatFollowsIt) {
  JournalRecord claim;
  claim.kind = JournalKind::claim;
  claim.seq = 1;
  model->apply(claim);
  JournalRecord config;
  config.kind = JournalKind::config;
  config.seq = 1;
  config.content = "{}";
  model->apply(config);
  EXPECT_EQ(model->settings(), "{}");
}

TEST_F(ReadModelTest, ARecordThatComesAgainChangesNothing) {
  JournalRecord config;
  config.kind = JournalKind::config;
  config.seq = 2;
  config.content = "{\"mode\":\"new\"}";
  model->apply(config);
  config.seq = 1;
  config.content = "{\"mode\":\"old\"}";
  model->apply(config);
  EXPECT_EQ(model->settings(), "{\"mode\":\"new\"}");
}

TEST_F(ReadModelTest, AStoryGoesOnAfterItWasSavedAndAfterARestart) {
  open("inc-1");
  const Json unsaved = *model->incident("inc-1");
  ASSERT_TRUE(model->save());
  EXPECT_EQ(*model->incident("inc-1"), unsaved);
  start_again();
  EXPECT_EQ(*model->incident("inc-1"), unsaved);
  EXPECT_EQ(model->applied(0), seq);
  close("inc-1");
  EXPECT_THAT(types_of(*model->incident("inc-1")),
              ElementsAre("incident_opened", "proposal", "run_intent", "incident_closed"));
  EXPECT_EQ(model->proposal("prop-inc-1")->value("state", ""), "running");
  EXPECT_EQ(model->run("act-inc-1")->value("playbook", ""), "restart");
}

TEST_F(ReadModelTest, TheLatestDecisionsAreThereAfterARestart) {
  open("inc-1");
  ASSERT_TRUE(model->save());
  start_again();
  close("inc-1");
  ASSERT_TRUE(model->save());
  start_again();
  std::vector<std::string> types;
  for (const Json& each : model->recent(1000)) types.push_back(each.value("type", ""));
  EXPECT_THAT(types, ElementsAre("incident_opened", "proposal", "run_intent", "incident_closed"));

  // As many rows as are kept, however many there were.
  EXPECT_EQ(rows(recent), 4u);
  for (int i = 0; i < 1500; ++i) apply("", {ControlRefused{.kind = std::to_string(i)}});
  ASSERT_TRUE(model->save());
  EXPECT_EQ(rows(recent), 1000u);
  start_again();
  const std::vector<Json> latest = model->recent(1000);
  ASSERT_EQ(latest.size(), 1000u);
  EXPECT_EQ(latest.front()["data"]["kind"], "500");
  EXPECT_EQ(latest.back()["data"]["kind"], "1499");
}

TEST_F(ReadModelTest, PositionsThatCannotBeReadAreNamed) {
  for (const char* broken : {"{", R"({"one":1})", R"({"0":"1"})", R"({"0":null})"}) {
    RowChanges changes;
    changes["read_model/applied"] = broken;
    ASSERT_TRUE(store->write_rows(changes));
    model = std::make_unique<ReadModel>(store);
    const Result<void> loaded = model->load();
    ASSERT_FALSE(loaded) << broken;
    EXPECT_NE(loaded.error().context.find("read_model/applied"), std::string::npos) << broken;
  }
}

TEST_F(ReadModelTest, ListsAreNewestFirstAndKeepToWhatIsAskedFor) {
  for (const char* each : {"inc-1", "inc-2", "inc-3"}) open(each);
  close("inc-2");
  ASSERT_TRUE(model->save());
  open("inc-4");
  const auto ids = [&](const DocumentQuery& query) {
    std::vector<std::string> list;
    for (const Json& each : model->incidents(query)) list.push_back(each.value("id", ""));
    return list;
  };
  EXPECT_THAT(ids({}), ElementsAre("inc-4", "inc-3", "inc-2", "inc-1"));
  EXPECT_THAT(ids({.limit = 2}), ElementsAre("inc-4", "inc-3"));
  EXPECT_THAT(ids({.state = "closed"}), ElementsAre("inc-2"));
  EXPECT_THAT(ids({.service = "other"}), IsEmpty());
  EXPECT_FALSE(model->incidents()[0].contains("timeline"));
}

TEST_F(ReadModelTest, OfEndedIncidentsTheOldestGoWithAllTheirRows) {
  open("kept open");
  open("first");
  close("first");
  ASSERT_TRUE(model->save());
  const std::size_t of_two = rows() - rows(recent);
  for (std::size_t i = 0; i < incidents_kept_max; ++i) {
    open("inc-" + std::to_string(i));
    close("inc-" + std::to_string(i));
    if (i % 1000 == 0) {
      ASSERT_TRUE(model->save());
    }
  }
  ASSERT_TRUE(model->save());
  EXPECT_FALSE(model->incident("first"));
  EXPECT_FALSE(model->proposal("prop-first"));
  EXPECT_FALSE(model->run("act-first"));
  EXPECT_TRUE(model->incident("kept open"));
  EXPECT_TRUE(model->incident("inc-0"));
  // A row each of incident, proposal and run, and four of its story; "kept open" has three.
  const std::size_t of_one = 7;
  EXPECT_EQ(rows() - rows(recent), of_two + (incidents_kept_max - 1) * of_one);
  // The order in which they ended outlives a restart.
  start_again();
  open("next");
  close("next");
  ASSERT_TRUE(model->save());
  EXPECT_FALSE(model->incident("inc-0"));
  EXPECT_TRUE(model->incident("inc-1"));
}

TEST_F(ReadModelTest, WhatAFullDiskRefusesIsReadableAndSavedLater) {
  open("inc-1");
  store->fail_writes(true);
  EXPECT_FALSE(model->save());
  EXPECT_EQ(types_of(*model->incident("inc-1")).size(), 3u);
  close("inc-1");
  EXPECT_FALSE(model->save());
  store->fail_writes(false);
  ASSERT_TRUE(model->save());
  start_again();
  EXPECT_EQ(types_of(*model->incident("inc-1")).size(), 4u);
  EXPECT_EQ(model->incident("inc-1")->value("state", ""), "closed");
}

}  // namespace
}  // namespace selfheal
