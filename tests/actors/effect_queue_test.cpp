#include "actors/effect_queue.hpp"

#include <gtest/gtest.h>

#include <string>

namespace selfheal {
namespace {

struct Task {
  bool is_probe = false;
  struct {
    TimeMs valid_until_ms = 0;
  } probe;
  std::string name;
};

constexpr TimeMs now_ms = 1'000;

Task step(const std::string& name) {
  return {.name = name};
}
Task probe(const std::string& name, TimeMs valid_until_ms = now_ms) {
  return {.is_probe = true, .probe = {valid_until_ms}, .name = name};
}
std::string name_of(const std::optional<Task>& task) {
  return task ? task->name : "";
}

TEST(EffectQueue, StepsGoBeforeProbesAndEachInItsOrder) {
  EffectQueue<Task> queue;
  queue.push(probe("looks"));
  queue.push(step("acts"));
  queue.push(step("acts again"));
  EXPECT_EQ(name_of(queue.next(0, 0, now_ms)), "acts");
  EXPECT_EQ(name_of(queue.next(1, 0, now_ms)), "acts again");
  EXPECT_EQ(name_of(queue.next(2, 0, now_ms)), "looks");
  EXPECT_EQ(name_of(queue.next(3, 1, now_ms)), "");
}

TEST(EffectQueue, ProbesThatHangLeaveThreadsToSteps) {
  EffectQueue<Task> queue;
  queue.push(probe("looks"));
  EXPECT_EQ(name_of(queue.next(live_probes_max, live_probes_max, now_ms)), "");
  queue.push(step("acts"));
  EXPECT_EQ(name_of(queue.next(live_probes_max, live_probes_max, now_ms)), "acts");
  EXPECT_EQ(name_of(queue.next(live_probes_max, live_probes_max - 1, now_ms)), "looks");
}

TEST(EffectQueue, WhereAllThreadsAreTakenEverythingWaits) {
  EffectQueue<Task> queue;
  queue.push(step("acts"));
  EXPECT_EQ(name_of(queue.next(live_effects_max, 0, now_ms)), "");
  EXPECT_EQ(name_of(queue.next(live_effects_max - 1, 0, now_ms)), "acts");
}

TEST(EffectQueue, AProbeWhoseTimeHasPassedIsNotBegun) {
  EffectQueue<Task> queue;
  queue.push(probe("given up", now_ms - 1));
  queue.push(probe("in time", now_ms));
  EXPECT_EQ(name_of(queue.next(0, 0, now_ms)), "in time");
  EXPECT_EQ(name_of(queue.next(0, 0, now_ms)), "");
}

}  // namespace
}  // namespace selfheal
