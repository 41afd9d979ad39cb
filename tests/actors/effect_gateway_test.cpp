// The hands of one shard without the rest of the service: what is started when, and what a start of
// an earlier owner is said to have become.
#include "actors/effect_gateway_actor.hpp"

#include <caf/all.hpp>

#include "actors/clocks.hpp"
#include "effects/action_files.hpp"
#include "service_fixture.hpp"
#include "topics/memory_log.hpp"

namespace selfheal {
namespace {

class EffectGatewayTest : public ServiceTest {
 protected:
  void SetUp() override {
    ServiceTest::SetUp();
    log = std::make_shared<MemoryLog>();
    environment->log = log;
    playbook.name = "tell_shop";
    playbook.steps = {Step{.name = "tell"}};
    playbook.steps[0].publish = {PublishCall{.topic = "shop.commands", .value = "restart"}};
    context.actions_folder = environment->actions_folder;
    system = std::make_unique<caf::actor_system>(config);
    cutter = std::make_unique<caf::scoped_actor>(*system);
    begin_process();
  }
  void TearDown() override {
    end_process();
    cutter.reset();
    system.reset();
    ServiceTest::TearDown();
  }

  void begin_process() { gateway = system->spawn(effect_gateway, EnvironmentPtr(environment)); }
  void end_process() { (*cutter)->send_exit(gateway, caf::exit_reason::user_shutdown); }
  void restart() {
    end_process();
    begin_process();
  }

  // A process that owns epoch 5, and starts what it then cannot see the end of.
  void own_and_die() {
    adopt(5, {});
    EXPECT_TRUE(await([&] { return std::filesystem::exists(folder / "actions" / "fence-0"); }));
    restart();
  }

  RunIntent intent() const {
    RunIntent made;
    made.action_id = "act-1";
    made.playbook = playbook.name;
    made.playbook_hash = approved_hash.empty() ? playbook_hash(playbook) : approved_hash;
    made.service = "shop";
    made.effect = "neither";
    made.mode = "execute";
    return made;
  }
  // A start of epoch 5, valid until then by the log's clock.
  AdoptedRun started_until(TimeMs valid_until_ms) const {
    AdoptedRun run;
    run.row.intent = intent();
    run.row.phase = "started";
    run.row.attempt = 1;
    run.row.epoch = 5;
    run.row.valid_until_ms = valid_until_ms;
    return run;
  }
  StepOrder order() const {
    StepOrder made;
    made.action_id = "act-1";
    made.attempt = 1;
    return made;
  }
  std::shared_ptr<const Settings> in_force() {
    settings.playbooks = {playbook};
    return std::make_shared<const Settings>(settings);
  }
  void adopt(std::int64_t epoch, std::vector<AdoptedRun> runs, TimeMs log_time_ms = wall_ms()) {
    auto order = std::make_shared<AdoptShard>();
    order->epoch = epoch;
    order->cutter = caf::actor_cast<cutter_actor>(caf::actor_cast<caf::actor>(*cutter));
    order->settings = in_force();
    order->runs = std::move(runs);
    order->owners = {{5, "one"}};
    order->log_time_ms = log_time_ms;
    (*cutter)->send(gateway, AdoptShardPtr(std::move(order)));
  }
  // The log took a START at `append_ms` by its clock, which it had been given `age_ms` ago.
  void commit_start(TimeMs append_ms, DurationMs age_ms, TimeMs valid_until_ms) {
    auto committed = std::make_shared<CommittedRecord>();
    committed->settings = in_force();
    committed->append_ms = append_ms;
    committed->produced_us = steady_us() - age_ms * 1000;
    RunStarted started{
        .action_id = "act-1", .attempt = 1, .epoch = 6, .valid_until_ms = valid_until_ms};
    committed->record.events.push_back(Event{.body = intent()});
    committed->record.events.push_back(Event{.body = started});
    (*cutter)->send(gateway, CommittedPtr(std::move(committed)));
  }
  // What the shard is told, once it is.
  StepResult answer() {
    StepResult told;
    (*cutter)->receive(
        [&](const EffectPtr& ended) { told = std::get<StepResult>(ended->input); },
        caf::after(std::chrono::seconds(20)) >> [] { ADD_FAILURE() << "nothing was said"; });
    return told;
  }
  void lose_the_folder() {
    std::filesystem::remove_all(folder / "actions");
    std::filesystem::create_directories(folder / "actions");
  }

