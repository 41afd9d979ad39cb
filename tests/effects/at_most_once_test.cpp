#include <gmock/gmock.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>

#include "effects/action_files.hpp"
#include "effects_fixture.hpp"

namespace selfheal {
namespace {

using testing::HasSubstr;

class AtMostOnceTest : public EffectsTest {
 protected:
  // Leaves a line each time it runs, then waits until release().
  StepOrder held_order() {
    EXPECT_EQ(mkfifo(path("hold").c_str(), 0600), 0);
    StepOrder made = script_order("echo run >> runs; cat hold; echo end >> runs");
    made.what.run[0].directory = folder_;
    return made;
  }
  StepOrder counted_order() {
    StepOrder made = script_order("echo run >> runs; echo done");
    made.what.run[0].directory = folder_;
    return made;
  }
  void release() { std::ofstream(path("hold")) << "held\n"; }
  std::string runs() const { return read_text(path("runs")); }
  StepTrace trace(const StepOrder& order) { return trace_step(order, context_).trace; }
};

TEST_F(AtMostOnceTest, a_second_start_gets_the_first_one_s_result) {
  const StepOrder order = counted_order();
  EXPECT_EQ(trace(order), StepTrace::none);
  const StepResult first = carry(order);
  EXPECT_EQ(first.status, "ok");
  EXPECT_EQ(carry(order), first);
  EXPECT_EQ(trace(order), StepTrace::finished);
  EXPECT_EQ(await_step(order, context_), first);
  EXPECT_EQ(runs(), "run\n");
}

TEST_F(AtMostOnceTest, starts_at_the_same_time_run_once) {
  const StepOrder order = held_order();
  std::vector<StepResult> results(6);
  std::vector<std::thread> threads;
  for (StepResult& result : results) threads.emplace_back([&] { result = carry(order); });
  EXPECT_TRUE(eventually([&] { return runs() == "run\n"; }));
  EXPECT_EQ(trace(order), StepTrace::running);
  release();
  for (std::thread& thread : threads) thread.join();
  for (const StepResult& result : results) {
    EXPECT_EQ(result.output, "held\n");
    EXPECT_EQ(result, results[0]);
  }
  EXPECT_EQ(runs(), "run\nend\n");
}

TEST_F(AtMostOnceTest, attempts_and_rollbacks_are_starts_of_their_own) {
  StepOrder order = counted_order();
  carry(order);
  order.attempt = 2;
  carry(order);
  order.rollback = true;
  carry(order);
  EXPECT_EQ(runs(), "run\nrun\nrun\n");
}

TEST_F(AtMostOnceTest, an_expired_start_never_runs) {
  StepOrder order = counted_order();
  order.valid_until_ms = wall_clock_ms() - 1;
  EXPECT_EQ(carry(order).status, "expired");
  order.valid_until_ms += one_hour_ms;
  EXPECT_EQ(carry(order).status, "expired");
  EXPECT_EQ(runs(), "");
}

TEST_F(AtMostOnceTest, a_shim_has_the_clock_of_whoever_gave_the_order) {
  StepOrder order = counted_order();
  setenv("SELFHEAL_CLOCK_SKEW_MS", std::to_string(2 * one_hour_ms).c_str(), 1);
  EXPECT_EQ(carry(order).status, "expired");
  unsetenv("SELFHEAL_CLOCK_SKEW_MS");
  order.attempt = 2;
  EXPECT_EQ(carry(order).status, "ok");
}

TEST_F(AtMostOnceTest, a_fence_stops_lower_epochs_and_never_falls) {
  StepOrder order = counted_order();
  order.shard = 3;
  order.epoch = 5;
  ASSERT_TRUE(raise_fence(context_, 3, 6));
  ASSERT_TRUE(raise_fence(context_, 3, 4));
  EXPECT_EQ(carry(order).status, "fenced");
  order.attempt = 2;
  order.epoch = 7;
  EXPECT_EQ(carry(order).status, "ok");
  // The start raised the fence itself.
  order.attempt = 3;
  order.epoch = 6;
  EXPECT_EQ(carry(order).status, "fenced");
  order.shard = 4;
  order.attempt = 4;
  EXPECT_EQ(carry(order).status, "ok");
  EXPECT_EQ(runs(), "run\nrun\n");
}

TEST_F(AtMostOnceTest, a_fence_names_the_owners_that_raised_it_in_this_folder) {
  using Epochs = std::vector<std::int64_t>;
  EXPECT_EQ(*raise_fence(context_, 0, 2), Epochs());
  EXPECT_EQ(*raise_fence(context_, 0, 4), Epochs({2}));
  EXPECT_EQ(*raise_fence(context_, 0, 5), Epochs({4, 2}));
  // A start is no word of its owner: it comes to a folder that was lost as well.
  std::filesystem::remove_all(context_.actions_folder);
  StepOrder order = counted_order();
  order.epoch = 5;
  EXPECT_EQ(carry(order).status, "ok");
  EXPECT_EQ(*raise_fence(context_, 0, 6), Epochs());
  EXPECT_EQ(*raise_fence(context_, 0, 7), Epochs({6}));
  // Of many owners only the last ones, in as few bytes as earlier builds read.
  for (std::int64_t epoch = 1'000'000; epoch < 1'000'020; ++epoch) {
    ASSERT_TRUE(raise_fence(context_, 0, epoch));
  }
  const Epochs last = *raise_fence(context_, 0, 1'000'020);
  ASSERT_GE(last.size(), 5u);
  EXPECT_EQ(last[0], 1'000'019);
  EXPECT_LE(read_text(path("actions/fence-0")).size(), 64u);
}

TEST_F(AtMostOnceTest, the_fence_of_an_earlier_build_is_its_last_owners) {
  std::filesystem::create_directories(context_.actions_folder);
  std::ofstream(path("actions/fence-0")) << "5\n";
  EXPECT_EQ(*raise_fence(context_, 0, 6), std::vector<std::int64_t>({5}));
}

TEST_F(AtMostOnceTest, a_broken_fence_stops_everything) {
  ASSERT_TRUE(raise_fence(context_, 0, 1));
  std::ofstream(path("actions/fence-0")) << "not a number";
  EXPECT_EQ(carry(counted_order()).status, "failed");
  EXPECT_FALSE(raise_fence(context_, 0, 9));
  EXPECT_EQ(runs(), "");
}

TEST_F(AtMostOnceTest, a_shim_killed_after_its_mark_is_in_doubt_for_ever) {
  const StepOrder order = counted_order();
  setenv("SELF_HEAL_SHIM_FAILPOINT", "after_started", 1);
  EXPECT_EQ(carry(order).status, "in_doubt");
  unsetenv("SELF_HEAL_SHIM_FAILPOINT");
  EXPECT_EQ(trace(order), StepTrace::died);
  EXPECT_EQ(carry(order).status, "in_doubt");
  EXPECT_EQ(await_step(order, context_).status, "in_doubt");
  EXPECT_EQ(runs(), "");
}

TEST_F(AtMostOnceTest, a_shim_killed_after_the_effect_is_in_doubt_and_does_not_repeat_it) {
  const StepOrder order = counted_order();
  setenv("SELF_HEAL_SHIM_FAILPOINT", "after_effect", 1);
  EXPECT_EQ(carry(order).status, "in_doubt");
  unsetenv("SELF_HEAL_SHIM_FAILPOINT");
  EXPECT_EQ(carry(order).status, "in_doubt");
  EXPECT_EQ(runs(), "run\n");
}

TEST_F(AtMostOnceTest, a_shim_killed_after_its_result_is_finished) {
  const StepOrder order = counted_order();
  setenv("SELF_HEAL_SHIM_FAILPOINT", "after_result", 1);
  const StepResult result = carry(order);
  EXPECT_EQ(result.status, "ok");
  EXPECT_EQ(result.output, "done\n");
}

TEST_F(AtMostOnceTest, a_killed_owner_does_not_stop_the_step) {
  const StepOrder order = held_order();
  const pid_t owner = fork();
  if (owner == 0) {
    carry(order);
    _exit(0);
  }
  EXPECT_TRUE(eventually([&] { return runs() == "run\n"; }));
  kill(owner, SIGKILL);
  waitpid(owner, nullptr, 0);
  EXPECT_EQ(trace(order), StepTrace::running);
  StepResult awaited;
  std::thread waiter([&] { awaited = await_step(order, context_); });
  release();
  waiter.join();
  EXPECT_EQ(awaited.status, "ok");
  EXPECT_EQ(awaited.output, "held\n");
  EXPECT_EQ(carry(order), awaited);
  EXPECT_EQ(runs(), "run\nend\n");
}

TEST_F(AtMostOnceTest, a_program_goes_on_holding_the_lock_of_its_killed_shim) {
  const StepOrder order = held_order();
  StepResult carried;
  std::thread runner([&] { carried = carry(order); });
  EXPECT_TRUE(eventually([&] { return runs() == "run\n"; }));
  const std::string mark = read_text(start_folder(context_.actions_folder, order) + "/started");
  const std::size_t digits = mark.find("\"pid\":");
  ASSERT_NE(digits, std::string::npos) << mark;
  kill(std::atoi(mark.c_str() + digits + 6), SIGKILL);
  EXPECT_EQ(trace(order), StepTrace::running);
  release();
  runner.join();
  EXPECT_EQ(carried.status, "in_doubt");
  EXPECT_EQ(carry(order).status, "in_doubt");
  EXPECT_EQ(runs(), "run\nend\n");
}

TEST_F(AtMostOnceTest, tests_can_stop_before_anything_exists) {
  StepOrder order = counted_order();
  context_.failpoint = [](const char* point) { throw std::string(point); };
  EXPECT_THROW(carry(order), std::string);
  EXPECT_EQ(trace(order), StepTrace::none);
}

TEST_F(AtMostOnceTest, names_stay_in_their_folder) {
  for (const char* name : {"", "..", "a/b", "../x", "a b", "a.b"}) {
    StepOrder order = counted_order();
    order.action_id = name;
    EXPECT_EQ(carry(order).status, "failed") << name;
    EXPECT_EQ(trace(order), StepTrace::none) << name;
  }
  StepOrder order = counted_order();
  order.action_id = std::string(129, 'a');
  EXPECT_EQ(carry(order).status, "failed");
  EXPECT_EQ(runs(), "");
}

TEST_F(AtMostOnceTest, files_are_for_their_owner_only) {
  const StepOrder order = counted_order();
  carry(order);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_ / "actions")) {
    const auto others = std::filesystem::perms::group_all | std::filesystem::perms::others_all;
    EXPECT_EQ(entry.status().permissions() & others, std::filesystem::perms::none) << entry.path();
  }
}

TEST_F(AtMostOnceTest, a_program_that_is_no_shim_fails_and_runs_nothing) {
  const StepOrder order = counted_order();
  context_.program = path("nothing");
  EXPECT_THAT(carry(order).output, HasSubstr("nothing ran"));
  context_.program = "/bin/true";
  EXPECT_EQ(carry(order).status, "failed");
  EXPECT_EQ(runs(), "");
}

}  // namespace
}  // namespace selfheal
