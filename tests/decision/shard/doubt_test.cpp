// A run whose effect nobody can vouch for, and the person who ends the doubt.
#include "vertical.hpp"

namespace selfheal {
namespace {

Settings once_only() {
  Settings made = settings();
  made.playbooks[0].effect = "neither";
  made.keys.push_back({"watcher", "viewer", person_key().public_hex});
  return made;
}

// A run that has been left in doubt.
struct InDoubt : Vertical {
  explicit InDoubt(Settings given = once_only()) : Vertical(std::move(given)) {
    predict(0.9);
    step_ends("in_doubt");
  }
  void recover() {
    for (int i = 0; i < 5; ++i) {
      now_ms += 1000;
      metric("latency_p99_seconds", 0.2);
    }
  }
};

TEST(Doubt, StaysWithAPersonUntilItIsAnswered) {
  InDoubt shard;
  EXPECT_EQ(shard.last<RunFinished>()->result, "in_doubt");
  EXPECT_TRUE(shard.last<RunFinished>()->awaits_answer);
  EXPECT_EQ(shard.last<Outcome>()->result, "in_doubt");
  EXPECT_EQ(shard.count<Escalated>(), 1);
  EXPECT_EQ(shard.count<Learned>(), 0) << "in doubt teaches nothing";
  shard.pass(3 * one_hour_ms);
  shard.recover();
  EXPECT_EQ(shard.count<IncidentClosed>(), 0) << "neither silence nor good news ends a doubt";
  EXPECT_EQ(shard.count<RunIntent>(), 1);
  EXPECT_EQ(shard.violations(), "");
}

TEST(Doubt, WhatHappenedIsVerifiedLikeASuccessAndLearnt) {
  InDoubt shard;
  shard.pass(2 * one_hour_ms);
  shard.say(shard.resolution("happened"));
  ASSERT_EQ(shard.count<DoubtResolved>(), 1);
  EXPECT_EQ(shard.last<DoubtResolved>()->by, "person");
  EXPECT_EQ(shard.last<DoubtResolved>()->reason, "looked at it");
  EXPECT_EQ(shard.count<Outcome>(), 1) << "only what is observed from now on counts";
  shard.recover();
  ASSERT_EQ(shard.count<Outcome>(), 2);
  EXPECT_EQ(shard.last<Outcome>()->result, "recovered");
  EXPECT_EQ(shard.last<Outcome>()->answer, "happened");
  ASSERT_EQ(shard.count<Learned>(), 1);
  EXPECT_TRUE(shard.last<Learned>()->success);
  EXPECT_EQ(shard.last<IncidentClosed>()->reason, "recovered");
  EXPECT_EQ(shard.violations(), "");
}

TEST(Doubt, WhatHappenedAndDidNotHelpIsRolledBack) {
  InDoubt shard;
  shard.say(shard.resolution("happened"));
  shard.pass(11'000);
  ASSERT_EQ(shard.count<RollbackRequested>(), 1);
  ASSERT_TRUE(shard.last<RunStarted>()->rollback);
  shard.step_ends("ok");
  EXPECT_EQ(shard.last<Outcome>()->result, "rolled_back");
  ASSERT_EQ(shard.count<Learned>(), 1);
  EXPECT_FALSE(shard.last<Learned>()->success);
  EXPECT_EQ(shard.violations(), "");
}

TEST(Doubt, WhatDidNotHappenIsTriedAgainAndTeachesNothing) {
  InDoubt shard;
  shard.say(shard.resolution("not_happened"));
  ASSERT_EQ(shard.count<Outcome>(), 2);
  EXPECT_EQ(shard.last<Outcome>()->result, "not_recovered");
  EXPECT_EQ(shard.last<Outcome>()->reason, "person says that it has not happened: looked at it");
  EXPECT_EQ(shard.count<Learned>(), 0);
  EXPECT_EQ(shard.count<RollbackRequested>(), 0);
  EXPECT_EQ(shard.count<Proposal>(), 2) << "the same playbook may be chosen again";
  EXPECT_EQ(shard.count<RunIntent>(), 2);
  shard.step_ends("ok");
  shard.recover();
  EXPECT_EQ(shard.last<Outcome>()->result, "recovered");
  EXPECT_EQ(shard.last<IncidentClosed>()->reason, "recovered");
  EXPECT_EQ(shard.violations(), "");
}

TEST(Doubt, AnAnswerThatMayNotBeGivenIsRefusedAndSaidSo) {
  InDoubt shard;
  const auto refused = [&](const ControlMessage& message) {
    const int before = shard.count<ControlRefused>();
    shard.say(message);
    EXPECT_EQ(shard.count<ControlRefused>(), before + 1);
    EXPECT_EQ(shard.last<ControlRefused>()->kind, "resolve");
    return shard.last<ControlRefused>()->reason;
  };
  EXPECT_EQ(refused(shard.resolution("happened", "watcher")), "the key's role may not answer");
  EXPECT_EQ(refused(shard.resolution("happened", "nobody")), "no key of that name is known here");
  EXPECT_EQ(refused(shard.resolution("perhaps")),
            "the outcome is neither happened nor not_happened");
  ControlMessage forged = shard.resolution("happened");
  forged.body = "not_happened";
  EXPECT_EQ(refused(forged), "the signature is missing or wrong");
  ControlMessage other = shard.resolution("happened");
  other.target = "act-0-0-0";
  other.signature = *sign(person_key().secret_hex, other.signed_text());
  EXPECT_EQ(refused(other), "no run of that id is in doubt");
  EXPECT_EQ(shard.count<DoubtResolved>(), 0);
  const ControlMessage good = shard.resolution("happened");
  shard.say(good);
  ASSERT_EQ(shard.count<DoubtResolved>(), 1);
  EXPECT_EQ(refused(good), "the message was used before");
  EXPECT_EQ(refused(shard.resolution("not_happened")), "no run of that id is in doubt");
}

TEST(Doubt, OneThatAnOlderBuildEndedForGoodTakesNoAnswer) {
  Vertical shard(once_only());
  shard.predict(0.9);
  shard.step_ends("in_doubt");
  // The same records as such a build wrote them: without the fields that it did not know.
  ShardFold follower;
  follower.configure(std::make_shared<const Settings>(once_only()));
  for (Vertical::Batch& batch : shard.batches) {
    for (Event& event : batch.events) {
      if (auto* finished = std::get_if<RunFinished>(&event.body)) finished->awaits_answer = false;
      if (auto* outcome = std::get_if<Outcome>(&event.body)) outcome->awaits_answer = false;
    }
    follower.apply(batch.events, batch.facts, batch.tick_ms);
  }
  PageMap pages;
  follower.save(pages);
  for (const auto& [key, value] : pages.pages) {
    for (const char* table :
         {"runner/run/", "verifier/run/", "approver/doubt/", "learner/choice/"}) {
      EXPECT_FALSE(key.starts_with(table)) << key;
    }
  }
}

// The three effect classes after a step of which nobody saw the end.
TEST(Doubt, AnIdempotentStepIsStartedAgainAndOneThatIsNeitherIsNot) {
  Vertical again(settings());
  again.predict(0.9);
  again.step_ends("in_doubt");
  again.pass(2000);
  ASSERT_EQ(again.count<RunStarted>(), 2);
  EXPECT_EQ(again.last<RunStarted>()->attempt, 2);
  EXPECT_EQ(again.last<RunStarted>()->action_id, again.last<RunIntent>()->action_id);
  InDoubt once;
  once.pass(2000);
  EXPECT_EQ(once.count<RunStarted>(), 1);
}

TEST(Doubt, TheProbeOfAVerifiableStepDecides) {
  Settings probed = settings();
  probed.playbooks[0].effect = "verifiable";
  Condition there;
  there.run = {Program{.argv = {"/bin/true"}}};
  probed.playbooks[0].probe = {there};
  for (const bool holds : {true, false}) {
    Vertical shard(probed);
    shard.predict(0.9);
    shard.step_ends("in_doubt");
    ASSERT_EQ(shard.count<ProbeRequested>(), 1);
    EXPECT_EQ(shard.last<ProbeRequested>()->purpose, "effect");
    shard.probe_ends(holds);
    shard.pass(2000);
    // It happened: on to the verification. It did not: again, as a retry.
    EXPECT_EQ(shard.count<RunStarted>(), holds ? 1 : 2) << holds;
    EXPECT_EQ(shard.count<RunFinished>(), holds ? 1 : 0) << holds;
  }
  Vertical silent(probed);
  silent.predict(0.9);
  silent.step_ends("in_doubt");
  silent.pass(60'000);
  EXPECT_EQ(silent.last<Outcome>()->result, "in_doubt")
      << "a probe without an answer decides nothing";
  EXPECT_TRUE(silent.last<Outcome>()->awaits_answer);
}

TEST(Doubt, APublishStepWaitsForTheBusAndIsNoTimer) {
  Settings publishes = settings();
  Step step{.name = "tell"};
  step.publish = {PublishCall{.topic = "orders.commands", .value = "{}"}};
  publishes.playbooks[0].steps = {step};
  Vertical shard(publishes);
  shard.predict(0.9);
  EXPECT_EQ(shard.last<RunStarted>()->runtime_limit_ms, publish_limit_ms);
  shard.pass(60'000);
  EXPECT_EQ(shard.count<StepFinished>(), 0);
  shard.step_ends("ok");
  EXPECT_EQ(shard.last<RunFinished>()->result, "succeeded");
}

TEST(Doubt, AWaitThatAnotherOwnerGoesOnWithEndsWhenItWould) {
  Settings waits = settings();
  Step pause{.name = "pause"};
  pause.wait.ms = 30'000;
  Step until{.name = "until"};
  Condition low{.metric = "latency_p99_seconds", .op = "lt", .value = 0.5};
  low.hold.ms = 3000;
  low.within.ms = 20'000;
  until.wait_for = {low};
  waits.playbooks[0].effect = "neither";
  waits.playbooks[0].steps = {pause, until};
  Vertical shard(waits);
  shard.predict(0.9);
  shard.pass(20'000);
  shard.continue_by_another_owner();
  shard.pass(9'999);
  EXPECT_EQ(shard.count<StepFinished>(), 0);
  shard.pass(1);
  ASSERT_EQ(shard.count<StepFinished>(), 1) << "it ends when it would have ended";
  shard.now_ms += 2000;
  shard.metric("latency_p99_seconds", 0.2);
  shard.continue_by_another_owner();
  for (int i = 0; i < 3; ++i) {
    shard.now_ms += 1000;
    shard.metric("latency_p99_seconds", 0.2);
    EXPECT_EQ(shard.count<StepFinished>(), 1) << "the time that it has held begins anew";
  }
  shard.now_ms += 1000;
  shard.metric("latency_p99_seconds", 0.2);
  EXPECT_EQ(shard.last<RunFinished>()->result, "succeeded");
}

TEST(Doubt, FollowingTheEventsAloneGivesTheSameState) {
  for (const char* outcome : {"happened", "not_happened", ""}) {
    InDoubt shard;
    if (*outcome != 0) shard.say(shard.resolution(outcome));
    EXPECT_EQ(shard.lasting_pages(), shard.followed_pages()) << outcome;
  }
}

}  // namespace
}  // namespace selfheal
