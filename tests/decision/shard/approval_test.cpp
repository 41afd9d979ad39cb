// What lets a proposal through: breakers and places that are taken by an approval at once, and what
// a person's answer cannot override.
#include "vertical.hpp"

namespace selfheal {
namespace {

// A playbook whose belief no failure shakes: the breaker alone holds runs back.
Settings fragile() {
  Settings made = settings();
  made.breaker.failures = 1;
  made.breaker.reset.ms = 300'000;
  made.limits.proposals_per_hour_per_service = 100;
  for (const char* name : {"one", "two", "three", "four", "five"}) {
    made.graph.services.push_back({.name = name});
  }
  made.playbooks[0].prior = {.mean = 0.99, .weight = 1000};
  return made;
}

struct Approvals : Vertical {
  explicit Approvals(Settings given = fragile()) : Vertical(std::move(given)) {}

  // Signals that are taken in one cut, so that their proposals are judged in one.
  void predict_at_once(const std::vector<const char*>& services) {
    auto batch = std::make_shared<SignalBatch>();
    for (const char* service : services) {
      SignalDetail& detail = batch->add_detail();
      detail.code = "latency_spike";
      detail.likelihood = 0.9;
      detail.lead_time_seconds = 600;
      batch->signals.push_back({.type = SignalType::prediction,
                                .time_ms = now_ms,
                                .received_ms = now_ms,
                                .service = service,
                                .sentinel = "probe",
                                .detail = &detail});
    }
    take(batch);
  }
  void fail_run() {
    step_ends("ok");
    pass(11'000);
    step_ends("ok");  // of the rollback
    ASSERT_EQ(last<Outcome>()->result, "rolled_back");
  }
  // A run has failed, and the breaker's time is over.
  void become_half_open() {
    predict(0.9, 0, "one");
    fail_run();
    ASSERT_EQ(last<BreakerChanged>()->state, "open");
    pass(300'000);
    ASSERT_EQ(last<BreakerChanged>()->state, "half_open");
  }
  int approved() const {
    int found = 0;
    for (const Event& event : events) {
      const auto* verdict = std::get_if<Verdict>(&event.body);
      found += verdict != nullptr && verdict->verdict == "approved" ? 1 : 0;
    }
    return found;
  }
};

TEST(Breaker, OfProposalsJudgedInOneCutOneMayTryWhatIsHalfOpen) {
  Approvals shard;
  shard.become_half_open();
  const int before = shard.approved();
  shard.predict_at_once({"two", "three", "four"});
  ASSERT_EQ(shard.count<Proposal>(), 4);
  EXPECT_EQ(shard.approved(), before + 1);
  EXPECT_FALSE(shard.check_passed("breaker"));
  EXPECT_EQ(shard.count<RunIntent>(), 2);
}

TEST(Breaker, ATrialThatGetsNoLockLetsAnotherTry) {
  Approvals shard;
  shard.become_half_open();
  shard.other_run_asks("service/two", 600'000);
  shard.predict(0.9, 0, "two");
  shard.pass(60'000);
  ASSERT_EQ(shard.last<RunFinished>()->result, "precondition_failed");
  shard.predict(0.9, 0, "three");
  EXPECT_EQ(shard.last<Verdict>()->verdict, "approved") << shard.last<Verdict>()->reason;
}

TEST(Breaker, ATrialThatIsOnlyADryRunLetsAnotherTry) {
  Approvals shard;
  shard.become_half_open();
  Settings dry = fragile();
  dry.mode = "dry_run";
  shard.change_settings(dry);
  shard.predict(0.9, 0, "two");
  ASSERT_EQ(shard.last<RunIntent>()->mode, "dry_run");
  shard.step_ends("dry_run");
  ASSERT_EQ(shard.last<RunFinished>()->result, "dry_run");
  shard.predict(0.9, 0, "three");
  EXPECT_EQ(shard.last<Verdict>()->verdict, "approved") << shard.last<Verdict>()->reason;
}

TEST(Breaker, WhatIsOnlyObservedIsNoTrial) {
  Approvals shard;
  shard.become_half_open();
  Settings observe = fragile();
  observe.mode = "observe";
  shard.change_settings(observe);
  shard.predict_at_once({"two", "three"});
  EXPECT_EQ(shard.last<Verdict>()->verdict, "approved");
  EXPECT_EQ(shard.count<RunIntent>(), 1);
}

TEST(Breaker, TheEndOfAnotherRunIsNotThatOfTheTrial) {
  Approvals shard;
  shard.predict(0.9, 0, "one");
  const RunStarted slow = *shard.last<RunStarted>();
  shard.predict(0.9, 0, "two");
  shard.fail_run();
  shard.pass(300'000);
  ASSERT_EQ(shard.last<BreakerChanged>()->state, "half_open");
  shard.predict(0.9, 0, "three");
  ASSERT_EQ(shard.count<RunIntent>(), 3);
  // The first run, begun while the breaker was closed, fails only now and opens it anew.
  shard.step_of(slow, "failed");
  shard.pass(2'000);
  shard.step_ends("failed");
  shard.pass(2'000);
  shard.step_ends("ok");
  ASSERT_EQ(shard.count<Outcome>(), 2);
  shard.pass(300'000);
  ASSERT_EQ(shard.last<BreakerChanged>()->state, "half_open");
  shard.predict(0.9, 0, "four");
  EXPECT_FALSE(shard.check_passed("breaker")) << "the trial on three is still under way";
}

TEST(Limits, ProposalsJudgedInOneCutShareThePlacesOfTheFleet) {
  Settings narrow = fragile();
  narrow.limits.fleet_concurrent = 2;
  Approvals few(narrow);
  few.predict_at_once({"one", "two", "three", "four"});
  EXPECT_EQ(few.approved(), 2);
  EXPECT_FALSE(few.check_passed("fleet_concurrent"));
  Settings slow = fragile();
  slow.limits.fleet_starts_per_minute = 3;
  Approvals starts(slow);
  starts.predict_at_once({"one", "two", "three", "four"});
  EXPECT_EQ(starts.approved(), 3);
  EXPECT_FALSE(starts.check_passed("fleet_starts"));
}

// A proposal that waits for a person.
struct Held : Approvals {
  explicit Held(Settings given) : Approvals(std::move(given)) {
    predict(0.9, 0, "two");
    EXPECT_EQ(last<Verdict>()->verdict, "held_for_person");
    id = last<ApprovalRequested>()->proposal_id;
    hash = last<ApprovalRequested>()->content_hash;
  }
  // Why an approval is refused; empty where it is taken.
  std::string refusal() {
    const int before = count<ControlRefused>();
    answer("approve", hash, id);
    return count<ControlRefused>() > before ? last<ControlRefused>()->reason : "";
  }
  std::string id;
  std::string hash;
};

Settings careful() {
  Settings made = fragile();
  made.playbooks[0].auto_approve = false;
  return made;
}

TEST(Answer, APersonDoesNotOverrideABreaker) {
  Held shard(careful());
  shard.predict(0.9, 0, "one");
  shard.answer("approve", shard.last<ApprovalRequested>()->content_hash);
  ASSERT_EQ(shard.count<RunIntent>(), 1);
  shard.fail_run();
  EXPECT_NE(shard.refusal().find("breaker"), std::string::npos);
  EXPECT_EQ(shard.count<RunIntent>(), 1);
  shard.pass(300'000);
  EXPECT_EQ(shard.refusal(), "") << "one run may try, and it still waits";
  EXPECT_EQ(shard.count<RunIntent>(), 2);
}

TEST(Answer, ADenialIsTakenWhileTheBreakerIsOpen) {
  Held shard(careful());
  shard.predict(0.9, 0, "one");
  shard.answer("approve", shard.last<ApprovalRequested>()->content_hash);
  shard.fail_run();
  shard.answer("deny", shard.hash, shard.id);
  EXPECT_EQ(shard.last<Verdict>()->verdict, "denied");
  EXPECT_EQ(shard.last<Verdict>()->approved_by, "person");
}

TEST(Answer, AnotherPolicyVoidsAnApproval) {
  const auto with = [](std::vector<Policy> policies) {
    Settings made = careful();
    made.policies = std::move(policies);
    return made;
  };
  const Policy allow{"self_heal_execute_proactive", "allow", {}};
  const Policy deny{"self_heal_execute_proactive", "deny", {}};
  const Policy person{"self_heal_execute_proactive", "require_approval", {}};
  for (const Policy& changed : {deny, person}) {
    Held shard(with({allow}));
    shard.change_settings(with({changed, allow}));
    EXPECT_NE(shard.refusal().find("policy"), std::string::npos) << changed.decision;
    EXPECT_EQ(shard.count<RunIntent>(), 0);
  }
  Held gone(with({allow}));
  gone.change_settings(with({}));
  EXPECT_NE(gone.refusal().find("policy"), std::string::npos);
  Held other(with({allow}));
  other.change_settings(with({allow, deny}));
  EXPECT_EQ(other.refusal(), "") << "the policy that decides is the same";
  Held none(with({}));
  EXPECT_EQ(none.refusal(), "") << "no policy asks for a person";
}

TEST(Answer, AWindowThatOpensOrClosesMeanwhileIsNoOtherPolicy) {
  Settings made = careful();
  // 2027-01-15, a Friday: open until the next morning.
  made.change_windows = {{.days = {"fri"}}};
  made.policies = {{"self_heal_execute_proactive", "allow", {{"change_window", "eq", {"true"}}}},
                   {"self_heal_execute_proactive", "require_approval", {}}};
  made.approval.request_expires.ms = 2 * one_day_ms;
  Held shard(made);
  shard.pass(one_day_ms);
  EXPECT_EQ(shard.refusal(), "");
  made.policies[1].decision = "deny";
  Held denied(made);
  denied.pass(one_day_ms);
  EXPECT_NE(denied.refusal().find("policy"), std::string::npos) << "outside, it is forbidden";
}

TEST(Answer, AnApprovalThatIsTakenAfterTheEndIsTooLate) {
  Held shard(careful());
  // An outage: the answer is in the first cut after it.
  shard.now_ms += careful().approval.request_expires.ms;
  EXPECT_NE(shard.refusal().find("expired"), std::string::npos);
  EXPECT_EQ(shard.last<Verdict>()->verdict, "denied");
  EXPECT_EQ(shard.last<Verdict>()->reason, "refused: nobody answered in time");
  EXPECT_EQ(shard.count<RunIntent>(), 0);
}

}  // namespace
}  // namespace selfheal
