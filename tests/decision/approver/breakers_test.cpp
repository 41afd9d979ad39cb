#include "decision/approver/breakers.hpp"

#include <gtest/gtest.h>

namespace selfheal {
namespace {

const std::string key = Breakers::key_of("restart", "");
constexpr TimeMs open_ms = 10'000;
constexpr TimeMs half_open_ms = open_ms + 300'000;

Outcome outcome(const std::string& action_id, const std::string& result) {
  return {.action_id = action_id, .result = result};
}

struct Opened : testing::Test {
  Opened() {
    limits.failures = 1;
    limits.reset.ms = half_open_ms - open_ms;
    end("act-0", "not_recovered", open_ms);
  }
  void end(const std::string& action_id, const std::string& result, TimeMs tick_ms) {
    breakers.on_outcome(key, outcome(action_id, result), {.tick_ms = tick_ms}, limits);
  }
  void try_by(const std::string& name) {
    breakers.on_approved(key, "prop-" + name);
    breakers.on_intent(key, "prop-" + name, "act-" + name);
  }
  BreakerSettings limits;
  Breakers breakers;
};
using BreakersTest = Opened;

TEST_F(BreakersTest, OneTriesFromItsApprovalOn) {
  EXPECT_FALSE(breakers.lets_through(key, half_open_ms - 1));
  EXPECT_TRUE(breakers.lets_through(key, half_open_ms));
  breakers.on_approved(key, "prop-1");
  EXPECT_FALSE(breakers.lets_through(key, half_open_ms));
  breakers.on_intent(key, "prop-1", "act-1");
  EXPECT_FALSE(breakers.lets_through(key, half_open_ms));
  end("act-1", "recovered", half_open_ms);
  EXPECT_TRUE(breakers.lets_through(key, half_open_ms));
}

TEST_F(BreakersTest, OnlyTheRunThatTriesGivesItsTryBack) {
  try_by("1");
  breakers.on_nothing_done(key, "act-2");
  EXPECT_FALSE(breakers.lets_through(key, half_open_ms));
  breakers.on_nothing_done(key, "act-1");
  EXPECT_TRUE(breakers.lets_through(key, half_open_ms));
}

TEST_F(BreakersTest, WhatOlderPagesSayOfAnEndedTrialIsForgotten) {
  try_by("1");
  breakers.forget_trials([](const std::string& id) { return id != "act-1"; });
  EXPECT_FALSE(breakers.lets_through(key, half_open_ms)) << "it is under way";
  breakers.forget_trials([](const std::string& id) { return id == "act-1"; });
  EXPECT_TRUE(breakers.lets_through(key, half_open_ms));
}

}  // namespace
}  // namespace selfheal
