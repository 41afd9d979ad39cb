#include "api/metrics.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace selfheal {
namespace {

// Everything shown at least once, so that the linter sees each family.
void use_everything(Metrics& metrics) {
  metrics.count_signals({1, 2, 3, 4, 5, 6, 7});
  const auto count = [&](EventBody body) { metrics.count_event({"a", "", "timer", body}, 1000); };
  count(Proposal{});
  count(Verdict{.verdict = "approved", .approved_by = "policy"});
  count(Outcome{.result = "recovered", .seconds_to_recover = 4});
  count(RolledBack{});
  count(DeadLettered{.reason = "bad_json: no"});
  count(Forwarded{.signals = 2});
  count(Scored{.score = "TP"});
  metrics.observe_commit(0.001);
  metrics.observe_decide(0.01);
  metrics.observe_stage("predictor", 0.0001);
  metrics.set_lag(0, 0.5, 3);
  metrics.count_ignored("wrong_seq");
  metrics.set_shards({{"live", 4}});
  metrics.set_series(0, 12);
  metrics.set_breakers({{"open", 1}});
  metrics.set_suspected_inputs({2});
  metrics.count_restart("fault");
}

TEST(Metrics, ARollbackInDoubtCountsOnceItHasEnded) {
  for (const char* answer : {"undone", "not_undone"}) {
    Metrics metrics;
    const auto count = [&](EventBody body) { metrics.count_event({"a", "", "timer", body}, 1000); };
    const auto shown = [&](const char* number) {
      return metrics.render(1000).find("\nself_heal_rollbacks_total " + std::string(number)) !=
             std::string::npos;
    };
    count(RolledBack{.result = "in_doubt"});
    EXPECT_TRUE(shown("0")) << answer;
    count(DoubtResolved{.answer = answer});
    if (std::string(answer) == "undone") count(RolledBack{.result = "succeeded"});
    EXPECT_TRUE(shown("1")) << answer;
  }
}

TEST(Metrics, PromtoolFindsNothingToComplainOf) {
  if (std::system("command -v promtool >/dev/null 2>&1") != 0) GTEST_SKIP() << "no promtool";
  Metrics metrics;
  use_everything(metrics);
  const std::string file =
      (std::filesystem::temp_directory_path() / ("metrics-" + std::to_string(getpid()))).string();
  std::ofstream(file) << metrics.render(2000);
  EXPECT_EQ(std::system(("promtool check metrics < " + file + " 1>&2").c_str()), 0);
  std::filesystem::remove(file);
}

// A first time is seen as an increase, and a query for what has never happened has an answer.
TEST(Metrics, WhatHasNotHappenedYetIsShownAsZero) {
  const std::string shown = Metrics().render(1000);
  for (const char* line :
       {R"(signals_total{type="alert"} 0)", R"(decisions_total{type="proposal"} 0)",
        R"(dead_letters_total{reason="bad_json"} 0)", R"(dead_letters_total{reason="skipped"} 0)",
        R"(journal_ignored_total{reason="bad_signature"} 0)",
        R"(journal_ignored_total{reason="tick_ahead"} 0)", R"(runs_total{result="in_doubt"} 0)",
        R"(stage_seconds_count{stage="approver"} 0)", R"(shards{state="standby"} 0)",
        "misrouted_total 0", "rollbacks_total 0", "auto_approved_total 0"}) {
    EXPECT_NE(shown.find("\nself_heal_" + std::string(line)), std::string::npos) << line;
  }
}

TEST(Metrics, WhatNoEventTellsOfCountsAsADeadLetterToo) {
  Metrics metrics;
  metrics.count_dead_letter("skipped: it has killed its shard twice");
  metrics.count_dead_letter("something of which nobody has thought");
  const std::string shown = metrics.render(1000);
  EXPECT_NE(shown.find(R"(dead_letters_total{reason="skipped"} 1)"), std::string::npos);
  EXPECT_NE(shown.find(R"(dead_letters_total{reason="other"} 1)"), std::string::npos);
}

TEST(Metrics, AnInputThatIsTrustedAgainIsShownAsZero) {
  Metrics metrics;
  metrics.set_suspected_inputs({2});
  EXPECT_NE(metrics.render(0).find("self_heal_input_suspected{shard=\"2\"} 1"), std::string::npos);
  metrics.set_suspected_inputs({});
  EXPECT_NE(metrics.render(0).find("self_heal_input_suspected{shard=\"2\"} 0"), std::string::npos);
}

TEST(Metrics, ALagThatIsNotKnownIsAbsent) {
  Metrics metrics;
  metrics.set_lag(3, 0.5, 3);
  EXPECT_NE(metrics.render(0).find("self_heal_lag_seconds{shard=\"3\"}"), std::string::npos);
  metrics.forget_lag(3);
  EXPECT_EQ(metrics.render(0).find("shard=\"3\""), std::string::npos);
}

}  // namespace
}  // namespace selfheal
