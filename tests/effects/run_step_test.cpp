#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>

#include "base/hash.hpp"
#include "effects_fixture.hpp"

namespace selfheal {
namespace {

using testing::HasSubstr;
using testing::Not;

class RunStepTest : public EffectsTest {};

TEST_F(RunStepTest, hostile_arguments_stay_one_argument_each) {
  const std::string hostile[] = {"; rm -rf /", "two\nlines", "--flag", "$(id)", "'\"`", "", "ä"};
  std::vector<std::string> argv = {"/usr/bin/printf", "<%s>"};
  std::string expected;
  for (const std::string& each : hostile) {
    argv.push_back(each);
    expected += "<" + each + ">";
  }
  const StepResult result = carry(program_order(argv));
  EXPECT_EQ(result.status, "ok");
  EXPECT_EQ(result.output, expected);
  EXPECT_EQ(result.output_hash, to_hex(sha256(expected)));
}

TEST_F(RunStepTest, a_shell_reads_only_its_script) {
  const StepResult result = carry(script_order("printf '%s|' \"$@\"", {"; echo no", "$(echo no)"}));
  EXPECT_EQ(result.output, "; echo no|$(echo no)|");
}

TEST_F(RunStepTest, what_argv_cannot_carry_is_refused) {
  EXPECT_EQ(carry(program_order({"/bin/echo", std::string("a\0b", 3)})).status, "failed");
  EXPECT_EQ(carry(program_order({"/bin/echo", "\xff"})).status, "failed");
  EXPECT_EQ(carry(program_order({})).status, "failed");
}

TEST_F(RunStepTest, the_environment_is_clean_and_complete) {
  setenv("OF_THE_SERVICE", "leaked", 1);
  write_secret("pager-token", "hunter22\n");
  StepOrder order = script_order(
      "env | cut -d= -f1 | sort | tr '\\n' ' '; test \"$X\" = \"a b\" &&"
      " test \"$SELF_HEAL_SECRET_PAGER_TOKEN\" = hunter22 &&"
      " test \"$SELF_HEAL_ATTEMPT\" = 3 &&"
      " test \"$SELF_HEAL_ACTION_ID\" = action-1");
  order.attempt = 3;
  order.secrets = {"pager-token"};
  order.what.run[0].environment = {{"X", "a b"}, {"SELF_HEAL_ACTION_ID", "forged"}};
  const StepResult result = carry(order);
  EXPECT_EQ(result.status, "ok") << result.output;
  EXPECT_EQ(result.output,
            "HOME LANG PATH PWD SELF_HEAL_ACTION_ID SELF_HEAL_ATTEMPT SELF_HEAL_INCIDENT_ID "
            "SELF_HEAL_SECRET_PAGER_TOKEN SELF_HEAL_SERVICE X ");
  unsetenv("OF_THE_SERVICE");
}

TEST_F(RunStepTest, only_standard_descriptors_and_the_lock_are_inherited) {
  const int leaked = open("/dev/null", O_RDONLY);  // without close-on-exec, as a library may do
  const StepResult result =
      carry(script_order("for each in /proc/$$/fd/*; do readlink $each; done"));
  EXPECT_EQ(std::count(result.output.begin(), result.output.end(), '\n'), 4) << result.output;
  EXPECT_THAT(result.output, HasSubstr("/0.1/lock"));
  close(leaked);
}

TEST_F(RunStepTest, runs_in_its_folder) {
  StepOrder order = program_order({"pwd"});
  order.what.run[0].directory = "/usr";
  EXPECT_EQ(carry(order).output, "/usr\n");
  StepOrder nowhere = program_order({"pwd"});
  nowhere.what.run[0].directory = path("nowhere");
  const StepResult result = carry(nowhere);
  EXPECT_EQ(result.status, "failed");
  EXPECT_THAT(result.output, HasSubstr("working folder"));
}

TEST_F(RunStepTest, reports_exit_codes_and_signals) {
  EXPECT_EQ(carry(program_order({"true"})).exit_code, 0);
  const StepResult seven = carry(script_order("exit 7"));
  EXPECT_EQ(seven.status, "failed");
  EXPECT_EQ(seven.exit_code, 7);
  EXPECT_EQ(carry(script_order("kill -SEGV $$")).exit_code, 128 + SIGSEGV);
  const StepResult missing = carry(program_order({"no-such-program"}));
  EXPECT_EQ(missing.status, "failed");
  EXPECT_EQ(missing.exit_code, 127);
  EXPECT_THAT(missing.output, HasSubstr("cannot run no-such-program"));
  EXPECT_EQ(carry(program_order({path("nothing")})).exit_code, 127);
  EXPECT_EQ(carry(program_order({"/etc/passwd"})).exit_code, 126);
}

TEST_F(RunStepTest, long_output_is_cut_and_its_end_is_kept) {
  const StepResult result =
      carry(script_order("echo first; head -c 5000000 /dev/zero | tr '\\0' x; echo last >&2"));
  EXPECT_EQ(result.status, "ok");
  EXPECT_LE(result.output.size(), 2048U);
  EXPECT_THAT(result.output, testing::StartsWith("first\n"));
  EXPECT_THAT(result.output, testing::EndsWith("last\n"));
}

TEST_F(RunStepTest, binary_output_becomes_text) {
  const StepResult result = carry(script_order("head -c 3000 /dev/zero | tr '\\0' '\\377'"));
  EXPECT_LE(result.output.size(), 2048U);
  EXPECT_THAT(result.output, HasSubstr("\xEF\xBF\xBD"));
}

TEST_F(RunStepTest, the_time_limit_ends_the_whole_group) {
  // One grandchild ignores the polite signal, one has left the group.
  StepOrder order = script_order(
      "(trap '' TERM; exec sleep 1000) & echo $! > one;"
      "setsid sh -c 'echo $$ > two; exec sleep 1000' & wait");
  order.what.run[0].directory = folder_;
  order.what.run[0].timeout = {1000};
  const StepResult result = carry(order);
  EXPECT_EQ(result.status, "timeout");
  for (const char* name : {"one", "two"}) {
    const int process = std::atoi(read_text(path(name)).c_str());
    ASSERT_GT(process, 1) << name;
    EXPECT_TRUE(eventually([&] { return kill(process, 0) != 0; })) << name;
  }
  EXPECT_GE(result.took_ms, 1000);
  EXPECT_LT(result.took_ms, 10000);
}

TEST_F(RunStepTest, the_order_limits_the_program) {
  StepOrder order = program_order({"sleep", "1000"});
  order.runtime_limit_ms = 100;
  const StepResult result = carry(order);
  EXPECT_EQ(result.status, "timeout");
  EXPECT_EQ(result.exit_code, 128 + SIGTERM);
  // Nothing of it was left, so nothing was waited for.
  EXPECT_LT(result.took_ms, 2000);
}

TEST_F(RunStepTest, a_daemon_left_behind_is_not_waited_for) {
  StepOrder order = script_order("sleep 1000 & echo $! > daemon; echo up");
  order.what.run[0].directory = folder_;
  const StepResult result = carry(order);
  EXPECT_EQ(result.status, "ok");
  EXPECT_EQ(result.output, "up\n");
  EXPECT_EQ(trace_step(order, context_).trace, StepTrace::finished);
  kill(std::atoi(read_text(path("daemon")).c_str()), SIGKILL);
}

TEST_F(RunStepTest, secrets_appear_nowhere) {
  const std::string secret = "Zq9-secret-value";
  write_secret("token", secret + "\n");
  StepOrder order = script_order(
      "echo \"token $SELF_HEAL_SECRET_TOKEN\"; for p in $$ $PPID; do"
      " tr '\\0' ' ' < /proc/$p/cmdline; done; echo \"$SELF_HEAL_SECRET_TOKEN\" >&2; exit 1");
  order.secrets = {"token"};
  const StepResult result = carry(order);
  EXPECT_EQ(result.status, "failed");
  EXPECT_THAT(result.output, HasSubstr("token ***\n"));
  EXPECT_THAT(result.output, HasSubstr("effect-shim"));
  EXPECT_THAT(result.output, Not(HasSubstr(secret)));
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_ / "actions")) {
    if (entry.is_regular_file()) {
      EXPECT_THAT(read_text(entry.path()), Not(HasSubstr(secret))) << entry.path();
    }
  }
}

