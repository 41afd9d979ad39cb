// A few schedules as ordinary tests; script/test runs many more with selfheal_simulate.
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

}  // namespace
}  // namespace selfheal::simulation
