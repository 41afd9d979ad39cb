// Steps that drive systemd, against a program that passes for systemctl: there is no systemd here.
#include <gmock/gmock.h>

#include "effects_fixture.hpp"

namespace selfheal {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class SystemdStepTest : public EffectsTest {
 protected:
  void SetUp() override {
    EffectsTest::SetUp();
    std::filesystem::create_directories(folder_ / "bin");
    // It keeps a list of its arguments, one a line and a dot behind each call, and tells the states
    // that the test lists, one a look; the last one for ever.
    const std::string file = path("bin/systemctl");
    std::ofstream(file) << R"sh(#!/bin/sh
for each in "$@"; do printf '%s\n' "$each" >> "$FOLDER/calls"; done
echo . >> "$FOLDER/calls"
if [ "$1" != show ]; then echo "did $1"; exit "$(cat "$FOLDER/exit")"; fi
line=$(head -n 1 "$FOLDER/states")
if [ "$(wc -l < "$FOLDER/states")" -gt 1 ]; then sed -i 1d "$FOLDER/states"; fi
if [ "$line" = unreadable ]; then exit 1; fi
set -- $line
printf 'ActiveState=%s\nSubState=%s\nResult=%s\n' "$1" "$2" "$3"
)sh";
    ASSERT_EQ(chmod(file.c_str(), 0700), 0);
    exit_with(0);
  }
  void exit_with(int code) { std::ofstream(path("exit")) << code; }
  StepResult act(const std::string& action, const std::string& states,
                 const std::string& unit = "app.service") {
    std::ofstream(path("states")) << states;
    StepOrder made = program_order({"systemctl", action, "--", unit});
    made.what.run[0].environment = {{"PATH", path("bin") + ":/usr/bin:/bin"}, {"FOLDER", folder_}};
    made.what.run[0].timeout.ms = 3000;
    return carry(made);
  }
  std::string calls() const { return read_text(path("calls")); }
};

TEST_F(SystemdStepTest, a_restarted_unit_that_is_active_is_well) {
  const StepResult result = act("restart", "active running success\n");
  EXPECT_EQ(result.status, "ok");
  EXPECT_EQ(result.output,
            "app.service is active (SubState running, Result success)\ndid restart\n");
  EXPECT_EQ(calls(),
            "restart\n--\napp.service\n.\n"
            "show\n--property=ActiveState,SubState,Result\n--\napp.service\n.\n");
}

TEST_F(SystemdStepTest, a_unit_that_fell_over_fails_the_step) {
  for (const char* action : {"start", "restart", "reload"}) {
    const StepResult result = act(action, "failed failed exit-code\n");
    EXPECT_EQ(result.status, "failed") << action;
    EXPECT_THAT(result.output,
                StartsWith("app.service is failed (SubState failed, Result exit-code) after "));
  }
}

TEST_F(SystemdStepTest, a_stopped_unit_is_inactive_or_failed) {
  EXPECT_EQ(act("stop", "inactive dead success\n").status, "ok");
  EXPECT_EQ(act("stop", "failed failed signal\n").status, "ok");
  EXPECT_EQ(act("stop", "active running success\n").status, "failed");
}

TEST_F(SystemdStepTest, a_unit_on_its_way_is_waited_for_within_the_limit) {
  EXPECT_EQ(act("start", "activating start success\nactive running success\n").status, "ok");
  const StepResult never = act("start", "activating auto-restart exit-code\n");
  EXPECT_EQ(never.status, "failed");
  EXPECT_THAT(never.output,
              HasSubstr("activating (SubState auto-restart, Result exit-code) still"));
}

TEST_F(SystemdStepTest, a_state_that_cannot_be_read_is_no_success) {
  const StepResult result = act("restart", "unreadable\n");
  EXPECT_EQ(result.status, "failed");
  EXPECT_THAT(result.output, HasSubstr("its state cannot be read back"));
}

TEST_F(SystemdStepTest, a_refused_action_fails_and_tells_the_state) {
  exit_with(4);
  const StepResult result = act("restart", "active running success\n");
  EXPECT_EQ(result.status, "failed");
  EXPECT_EQ(result.exit_code, 4);
  EXPECT_THAT(result.output, HasSubstr("app.service is active"));
}

TEST_F(SystemdStepTest, hostile_names_never_reach_systemctl) {
  for (const char* unit : {"*", "a b", "--force", "/etc/passwd", "a;reboot", "$(id)", ""}) {
    const StepResult result = act("stop", "inactive dead success\n", unit);
    EXPECT_EQ(result.status, "failed") << unit;
    EXPECT_THAT(result.output, HasSubstr("nothing ran")) << unit;
  }
  EXPECT_EQ(calls(), "");
}

TEST_F(SystemdStepTest, a_shim_killed_in_the_middle_is_in_doubt_like_any_other) {
  setenv("SELF_HEAL_SHIM_FAILPOINT", "after_effect", 1);
  EXPECT_EQ(act("restart", "active running success\n").status, "in_doubt");
  EXPECT_THAT(calls(), HasSubstr("restart\n"));
}

}  // namespace
}  // namespace selfheal
