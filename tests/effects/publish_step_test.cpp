#include <gmock/gmock.h>
#include <sys/wait.h>

#include <csignal>

#include "effects_fixture.hpp"

namespace selfheal {
namespace {

using testing::HasSubstr;

class PublishStepTest : public EffectsTest {
 protected:
  void SetUp() override {
    EffectsTest::SetUp();
    // A bus in a file, so that a killed process's records can be counted.
    context_.publish = [this](const PublishCall& record, const std::string& key, DurationMs) {
      std::ofstream(path("bus"), std::ios::app) << key << "|" << record.value << "\n";
      return PublishEnd{end_, "stored in there/0"};
    };
  }
  StepOrder record_order() {
    StepOrder made = order();
    made.what.publish = {PublishCall{.topic = "there", .value = "go"}};
    return made;
  }
  // The process that carries the order out dies at the point.
  void die_at(const std::string& point, const StepOrder& order) {
    const pid_t owner = fork();
    if (owner == 0) {
      context_.failpoint = [&](const char* reached) {
        if (reached == point) kill(getpid(), SIGKILL);
      };
      carry(order);
      _exit(0);
    }
    int status = 0;
    waitpid(owner, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status)) << point << " was not reached";
  }
  std::string bus() const { return read_text(path("bus")); }

  PublishEnd::Kind end_ = PublishEnd::Kind::stored;
};

TEST_F(PublishStepTest, a_record_carries_its_key_and_is_written_once) {
  const StepOrder order = record_order();
  const StepResult first = carry(order);
  EXPECT_EQ(first.status, "ok");
  EXPECT_EQ(first.output, "stored in there/0");
  EXPECT_EQ(carry(order), first);
  EXPECT_EQ(bus(), "action-1|go\n");
}

TEST_F(PublishStepTest, attempts_share_the_key_and_undoing_has_its_own) {
  StepOrder order = record_order();
  carry(order);
  order.attempt = 2;
  carry(order);
  order.rollback = true;
  carry(order);
  EXPECT_EQ(bus(), "action-1|go\naction-1|go\naction-1-rollback|go\n");
}

TEST_F(PublishStepTest, what_the_bus_says_decides) {
  end_ = PublishEnd::Kind::refused;
  EXPECT_EQ(carry(record_order()).status, "failed");
  end_ = PublishEnd::Kind::unknown;
  EXPECT_EQ(carry(record_order()).status, "in_doubt");
  context_.publish = nullptr;
  EXPECT_THAT(carry(record_order()).output, HasSubstr("there is no bus here"));
}

TEST_F(PublishStepTest, a_late_or_fenced_start_writes_nothing) {
  StepOrder order = record_order();
  order.valid_until_ms = wall_clock_ms() - 1;
  EXPECT_EQ(carry(order).status, "expired");
  ASSERT_TRUE(raise_fence(context_, 0, 5));
  EXPECT_EQ(carry(record_order()).status, "fenced");
  EXPECT_EQ(bus(), "");
}

TEST_F(PublishStepTest, a_service_killed_before_it_began_leaves_nothing) {
  const StepOrder order = record_order();
  die_at("after_started", order);
  EXPECT_EQ(trace_step(order, context_).trace, StepTrace::died);
  EXPECT_EQ(carry(order).status, "in_doubt") << "begun, and nobody knows more";
  EXPECT_EQ(bus(), "");
}

TEST_F(PublishStepTest, a_service_killed_after_the_record_is_in_doubt_and_the_key_tells) {
  StepOrder order = record_order();
  die_at("after_effect", order);
  EXPECT_EQ(carry(order).status, "in_doubt");
  EXPECT_EQ(bus(), "action-1|go\n");
  // What the runner does for an idempotent effect: another attempt, which a reader recognises.
  order.attempt = 2;
  EXPECT_EQ(carry(order).status, "ok");
  EXPECT_EQ(bus(), "action-1|go\naction-1|go\n");
}

TEST_F(PublishStepTest, a_service_killed_after_the_result_has_it) {
  const StepOrder order = record_order();
  die_at("after_result", order);
  EXPECT_EQ(trace_step(order, context_).trace, StepTrace::finished);
  EXPECT_EQ(carry(order).status, "ok");
  EXPECT_EQ(bus(), "action-1|go\n");
}

}  // namespace
}  // namespace selfheal
