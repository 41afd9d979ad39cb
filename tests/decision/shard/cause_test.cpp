// Every decision names what caused it, and from each the way leads back to an input.
#include <gmock/gmock.h>

#include "topics/event_codec.hpp"
#include "vertical.hpp"

namespace selfheal {
namespace {

// From the last decision of a kind back to the input: the kinds on the way, and the input's name.
template <class Body>
std::vector<std::string> way_back_from(const Vertical& shard) {
  std::map<std::string, const Event*> by_id;
  const Event* from = nullptr;
  for (const Vertical::Batch& batch : shard.batches) {
    for (std::size_t k = 0; k < batch.events.size(); ++k) {
      const Event& event = batch.events[k];
      by_id[decision_id(batch.facts.shard, batch.facts.seq, static_cast<std::int64_t>(k))] = &event;
      if (std::holds_alternative<Body>(event.body)) from = &event;
    }
  }
  std::vector<std::string> way;
  for (const Event* at = from; at != nullptr && way.size() <= by_id.size();) {
    way.emplace_back(event_name(at->body));
    const auto cause = by_id.find(at->causation_id);
    if (cause == by_id.end()) way.push_back(at->causation_id);
    at = cause == by_id.end() ? nullptr : cause->second;
  }
  return way;
}

using testing::ElementsAre;

void recover(Vertical& shard) {
  for (int i = 0; i < 5; ++i) {
    shard.now_ms += 1000;
    shard.metric("latency_p99_seconds", 0.2);
  }
}

TEST(Cause, ARecoveryLeadsBackToItsSignal) {
  Vertical shard(settings());
  shard.predict(0.85);
  shard.step_ends("ok");
  recover(shard);
  EXPECT_THAT(way_back_from<IncidentClosed>(shard),
              ElementsAre("incident_closed", "outcome", "run_finished", "step_finished",
                          "run_started", "lock_acquired", testing::StartsWith("control:")));
  EXPECT_THAT(way_back_from<LockRequested>(shard),
              ElementsAre("lock_requested", "run_intent", "verdict", "proposal", "incident_opened",
                          "prediction", "signals:0"));
  EXPECT_THAT(way_back_from<Scored>(shard).at(1), "outcome");
}

TEST(Cause, WhatDidNotHelpLeadsToThePersonWhoIsCalled) {
  Vertical shard(settings());
  shard.predict(0.9);
  shard.step_ends("ok");
  shard.pass(11'000);
  shard.step_ends("ok");
  ASSERT_EQ(shard.count<Escalated>(), 1);
  const std::vector<std::string> way = way_back_from<Escalated>(shard);
  ASSERT_GE(way.size(), 6u);
  EXPECT_THAT(std::vector(way.begin(), way.begin() + 6),
              ElementsAre("escalated", "outcome", "rolled_back", "step_finished", "run_started",
                          "rollback_requested"));
}

TEST(Cause, APredictionThatDidNotComeTrueIsScoredByItself) {
  Vertical shard(settings());
  shard.predict(0.4);
  shard.pass(2 * one_hour_ms);
  ASSERT_EQ(shard.last<Scored>()->score, "FP");
  EXPECT_THAT(way_back_from<Scored>(shard), ElementsAre("scored", "prediction", "signals:0"));
}

TEST(Cause, AnEndedRequestLeadsToWhatHeldIt) {
  Settings given = settings();
  given.playbooks[0].auto_approve = false;
  given.playbooks[0].risk = "high";
  Vertical shard(given);
  shard.predict(0.9);
  ASSERT_EQ(shard.last<Verdict>()->verdict, "held_for_person");
  shard.pass(25 * one_hour_ms);
  ASSERT_EQ(shard.last<Verdict>()->verdict, "denied");
  EXPECT_THAT(
      way_back_from<Verdict>(shard),
      ElementsAre("verdict", "verdict", "proposal", "incident_opened", "prediction", "signals:0"));
}

}  // namespace
}  // namespace selfheal