  caf::actor_system_config config;
  std::unique_ptr<caf::actor_system> system;
  std::unique_ptr<caf::scoped_actor> cutter;  // stands for it
  effect_gateway_actor gateway;
  std::shared_ptr<MemoryLog> log;
  Playbook playbook;
  std::string approved_hash;  // where the playbook has been edited since
  EffectContext context;
};

// The validity of a start that has been waited out after that time.
TimeMs over_in_ms(DurationMs left_ms) {
  return wall_ms() - publish_limit_ms - lock_margin_ms + left_ms;
}

TEST_F(EffectGatewayTest, WhatAFolderKnowsNotToHaveBegunIsExpiredAtOnce) {
  own_and_die();
  adopt(6, {started_until(wall_ms() + one_hour_ms)});
  EXPECT_EQ(answer().status, "expired");
}

TEST_F(EffectGatewayTest, ALostFolderProvesNothing) {
  own_and_die();
  lose_the_folder();
  adopt(6, {started_until(over_in_ms(100))});
  EXPECT_EQ(answer().status, "in_doubt");
  // Nor does it after the next start, which finds a fence above the epoch.
  restart();
  adopt(7, {started_until(over_in_ms(100))});
  EXPECT_EQ(answer().status, "in_doubt");
}

TEST_F(EffectGatewayTest, AFenceThatCannotBeRaisedHoldsNobody) {
  own_and_die();
  // The shim of the owner before may have begun nothing either, but nobody can say so.
  std::filesystem::remove(folder / "actions" / "fence-0");
  std::filesystem::create_directories(folder / "actions" / "fence-0");
  adopt(6, {started_until(over_in_ms(100))});
  EXPECT_EQ(answer().status, "in_doubt");
}

TEST_F(EffectGatewayTest, ADryRunHasNothingToBeFound) {
  AdoptedRun run = started_until(wall_ms() + one_hour_ms);
  run.row.intent.mode = "dry_run";
  adopt(6, {run});
  EXPECT_EQ(answer().status, "dry_run");
}

TEST_F(EffectGatewayTest, ARunningStepOfAnEditedPlaybookIsAwaited) {
  approved_hash = "of another text";
  Result<ActionFiles> files = ActionFiles::open(context.actions_folder, order());
  ASSERT_TRUE(files);
  ASSERT_TRUE(*files->try_lock());
  ASSERT_TRUE(files->mark_started(wall_ms()));
  AdoptedRun run = started_until(wall_ms());
  run.locked_until_ms = wall_ms() + one_minute_ms;
  adopt(6, {run});
  StepResult result = result_of(order(), "ok", "done");
  ASSERT_TRUE(files->write_result(result));
  EXPECT_EQ(answer(), result);
}

TEST_F(EffectGatewayTest, TheResultOfAnEditedPlaybooksStepIsTaken) {
  approved_hash = "of another text";
  {
    Result<ActionFiles> files = ActionFiles::open(context.actions_folder, order());
    ASSERT_TRUE(files);
    ASSERT_TRUE(files->write_result(result_of(order(), "ok", "done")));
  }
  adopt(6, {started_until(wall_ms() + one_hour_ms)});
  EXPECT_EQ(answer().status, "ok");
}

TEST_F(EffectGatewayTest, AnEditedPlaybooksStepThatIsElsewhereIsWaitedOutWithItsLock) {
  approved_hash = "of another text";
  // Whatever the step was, it is over with its lock.
  const TimeMs log_time_ms = wall_ms();
  AdoptedRun run = started_until(log_time_ms - 10'000);
  run.locked_until_ms = log_time_ms + 300;
  const std::int64_t began_us = steady_us();
  adopt(6, {run}, log_time_ms);
  const StepResult told = answer();
  EXPECT_EQ(told.status, "in_doubt");
  EXPECT_NE(told.output.find("not the one that was approved"), std::string::npos) << told.output;
  EXPECT_GE(steady_us() - began_us, 300'000);
}

TEST_F(EffectGatewayTest, AFastClockDoesNotShortenTheWait) {
  environment->now_ms = [] { return wall_ms() + one_hour_ms; };
  const std::int64_t began_us = steady_us();
  const TimeMs log_time_ms = wall_ms();
  adopt(6, {started_until(log_time_ms - publish_limit_ms - lock_margin_ms + 300)}, log_time_ms);
  EXPECT_EQ(answer().status, "in_doubt");
  EXPECT_GE(steady_us() - began_us, 300'000);
}

TEST_F(EffectGatewayTest, ASlowClockDoesNotLengthenAStart) {
  environment->now_ms = [] { return wall_ms() - one_hour_ms; };
  adopt(6, {});
  const TimeMs append_ms = wall_ms();
  commit_start(append_ms, 0, append_ms - 1);
  EXPECT_EQ(answer().status, "expired");
  EXPECT_FALSE(log->partitions("shop.commands"));
}

TEST_F(EffectGatewayTest, AStartThatWasLongOnItsWayHasGrownOld) {
  adopt(6, {});
  // Stored ten seconds ago, and read back only now.
  const TimeMs append_ms = wall_ms();
  commit_start(append_ms, 10'000, append_ms + 5000);
  EXPECT_EQ(answer().status, "expired");
  EXPECT_FALSE(log->partitions("shop.commands"));
}

TEST_F(EffectGatewayTest, AWrongClockStartsWhatIsValid) {
  for (const DurationMs off_ms : {-one_hour_ms, one_hour_ms}) {
    environment->now_ms = [off_ms] { return wall_ms() + off_ms; };
    restart();
    lose_the_folder();
    adopt(6, {});
    const TimeMs append_ms = wall_ms();
    commit_start(append_ms, 0, append_ms + one_minute_ms);
    EXPECT_EQ(answer().status, "ok") << off_ms;
  }
}

}  // namespace
}  // namespace selfheal
