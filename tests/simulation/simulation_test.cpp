// A few schedules as ordinary tests, with real hashes and signatures; script/test runs many more
// with selfheal_simulate.
#include "tests/simulation/simulation.hpp"

#include <gtest/gtest.h>

namespace selfheal::simulation {
namespace {

class Schedule : public testing::TestWithParam<std::uint64_t> {};

TEST_P(Schedule, HoldsEveryInvariantAndDecidesTheSameTwice) {
  const SimulationReport report = simulate(GetParam());
  for (const std::string& finding : report.findings) ADD_FAILURE() << finding;
  EXPECT_GT(report.decisions, 0);
  EXPECT_EQ(simulate(GetParam()).digest, report.digest);
}

INSTANTIATE_TEST_SUITE_P(Seeds, Schedule, testing::Range<std::uint64_t>(1, 21));

void expect_no_findings(std::initializer_list<std::uint64_t> seeds) {
  for (const std::uint64_t seed : seeds) {
    for (const std::string& finding : simulate(seed).findings) {
      ADD_FAILURE() << "seed " << seed << ": " << finding;
    }
  }
}

// Given a cut in which only a timer was due and which said nothing.
// Expect it in the journal: dropped, the time that passed in it moves what the verifier remembers,
// and deciding again differs (5). Each seed fails without Token::timer_was_due in is_empty().
TEST(Finding, TimeMovesVerifierStateInDroppedCuts) {
  expect_no_findings({5, 14, 15});
}

// Given an owner whose clock is up to an hour behind.
// Expect its ticks to follow the log's clock: else no timer fires and no run ends (10). Each seed
// fails where CutPlanner::tick_held_to() bounds the tick only from above.
TEST(Finding, ASlowClockFreezesEveryTimer) {
  expect_no_findings({56, 93});
}

// Given a machine that is alone and says so further apart than what counts as a silence of the log.
// Expect it to be told to claim what the dead one had: else nobody ever does (10). Each seed fails
// where Placement::outlast_silence() counts nothing of a silence.
TEST(Finding, ASlowSurvivorKeepsTheDeadPresent) {
  expect_no_findings({200937, 201157, 201297, 202452});
}

// The sum of the schedules with seeds 1 to `schedules`. What a schedule may meet has to be met by
// some: a fault that is no longer injected finds nothing.
SimulationReport expect_every_fault_met(std::uint64_t schedules, const ScheduleShape& shape) {
  SimulationReport sum;
  for (std::uint64_t seed = 1; seed <= schedules; ++seed) {
    const SimulationReport report = simulate(seed, shape);
    for (const std::string& finding : report.findings) ADD_FAILURE() << seed << ": " << finding;
    sum += report;
  }
  EXPECT_GT(sum.crashes, 0);
  EXPECT_GT(sum.effects, 0);
  EXPECT_GT(sum.rewritten, 0);
  EXPECT_GT(sum.zombie_appends, 0);
  EXPECT_GT(sum.poisoned, 0);
  EXPECT_GT(sum.doubts_ended, 0);
  EXPECT_GT(sum.orders, 0);
  EXPECT_GT(sum.reloads, 0);
  EXPECT_GT(sum.disks_lost, 0);
  EXPECT_GT(sum.snapshots_restored, 0);
  EXPECT_GT(sum.snapshots_refused, 0);
  return sum;
}

TEST(Coverage, EveryFaultIsMet) {
  const SimulationReport sum = expect_every_fault_met(120, long_schedule);
  // Two for the record alone, before its skip.
  EXPECT_GE(sum.failed_cuts, 2 * sum.poisoned);
}

// Short ones are too many to be looked at one by one: together they have to meet the same.
TEST(Coverage, EveryFaultIsMetByShortSchedules) {
  const SimulationReport sum = expect_every_fault_met(300, short_schedule);
  EXPECT_GT(sum.effects_among_faults, 0);
}

}  // namespace
}  // namespace selfheal::simulation
