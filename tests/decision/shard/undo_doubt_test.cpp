// A rollback of which nobody saw a step's end: what may be repeated, and the person who is asked.
#include "vertical.hpp"

namespace selfheal {
namespace {

Settings with_effect(const std::string& effect) {
  Settings made = settings();
  Playbook& playbook = made.playbooks[0];
  playbook.effect = effect;
  playbook.steps[0].retries = 3;
  playbook.steps[0].rollback[0].retries = 3;
  Step second = playbook.steps[0];
  second.name = "second";
  second.rollback[0].name = "undo_second";
  playbook.steps.push_back(second);
  if (effect == "verifiable") {
    Condition there;
    there.run = {Program{.argv = {"/bin/true"}}};
    playbook.probe = {there};
  }
  return made;
}

// A run that did not help, and whose undo of its last step is in doubt.
struct UndoInDoubt : Vertical {
  explicit UndoInDoubt(const std::string& effect = "neither", const std::string& status = "lost")
      : Vertical(with_effect(effect)) {
    predict(0.9);
    step_ends("ok");
    step_ends("ok");
    pass(11'000);
    EXPECT_TRUE(last<RunStarted>()->rollback);
    EXPECT_EQ(last<RunStarted>()->step, 1);
    step_ends(status);
    pass(120'000);
  }
};

TEST(UndoDoubt, WhatMustNotBeRepeatedIsNotAndAPersonIsAsked) {
  for (const char* effect : {"neither", "verifiable"}) {
    for (const char* status : {"lost", "in_doubt"}) {
      UndoInDoubt shard(effect, status);
      EXPECT_EQ(shard.count<RunStarted>(), 3) << effect << " " << status;
      ASSERT_EQ(shard.count<RolledBack>(), 1);
      EXPECT_EQ(shard.last<RolledBack>()->result, "in_doubt");
      ASSERT_EQ(shard.count<Outcome>(), 1);
      EXPECT_EQ(shard.last<Outcome>()->result, "in_doubt");
      EXPECT_TRUE(shard.last<Outcome>()->awaits_answer);
      EXPECT_NE(shard.last<Outcome>()->reason.find("'undo_second'"), std::string::npos);
      EXPECT_EQ(shard.count<LockReleased>(), 0) << "it may still act";
      EXPECT_EQ(shard.count<Escalated>(), 1);
      EXPECT_EQ(shard.count<Learned>(), 0);
      EXPECT_EQ(shard.violations(), "");
    }
  }
}

TEST(UndoDoubt, AnIdempotentUndoIsStartedAgain) {
  UndoInDoubt shard("idempotent");
  EXPECT_EQ(shard.count<RunStarted>(), 4);
  EXPECT_EQ(shard.last<RunStarted>()->attempt, 2);
  EXPECT_EQ(shard.count<Outcome>(), 0);
}

TEST(UndoDoubt, WhatWasUndoneLetsTheRestBeUndone) {
  UndoInDoubt shard;
  shard.say(shard.resolution("happened"));
  ASSERT_EQ(shard.count<DoubtResolved>(), 1);
  EXPECT_EQ(shard.last<DoubtResolved>()->answer, "undone");
  ASSERT_EQ(shard.count<RunStarted>(), 4);
  EXPECT_TRUE(shard.last<RunStarted>()->rollback);
  EXPECT_EQ(shard.last<RunStarted>()->step, 0);
  shard.step_ends("ok");
  EXPECT_EQ(shard.last<RolledBack>()->result, "succeeded");
  ASSERT_EQ(shard.count<Outcome>(), 2);
  EXPECT_EQ(shard.last<Outcome>()->result, "rolled_back");
  EXPECT_EQ(shard.last<Outcome>()->answer, "undone");
  EXPECT_FALSE(shard.last<Outcome>()->conditions.empty()) << "why it was undone";
  ASSERT_EQ(shard.count<Learned>(), 1);
  EXPECT_FALSE(shard.last<Learned>()->success);
  EXPECT_EQ(shard.count<LockReleased>(), 1);
  EXPECT_EQ(shard.last<BreakerChanged>()->failures, 1) << "one run has failed";
  EXPECT_EQ(shard.violations(), "");
}

TEST(UndoDoubt, WhatWasNotUndoneIsARunThatFailed) {
  UndoInDoubt shard;
  shard.say(shard.resolution("not_happened"));
  EXPECT_EQ(shard.last<DoubtResolved>()->answer, "not_undone");
  EXPECT_EQ(shard.count<RunStarted>(), 3);
  ASSERT_EQ(shard.count<Outcome>(), 2);
  EXPECT_EQ(shard.last<Outcome>()->result, "not_recovered");
  EXPECT_NE(shard.last<Outcome>()->reason.find(
                "the rollback failed: person says that it has not happened: looked at it"),
            std::string::npos)
      << shard.last<Outcome>()->reason;
  ASSERT_EQ(shard.count<Learned>(), 1) << "its effect happened, and did not help";
  EXPECT_FALSE(shard.last<Learned>()->success);
  EXPECT_EQ(shard.count<LockReleased>(), 1);
  shard.pass(one_hour_ms);
  EXPECT_EQ(shard.count<Proposal>(), 1) << "the playbook has failed in this incident";
  EXPECT_EQ(shard.last<BreakerChanged>()->failures, 1);
  EXPECT_EQ(shard.violations(), "");
}

TEST(UndoDoubt, FollowingTheEventsAloneGivesTheSameState) {
  for (const char* outcome : {"happened", "not_happened", ""}) {
    UndoInDoubt shard;
    if (*outcome != 0) shard.say(shard.resolution(outcome));
    EXPECT_EQ(shard.lasting_pages(), shard.followed_pages()) << outcome;
  }
}

}  // namespace
}  // namespace selfheal
