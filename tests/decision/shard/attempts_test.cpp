// What is tried for an incident, how often, and when a person hears that nothing is left.
#include <gmock/gmock.h>

#include "decision/runner/runner.hpp"
#include "vertical.hpp"

namespace selfheal {
namespace {

struct Report {
  SignalType type = SignalType::failure;
  std::string code = "latency_spike";
  std::map<std::string, std::string> labels;
  std::vector<std::string> suggested_playbooks;
  std::string resource_kind;
  std::string resource_id;
};

void send(Vertical& shard, const Report& report) {
  auto batch = std::make_shared<SignalBatch>();
  SignalDetail& detail = batch->add_detail();
  detail.code = report.code;
  detail.labels = report.labels;
  detail.likelihood = 0.95;
  detail.suggested_playbooks = report.suggested_playbooks;
  batch->signals.push_back({.type = report.type,
                            .time_ms = shard.now_ms,
                            .received_ms = shard.now_ms,
                            .service = "catalog",
                            .resource_kind = batch->keep(report.resource_kind),
                            .resource_id = batch->keep(report.resource_id),
                            .sentinel = "probe",
                            .detail = &detail});
  shard.take(batch);
}

Settings with_retries(std::int64_t retries) {
  Settings given = settings();
  given.playbooks[0].steps[0].retries = retries;
  given.playbooks[0].steps[0].rollback.clear();
  return given;
}

TEST(Attempts, AStepThatFailsIsTriedAgainOnlyAsOftenAsItSays) {
  for (const int retries : {0, 2}) {
    Vertical shard(with_retries(retries));
    send(shard, {});
    for (int i = 0; i < 5 && shard.count<RunFinished>() == 0; ++i) {
      shard.step_ends("failed");
      shard.pass(one_minute_ms);
    }
    EXPECT_EQ(shard.count<RunStarted>(), 1 + retries);
    EXPECT_EQ(shard.last<RunFinished>()->result, "failed");
  }
}

TEST(Attempts, AStepOfWhichNothingIsKnownIsTriedAgainOnceAtLeast) {
  Vertical shard(with_retries(0));
  send(shard, {});
  shard.step_ends("lost");
  shard.pass(one_minute_ms);
  EXPECT_EQ(shard.count<RunStarted>(), 2) << "the same key is sent: a target may have it already";
  shard.step_ends("failed");
  shard.pass(one_minute_ms);
  EXPECT_EQ(shard.count<RunStarted>(), 2);
  EXPECT_EQ(shard.last<RunFinished>()->result, "failed");
}

TEST(Attempts, APersonHearsAtOnceThatNothingIsLeft) {
  Vertical shard(with_retries(0));
  send(shard, {});
  shard.step_ends("failed");
  ASSERT_EQ(shard.last<Outcome>()->result, "not_recovered");
  EXPECT_EQ(shard.count<Escalated>(), 1);
}

TEST(Attempts, WhereAnotherPlaybookIsLeftItWaitsItsTurn) {
  Settings given = with_retries(0);
  given.playbooks.push_back(given.playbooks[0]);
  given.playbooks[1].name = "warm_cache";
  Vertical shard(given);
  send(shard, {});
  shard.step_ends("failed");
  EXPECT_EQ(shard.count<Escalated>(), 0);
  EXPECT_EQ(shard.count<Proposal>(), 1);
  shard.pass(given.limits.backoff_base.ms + 1000);
  EXPECT_EQ(shard.count<Proposal>(), 2);
  shard.step_ends("failed");
  EXPECT_EQ(shard.count<Escalated>(), 1);
}

TEST(Attempts, WhereNoTriggerFitsTheSuggestedPlaybookIsTried) {
  Report report{.type = SignalType::prediction, .code = "disk_fills"};
  Vertical unaware(settings());
  send(unaware, report);
  EXPECT_EQ(unaware.count<Proposal>(), 0);
  EXPECT_EQ(unaware.count<Escalated>(), 1);

  report.suggested_playbooks = {"nobody_has_it", "scale_up_instances"};
  Vertical shard(settings());
  send(shard, report);
  ASSERT_EQ(shard.count<Proposal>(), 1);
  EXPECT_EQ(shard.last<Proposal>()->playbook, "scale_up_instances");
  EXPECT_EQ(shard.last<Proposal>()->code, "disk_fills");

  Settings elsewhere = settings();
  elsewhere.playbooks[0].scope.services = {"shop"};
  Vertical kept(elsewhere);
  send(kept, report);
  EXPECT_EQ(kept.count<Proposal>(), 0) << "a suggestion widens no scope";
}

TEST(Attempts, AServiceIsAResourceOfItsOwnKind) {
  for (const char* kind : {"service", "Instance"}) {
    Settings given = settings();
    given.playbooks[0].scope.resource_kinds = {kind};
    const int fits = std::string(kind) == "service" ? 1 : 0;
    Vertical whole(given);
    send(whole, {});
    EXPECT_EQ(whole.count<Proposal>(), fits) << kind;
    Vertical part(given);
    send(part, {.resource_kind = "Instance", .resource_id = "inst-1"});
    EXPECT_EQ(part.count<Proposal>(), 1 - fits) << kind;
  }
}

TEST(Attempts, StepsAreToldOfWhatTheyAreDoneTo) {
  Vertical whole(settings());
  send(whole, {.labels = {{"flag", "new-cart"}}});
  Variables told = variables_of(*whole.last<RunIntent>());
  EXPECT_EQ(told.resource_kind, "service");
  EXPECT_EQ(told.resource_id, "catalog");
  EXPECT_EQ(told.labels.at("flag"), "new-cart");

  Vertical part(settings());
  send(part, {.resource_kind = "Instance", .resource_id = "inst-1"});
  told = variables_of(*part.last<RunIntent>());
  EXPECT_EQ(told.resource_kind, "Instance");
  EXPECT_EQ(told.resource_id, "inst-1");
}

TEST(Attempts, ADiagnosisHasTheMembersOfAPrediction) {
  Vertical shard(settings());
  send(shard, {});
  EXPECT_EQ(shard.last<Diagnosis>()->likelihood, shard.last<Diagnosis>()->confidence);
  EXPECT_GT(shard.last<Diagnosis>()->likelihood, 0);
}

}  // namespace
}  // namespace selfheal