// argv is looked at from outside while the program runs: nothing there tells the secret.
TEST_F(RunStepTest, the_command_line_is_the_approved_one) {
  write_secret("token", "Zq9-secret-value");
  StepOrder order = script_order("echo $$ > process; cat hold", {"argument"});
  order.what.run[0].directory = folder_;
  order.secrets = {"token"};
  ASSERT_EQ(mkfifo(path("hold").c_str(), 0600), 0);
  StepResult result;
  std::thread runner([&] { result = carry(order); });
  EXPECT_TRUE(eventually([&] { return read_text(path("process")).ends_with('\n'); }));
  const std::string process = read_text(path("process"));
  const std::string line = read_text("/proc/" + process.substr(0, process.size() - 1) + "/cmdline");
  EXPECT_THAT(line, HasSubstr("argument"));
  EXPECT_THAT(line, Not(HasSubstr("Zq9")));
  std::ofstream(path("hold")) << "done";
  runner.join();
  EXPECT_EQ(result.output, "done");
}

TEST_F(RunStepTest, a_secret_that_others_can_read_stops_the_step) {
  write_secret("token", "value", 0640);
  StepOrder order = script_order("echo ran > ran");
  order.what.run[0].directory = folder_;
  order.secrets = {"token"};
  const StepResult result = carry(order);
  EXPECT_EQ(result.status, "failed");
  EXPECT_THAT(result.output, HasSubstr("chmod 600"));
  EXPECT_FALSE(std::filesystem::exists(path("ran")));
  // The answer stays, although the reason is gone.
  write_secret("token", "value", 0600);
  EXPECT_EQ(carry(order), result);
}

TEST_F(RunStepTest, a_hundred_steps_and_their_cost) {
  const auto spent_ms = [] {
    double sum = 0;
    for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
      rusage usage{};
      getrusage(who, &usage);
      for (const timeval& each : {usage.ru_utime, usage.ru_stime}) {
        sum += static_cast<double>(each.tv_sec) * 1e3 + static_cast<double>(each.tv_usec) / 1e3;
      }
    }
    return sum;
  };
  const double before = spent_ms();
  constexpr int steps = 100;
  for (int step = 0; step < steps; ++step) {
    ASSERT_EQ(carry(program_order({"/bin/true"})).status, "ok");
  }
  std::printf("%.2f ms of CPU a step\n", (spent_ms() - before) / steps);
}

}  // namespace
}  // namespace selfheal
