// From a signal to a learnt outcome through all six stages, as tables of what must and must not
// happen.
#include "vertical.hpp"

namespace selfheal {
namespace {

TEST(Vertical, APredictionIsHealedBeforeItComesTrue) {
  Vertical shard(settings());
  shard.metric("latency_p99_seconds", 0.4);
  shard.predict(0.85);
  EXPECT_EQ(shard.last<Verdict>()->verdict, "approved");
  EXPECT_EQ(shard.last<Verdict>()->action, "self_heal_execute_proactive");
  EXPECT_NE(shard.last<Verdict>()->reason.find("trust_core:auto-approved"), std::string::npos);
  ASSERT_EQ(shard.count<RunStarted>(), 1);
  shard.step_ends("ok");
  EXPECT_EQ(shard.last<RunFinished>()->result, "succeeded");
  EXPECT_EQ(shard.last<Outcome>(), nullptr) << "nothing is verified by values from before the run";
  for (int i = 0; i < 5; ++i) {
    shard.now_ms += 1000;
    shard.metric("latency_p99_seconds", 0.2);
  }
  ASSERT_NE(shard.last<Outcome>(), nullptr);
  EXPECT_EQ(shard.last<Outcome>()->result, "recovered");
  EXPECT_GT(shard.last<Learned>()->mean, 0.9);
  EXPECT_EQ(shard.last<IncidentClosed>()->reason, "recovered");
  EXPECT_EQ(shard.last<Scored>()->score, "TP");
}

void fail(Vertical& shard, const char* code) {
  auto batch = std::make_shared<SignalBatch>();
  SignalDetail& detail = batch->add_detail();
  detail.code = code;
  batch->signals.push_back({.type = SignalType::failure,
                            .time_ms = shard.now_ms,
                            .received_ms = shard.now_ms,
                            .service = "catalog",
                            .detail = &detail});
  shard.take(batch);
}

TEST(Vertical, OtherTroubleReopensAnIncidentThatWasSettled) {
  Vertical shard(settings());
  fail(shard, "never_heard_of");
  ASSERT_EQ(shard.count<Escalated>(), 1) << "no playbook fits";
  EXPECT_EQ(shard.count<Proposal>(), 0);
  shard.pass(1000);
  fail(shard, "latency_spike");
  EXPECT_EQ(shard.count<IncidentOpened>(), 1);
  ASSERT_EQ(shard.count<Proposal>(), 1);
  EXPECT_EQ(shard.last<Proposal>()->code, "latency_spike");
  EXPECT_EQ(shard.count<RunStarted>(), 1);
}

TEST(Vertical, ACodeThatIsKnownReopensNothing) {
  Vertical shard(settings());
  fail(shard, "never_heard_of");
  shard.pass(1000);
  fail(shard, "never_heard_of");
  EXPECT_EQ(shard.count<Escalated>(), 1);
  EXPECT_EQ(shard.count<IncidentNoted>(), 0);
}

TEST(Vertical, AnIncidentKnowsSoManyCodesAndNoMore) {
  Vertical shard(settings());
  for (int i = 0; i < 100; ++i) {
    fail(shard, ("code_" + std::to_string(i)).c_str());
    shard.pass(1000);
  }
  EXPECT_EQ(shard.count<IncidentOpened>(), 1);
  EXPECT_EQ(shard.count<IncidentNoted>(), 31);
}

TEST(Vertical, AServiceThatMayNotBeActedOnAsksAPerson) {
  for (const char* profile : {"observe", "suggest", "unheard_of"}) {
    Settings given = settings();
    given.graph.services[0].profile = profile;
    Vertical shard(given);
    shard.predict(0.85);
    EXPECT_EQ(shard.last<Verdict>()->verdict, "held_for_person") << profile;
    EXPECT_FALSE(shard.check_passed("profile")) << profile;
    EXPECT_EQ(shard.count<RunStarted>(), 0) << profile;
  }
}

TEST(Vertical, AnElevatedPlaybookNeverRunsByItself) {
  Settings given = settings();
  given.playbooks[0].requires_elevation = true;
  Vertical shard(given);
  shard.predict(0.85);
  EXPECT_EQ(shard.last<Verdict>()->verdict, "held_for_person");
  EXPECT_FALSE(shard.check_passed("elevation"));
  EXPECT_TRUE(shard.check_passed("profile"));
}

TEST(Vertical, EveryFailureOfABurstIsDiagnosed) {
  constexpr int services = 500;
  Vertical shard(settings());
  auto batch = std::make_shared<SignalBatch>();
  SignalDetail& detail = batch->add_detail();
  detail.code = "broken";
  for (int i = 0; i < services; ++i) {
    batch->signals.push_back({.type = SignalType::failure,
                              .time_ms = shard.now_ms,
                              .received_ms = shard.now_ms,
                              .service = batch->keep("s" + std::to_string(i)),
                              .detail = &detail});
  }
  shard.take(batch);
  EXPECT_EQ(shard.count<Diagnosis>(), services) << "each comes once, and none may be dropped";
}

TEST(Vertical, AStepStartsUnderALockThatOutlivesIt) {
  Vertical shard(settings());
  shard.predict(0.85);
  ASSERT_EQ(shard.count<RunStarted>(), 1);
  const RunStarted& started = *shard.last<RunStarted>();
  const LockAcquired& lock = *shard.last<LockAcquired>();
  EXPECT_EQ(lock.target, "service/catalog");
  EXPECT_GE(lock.until_ms, started.valid_until_ms + started.runtime_limit_ms + lock_margin_ms);
  EXPECT_EQ(shard.count<LockReleased>(), 0) << "what was done may still have to be undone";
  shard.step_ends("ok");
  for (int i = 0; i < 5; ++i) {
    shard.now_ms += 1000;
    shard.metric("latency_p99_seconds", 0.2);
  }
  EXPECT_EQ(shard.count<Outcome>(), 1);
  EXPECT_EQ(shard.count<LockReleased>(), 1);
  EXPECT_EQ(std::get<LockFreed>(shard.fleet_events.back().body).how, "released");
}

TEST(Vertical, ARunWaitsForItsTargetAndGoesOnWhenItIsFree) {
  Vertical shard(settings());
  shard.other_run_asks("service/catalog", 20'000);
  shard.predict(0.85);
  EXPECT_EQ(shard.count<RunIntent>(), 1);
  EXPECT_EQ(shard.count<RunStarted>(), 0);
  ASSERT_EQ(shard.count<LockAwaited>(), 1);
  EXPECT_EQ(shard.last<LockAwaited>()->reason, "service/catalog is held by act-other");
  shard.pass(19'000);
  EXPECT_EQ(shard.count<RunStarted>(), 0);
  shard.pass(1'000);
  EXPECT_EQ(shard.count<RunStarted>(), 1) << "the other lock has ended by itself";
  EXPECT_EQ(shard.count<LockAwaited>(), 1);
}

TEST(Vertical, ARunThatGetsNoLockDropsOutWithTheReason) {
  Vertical shard(settings());
  shard.other_run_asks("service/catalog", 600'000);
  shard.predict(0.85);
  shard.pass(60'000);
  EXPECT_EQ(shard.count<RunStarted>(), 0);
  ASSERT_NE(shard.last<RunFinished>(), nullptr);
  EXPECT_EQ(shard.last<RunFinished>()->result, "precondition_failed");
  EXPECT_EQ(shard.last<RunFinished>()->reason,
            "no lock on service/catalog within 60 s: service/catalog is held by act-other");
  EXPECT_EQ(std::get<LockFreed>(shard.fleet_events.back().body).how, "withdrawn");
}

TEST(Vertical, NothingRunsWhileTheFleetsShardIsAway) {
  Vertical shard(settings());
  shard.fleet_answers = false;
  shard.predict(0.85);
  shard.pass(60'000);
  EXPECT_EQ(shard.count<RunStarted>(), 0);
  EXPECT_NE(shard.last<RunFinished>()->reason.find("the fleet's shard has not answered"),
            std::string::npos);
}

TEST(Vertical, ALockThatHasEndedIsAskedForAgain) {
  Vertical shard(settings());
  shard.predict(0.85);
  ASSERT_EQ(shard.count<RunStarted>(), 1);
  const TimeMs until_ms = shard.last<LockAcquired>()->until_ms;
  shard.step_ends("ok");
  // The verification fails after the lock has ended: the way back needs it anew.
  shard.behind_ms = one_hour_ms;
  shard.pass(until_ms - shard.now_ms);
  shard.behind_ms = 0;
  shard.pass(1000);
  ASSERT_EQ(shard.count<RollbackRequested>(), 1);
  EXPECT_EQ(shard.count<RunStarted>(), 2);
  EXPECT_EQ(shard.last<LockRequested>()->number, 2);
  EXPECT_GT(shard.last<LockAcquired>()->until_ms, until_ms);
}

TEST(Vertical, ASenderWhoseClockIsAheadMakesNoTimeToRecoverNegative) {
  Vertical shard(settings());
  shard.metric("latency_p99_seconds", 0.4);
  shard.predict(0.85, -60'000);
  shard.step_ends("ok");
  for (int i = 0; i < 5; ++i) {
    shard.now_ms += 1000;
    shard.metric("latency_p99_seconds", 0.2);
  }
  ASSERT_NE(shard.last<Outcome>(), nullptr);
  EXPECT_EQ(shard.last<Outcome>()->result, "recovered");
  EXPECT_EQ(shard.last<Outcome>()->seconds_to_recover, 0);
  EXPECT_NE(shard.last<Learned>(), nullptr);
}

TEST(Vertical, ALikelihoodBelowTheLimitNeedsAPerson) {
  Vertical shard(settings());
  shard.predict(0.79);
  EXPECT_EQ(shard.last<Verdict>()->verdict, "held_for_person");
  EXPECT_FALSE(shard.check_passed("likelihood"));
  EXPECT_EQ(shard.count<RunIntent>(), 0);
}

TEST(Vertical, OutsideTheWindowAProactiveProposalIsHeldAndDroppedWithItsLeadTime) {
  Settings closed = settings();
  // 2027-01-15, a Friday: the window is on Mondays.
  closed.change_windows = {{.days = {"mon"}}};
  Vertical shard(closed);
  shard.predict(0.9);
  EXPECT_EQ(shard.last<Verdict>()->verdict, "held_for_window");
  shard.pass(601'000);
  EXPECT_EQ(shard.last<Verdict>()->verdict, "denied");
  EXPECT_EQ(shard.count<RunIntent>(), 0);
  EXPECT_EQ(shard.count<Escalated>(), 0) << "trouble that is only predicted wakes nobody";
}

// Each service sends a metric every five seconds, by a clock that may be behind.
void speak(Vertical& shard, int services, DurationMs duration_ms, DurationMs clock_behind_ms = 0) {
  for (DurationMs passed_ms = 0; passed_ms < duration_ms; passed_ms += 5000) {
    auto batch = std::make_shared<SignalBatch>();
    for (int i = 0; i < services; ++i) {
      batch->signals.push_back({.time_ms = shard.now_ms,
                                .received_ms = shard.now_ms - clock_behind_ms,
                                .service = batch->keep("other-" + std::to_string(i)),
                                .metric = "requests",
                                .value = 1});
    }
    shard.take(batch);
    shard.pass(5000);
  }
}

TEST(Vertical, WhileManyAreSilentARunNeedsAPersonUntilTheySpeakAgain) {
  Vertical shard(settings());
  speak(shard, 20, 60'000);
  EXPECT_EQ(shard.count<InputPathChanged>(), 0);
  shard.pass(60'000);
  shard.predict(0.9);
  ASSERT_EQ(shard.count<InputPathChanged>(), 1) << "before anything is decided on that signal";
  EXPECT_TRUE(shard.last<InputPathChanged>()->suspected);
  EXPECT_EQ(shard.last<InputPathChanged>()->silent, 20);
  EXPECT_EQ(shard.last<Verdict>()->verdict, "held_for_person");
  EXPECT_FALSE(shard.check_passed("input_path"));
  EXPECT_EQ(shard.count<ApprovalRequested>(), 1) << "a person may know better";
  EXPECT_EQ(shard.count<RunIntent>(), 0);
  speak(shard, 9, 5000);
  EXPECT_EQ(shard.count<RunIntent>(), 0) << "not half of them";
  speak(shard, 11, 5000);
  EXPECT_FALSE(shard.last<InputPathChanged>()->suspected);
  EXPECT_EQ(shard.last<Verdict>()->approved_by, "policy");
  EXPECT_EQ(shard.count<RunIntent>(), 1);
}

TEST(Vertical, ManyThatFallSilentAreNoticedThoughNothingComesAnyMore) {
  Vertical shard(settings());
  speak(shard, 20, 60'000);
  // An open bucket has to be closed: that is a timer, and each is judged by how far input was
  // taken.
  shard.pass(120'000);
  ASSERT_EQ(shard.count<InputPathChanged>(), 1);
  EXPECT_EQ(shard.last<InputPathChanged>()->silent, 20);
  EXPECT_EQ(shard.last<InputPathChanged>()->reason, "20 of 20 services fell silent together");
  speak(shard, 20, 5000);
  ASSERT_EQ(shard.count<InputPathChanged>(), 2);
  EXPECT_FALSE(shard.last<InputPathChanged>()->suspected);
}

TEST(Vertical, AFewThatComeBackAreNotEnoughWhereAThirdWasSilent) {
  Settings strict = settings();
  strict.silence.share = 0.3;
  Vertical shard(strict);
  speak(shard, 30, 60'000);
  speak(shard, 20, 60'000);
  ASSERT_EQ(shard.count<InputPathChanged>(), 1);
  EXPECT_EQ(shard.last<InputPathChanged>()->silent, 10);
  // Longer than what counts as at once: the others speak, and are not what is missing.
  speak(shard, 24, 180'000);
  EXPECT_EQ(shard.count<InputPathChanged>(), 1);
  speak(shard, 25, 5000);
  EXPECT_EQ(shard.count<InputPathChanged>(), 2);
}

TEST(Vertical, WhileManyAreSilentAPersonMayApprove) {
  Vertical shard(settings());
  speak(shard, 20, 60'000);
  shard.pass(60'000);
  shard.predict(0.9);
  shard.answer("approve", shard.last<ApprovalRequested>()->content_hash);
  EXPECT_EQ(shard.last<Verdict>()->approved_by, "person");
  EXPECT_EQ(shard.count<RunIntent>(), 1);
}

TEST(Vertical, WhatHasNotBeenTakenIsNoMassSilence) {
  Vertical shard(settings());
  speak(shard, 20, 60'000);
  for (int i = 0; i < 12; ++i) {
    shard.behind_ms += 10'000;
    shard.pass(10'000);
    shard.metric("requests", 1, "other-0");
  }
  EXPECT_EQ(shard.count<InputPathChanged>(), 0);
  shard.behind_ms = 0;
  shard.metric("requests", 1, "other-0");
  EXPECT_EQ(shard.count<InputPathChanged>(), 1);
}

TEST(Vertical, SendersWhoseClockIsBehindAreNotSilent) {
  Vertical shard(settings());
  speak(shard, 20, 300'000, 60'000);
  EXPECT_EQ(shard.count<InputPathChanged>(), 0);
}

TEST(Vertical, ThoseThatStaySilentAreTakenForGone) {
  Vertical shard(settings());
  speak(shard, 20, 60'000);
  shard.pass(60'000);
  shard.metric("requests", 1, "other-0");
  shard.pass(settings().silence.hold_max.ms);
  ASSERT_EQ(shard.count<InputPathChanged>(), 2);
  EXPECT_FALSE(shard.last<InputPathChanged>()->suspected);
  shard.predict(0.9);
  EXPECT_EQ(shard.count<RunIntent>(), 1);
}

TEST(Vertical, AnotherOwnerKnowsThatTheInputIsSuspected) {
  Vertical shard(settings());
  speak(shard, 20, 60'000);
  shard.pass(60'000);
  shard.metric("requests", 1, "other-0");
  shard.continue_by_another_owner();
  shard.predict(0.9);
  EXPECT_EQ(shard.last<Verdict>()->verdict, "held_for_person");
}

TEST(Vertical, ShadowRecordsAndObserveNeverRuns) {
  Settings shadow = settings();
  shadow.predictive_shadow = true;
  Vertical shadowed(shadow);
  shadowed.predict(0.9);
  EXPECT_EQ(shadowed.count<Prediction>(), 1);
  EXPECT_EQ(shadowed.count<IncidentOpened>(), 0);
  Settings observe = settings();
  observe.mode = "observe";
  Vertical observed(observe);
  observed.predict(0.9);
  EXPECT_EQ(observed.last<Verdict>()->verdict, "approved");
  EXPECT_EQ(observed.count<RunIntent>(), 0);
}

TEST(Vertical, AnApprovalCoversExactlyWhatWasProposed) {
  Settings careful = settings();
  careful.playbooks[0].auto_approve = false;
  Vertical shard(careful);
  shard.predict(0.9);
  const std::string hash = shard.last<ApprovalRequested>()->content_hash;
  shard.answer("approve", std::string(64, '0'));
  EXPECT_EQ(shard.count<ControlRefused>(), 1);
  EXPECT_EQ(shard.count<RunIntent>(), 0);
  // Eleven minutes later is as good as at once.
  shard.pass(11 * 60 * 1000);
  shard.answer("approve", hash);
  EXPECT_EQ(shard.last<Verdict>()->approved_by, "person");
  EXPECT_EQ(shard.count<RunIntent>(), 1);
}

TEST(Vertical, WhatDoesNotHelpIsRolledBackAndThePersonIsCalled) {
  Vertical shard(settings());
  shard.predict(0.9);
  shard.step_ends("ok");
  shard.pass(11'000);
  ASSERT_EQ(shard.count<RollbackRequested>(), 1);
  EXPECT_TRUE(shard.last<RunStarted>()->rollback);
  shard.step_ends("ok");
  EXPECT_EQ(shard.last<RolledBack>()->result, "succeeded");
  EXPECT_EQ(shard.last<Outcome>()->result, "rolled_back");
  EXPECT_FALSE(shard.last<Learned>()->success);
  shard.pass(120'000);
  EXPECT_EQ(shard.count<Escalated>(), 1) << "no other playbook is left in this incident";
}

TEST(Vertical, AnOutageSaysNothingAgainstARun) {
  for (const bool recovers : {true, false}) {
    Vertical shard(settings());
    shard.predict(0.9);
    shard.step_ends("ok");
    shard.pass(3'000);
    shard.now_ms += 600'000;
    shard.pass(1'000);
    EXPECT_EQ(shard.count<RollbackRequested>(), 0) << "nobody could have said that it helped";
    for (int i = 0; i < 4; ++i) {
      shard.now_ms += 1000;
      shard.metric("latency_p99_seconds", recovers ? 0.2 : 0.9);
    }
    EXPECT_EQ(shard.count<RollbackRequested>(), 0);
    shard.pass(11'000);
    EXPECT_EQ(shard.count<Outcome>(), recovers ? 1 : 0);
    EXPECT_EQ(shard.count<RollbackRequested>(), recovers ? 0 : 1) << "its time is over at last";
  }
}

TEST(Vertical, ARunIsNotJudgedBeforeWhatWasSaidOfItIsTaken) {
  Vertical shard(settings());
  shard.predict(0.9);
  shard.step_ends("ok");
  shard.behind_ms = 60'000;
  shard.pass(30'000);
  EXPECT_EQ(shard.count<RollbackRequested>(), 0);
  shard.behind_ms = 0;
  shard.pass(1'000);
  EXPECT_EQ(shard.count<RollbackRequested>(), 1);
}

TEST(Vertical, AnotherFoldVersionBeginsWithWhatTheEventsSay) {
  Settings given = settings();
  given.playbooks[0].verify = {{.run = {Program{.argv = {"/bin/true"}}}}};
  given.playbooks[0].verify[0].hold.ms = 10'000;
  given.playbooks[0].verify[0].within.ms = 20'000;
  Vertical shard(given);
  shard.predict(0.9);
  shard.step_ends("ok");
  shard.pass(1'000);
  shard.probe_ends(true);
  shard.pass(3'000);
  ASSERT_EQ(shard.count<Outcome>(), 0);
  const auto decided = shard.pages_for_another_fold(false);
  EXPECT_EQ(decided, shard.pages_for_another_fold(true));
  EXPECT_EQ(decided.size(), 2U) << "a run, and its verification";
}

TEST(Vertical, TheFourthProposalWithinAnHourIsRefused) {
  Vertical shard(settings());
  for (int i = 0; i < 3; ++i) {
    shard.predict(0.9);
    shard.step_ends("ok");
    for (int second = 0; second < 5; ++second) {
      shard.now_ms += 1000;
      shard.metric("latency_p99_seconds", 0.2);
    }
    EXPECT_EQ(shard.last<Outcome>()->result, "recovered") << i;
    shard.pass(61'000);
  }
  shard.predict(0.9);
  EXPECT_EQ(shard.last<Verdict>()->verdict, "denied");
  EXPECT_FALSE(shard.check_passed("rate_limit"));
}

TEST(Vertical, ABreakerIsToldWhenItOpensTriesAndCloses) {
  Settings fragile = settings();
  fragile.breaker.failures = 2;
  fragile.breaker.reset.ms = 300'000;
  for (const char* name : {"one", "two", "three", "four"}) {
    fragile.graph.services.push_back({.name = name});
  }
  // A belief that no failure shakes: the breaker alone is to hold runs back.
  fragile.playbooks[0].prior = {.mean = 0.99, .weight = 1000};
  Vertical shard(fragile);
  // The breaker belongs to the playbook, whichever service its runs were for.
  const auto fail_on = [&](const char* service) {
    shard.predict(0.9, 0, service);
    shard.step_ends("ok");
    shard.pass(11'000);
    shard.step_ends("ok");  // of the rollback
    EXPECT_EQ(shard.last<Outcome>()->result, "rolled_back");
  };
  fail_on("one");
  ASSERT_EQ(shard.count<BreakerChanged>(), 1);
  EXPECT_EQ(shard.last<BreakerChanged>()->state, "closed");
  EXPECT_EQ(shard.last<BreakerChanged>()->failures, 1);
  EXPECT_EQ(shard.last<BreakerChanged>()->failures_max, 2);
  fail_on("two");
  EXPECT_EQ(shard.last<BreakerChanged>()->state, "open");
  EXPECT_EQ(shard.last<BreakerChanged>()->playbook, "scale_up_instances");
  const TimeMs until_ms = shard.last<BreakerChanged>()->open_until_ms;
  EXPECT_EQ(until_ms, shard.now_ms + 300'000);
  shard.predict(0.9, 0, "three");
  EXPECT_EQ(shard.last<Verdict>()->verdict, "denied");
  EXPECT_FALSE(shard.check_passed("breaker"));
  shard.pass(299'999);
  EXPECT_EQ(shard.last<BreakerChanged>()->state, "open");
  shard.pass(1);
  EXPECT_EQ(shard.last<BreakerChanged>()->state, "half_open");
  EXPECT_EQ(shard.count<BreakerChanged>(), 3);
  shard.predict(0.9, 0, "four");
  ASSERT_EQ(shard.last<Verdict>()->verdict, "approved");
  shard.step_ends("ok");
  for (int i = 0; i < 5; ++i) {
    shard.now_ms += 1000;
    shard.metric("latency_p99_seconds", 0.2, "four");
  }
  EXPECT_EQ(shard.last<Outcome>()->result, "recovered");
  EXPECT_EQ(shard.last<BreakerChanged>()->state, "closed");
  EXPECT_EQ(shard.last<BreakerChanged>()->failures, 0);
  shard.pass(600'000);
  EXPECT_EQ(shard.count<BreakerChanged>(), 4) << "a change is told once";
}

TEST(Vertical, AnOldSignalTeachesAndNeverActs) {
  Vertical shard(settings());
  shard.predict(0.9, 11 * 60 * 1000);
  EXPECT_TRUE(shard.last<Prediction>()->stale);
  EXPECT_EQ(shard.count<IncidentOpened>(), 0);
}

}  // namespace
}  // namespace selfheal
