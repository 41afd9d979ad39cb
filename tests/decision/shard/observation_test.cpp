// What a verification sees: samples of senders whose clocks are ahead, and probes that hang.
#include "vertical.hpp"

namespace selfheal {
namespace {

void send(Vertical& shard, double latency, DurationMs ahead_ms) {
  auto batch = std::make_shared<SignalBatch>();
  batch->signals.push_back({.time_ms = shard.now_ms + ahead_ms,
                            .received_ms = shard.now_ms,
                            .service = "catalog",
                            .metric = batch->keep("latency_p99_seconds"),
                            .value = latency});
  shard.take(batch);
}

TEST(Observation, ASampleFromBeforeTheRunIsNoneFromAfterItWhateverItsClockSays) {
  Vertical shard(settings());
  shard.predict(0.9);
  send(shard, 0.2, one_hour_ms);
  shard.now_ms += 1000;
  shard.step_ends("ok");
  shard.pass(9'000);
  EXPECT_EQ(shard.count<Outcome>(), 0);
  shard.pass(2'000);
  EXPECT_EQ(shard.count<RollbackRequested>(), 1) << "nothing was heard after the run";
}

TEST(Observation, AClockThatIsAheadHidesNoOtherSender) {
  Vertical shard(settings());
  shard.predict(0.9);
  shard.step_ends("ok");
  for (int i = 0; i < 5; ++i) {
    shard.now_ms += 1000;
    send(shard, 0.2, one_hour_ms);
    send(shard, 0.9, 0);
  }
  EXPECT_EQ(shard.count<Outcome>(), 0) << "the other one is still ill";
}

Settings probed() {
  Settings made = settings();
  Condition answers;
  answers.run = {Program{.argv = {"/bin/true"}}};
  answers.hold.ms = 0;
  answers.within.ms = 60'000;
  made.playbooks[0].verify = {answers};
  return made;
}

TEST(Observation, AProbeThatHangsIsNotAskedAgainWhileItMayStillAnswer) {
  Vertical shard(probed());
  shard.predict(0.9);
  shard.step_ends("ok");
  ASSERT_EQ(shard.count<ProbeRequested>(), 1);
  shard.pass(shard.last<ProbeRequested>()->valid_until_ms - shard.now_ms - 1);
  EXPECT_EQ(shard.count<ProbeRequested>(), 1);
  shard.pass(2'000);
  EXPECT_EQ(shard.count<ProbeRequested>(), 2) << "its answer is lost";
}

TEST(Observation, AProbeThatWasAnsweredIsAskedAgainAfterTheInterval) {
  Vertical shard(probed());
  shard.predict(0.9);
  shard.step_ends("ok");
  for (int asked = 1; asked < 5; ++asked) {
    EXPECT_EQ(shard.count<ProbeRequested>(), asked);
    shard.probe_ends(false);
    shard.pass(1'000);
  }
  shard.probe_ends(true);
  EXPECT_EQ(shard.last<Outcome>()->result, "recovered");
}

TEST(Observation, WhatAnEarlierClaimAskedIsAskedAgain) {
  Vertical shard(probed());
  shard.predict(0.9);
  shard.step_ends("ok");
  shard.pass(1'000);
  shard.claim_anew();
  shard.pass(1'000);
  EXPECT_EQ(shard.count<ProbeRequested>(), 2) << "nobody hears the answer to the first";
}

}  // namespace
}  // namespace selfheal
