#include "decision/learner/posteriors.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/check.hpp"
#include "base/philox.hpp"
#include "decision/learner/beta_bins.hpp"

namespace selfheal {
namespace {

constexpr std::int64_t hour_ms = 3'600'000;
constexpr std::int64_t day_ms = 24 * hour_ms;
constexpr std::int64_t start_ms = 1'700'000'000'000;
constexpr double gate = 0.7;
const ArmKey arm{"api", "service_down", "restart_service"};

ArmBelief read(const Posteriors& posteriors, const ArmKey& key, const Prior& prior = {},
               const Context& context = {}, std::int64_t now_ms = start_ms) {
  return posteriors.read(now_ms, key.service, key.diagnosis, key.playbook, prior, context);
}

void learn(Posteriors& posteriors, const ArmKey& key, bool success, const Prior& prior = {},
           const Context& context = {}, std::int64_t now_ms = start_ms, double seconds = 30) {
  const double mean = read(posteriors, key, prior, context, now_ms).context_free_mean;
  posteriors.learn(now_ms, key, {success, seconds, mean, context});
}

TEST(Posteriors, WithoutHistoryThePriorCounts) {
  const ArmBelief belief = read({}, arm, {0.9, 8});
  EXPECT_DOUBLE_EQ(belief.alpha, 7.2);
  EXPECT_DOUBLE_EQ(belief.beta, 0.8);
  EXPECT_DOUBLE_EQ(belief.mean, 0.9);
  EXPECT_DOUBLE_EQ(belief.context_free_mean, 0.9);
  EXPECT_DOUBLE_EQ(belief.draw_alpha, 43.2);
  EXPECT_DOUBLE_EQ(belief.draw_beta, 4.8);
}

// Worked by hand: one failure counts at the narrow and at the wide level, m1 = 7.2/9 = 0.8,
// A = 6.4, B = 2.6. Each shift then is -0.9 / (0.09 + 5).
TEST(Posteriors, OneFailureGivesTheValuesWorkedByHand) {
  Posteriors posteriors;
  learn(posteriors, arm, false, {0.9, 8});
  const ArmBelief belief = read(posteriors, arm, {0.9, 8});
  EXPECT_NEAR(belief.alpha, 6.4, 1e-12);
  EXPECT_NEAR(belief.beta, 2.6, 1e-12);
  const double z = std::exp(3 * -0.9 / 5.09);
  EXPECT_NEAR(belief.mean, 6.4 * z / (2.6 + 6.4 * z), 1e-12);
  EXPECT_NEAR(belief.draw_alpha, 6 * 9 * belief.mean, 1e-9);
  EXPECT_NEAR(belief.draw_beta, 6 * 9 * (1 - belief.mean), 1e-9);
}

TEST(Posteriors, DecayByTrialsBoundsTheEvidence) {
  Posteriors posteriors;
  for (int i = 0; i < 2000; ++i) learn(posteriors, arm, true);
  const ArmBelief belief = read(posteriors, arm);
  EXPECT_LT(belief.alpha + belief.beta, 14.95 + 8);
  EXPECT_LT(posteriors.wide_rows().begin()->second.counts.successes, 72.7);
  EXPECT_GT(belief.mean, 0.97);
  EXPECT_LE(belief.mean, 1.0);
}

// The mean after a run of failures from the cold, as used to size the priors: context-free, since
// the shifts move the mean only in the context that saw the failures.
TEST(Posteriors, ColdStartClosesAndReopensAsSized) {
  struct Case {
    Prior prior;
    int failures_to_close;
    int successes_to_reopen;
  };
  const Case cases[] = {
      {{0.90, 8}, 2, 3}, {{0.82, 6}, 1, 2}, {{7 / 9.5, 9.5}, 1, 2}, {{0.60, 8}, 0, 2}};
  for (const Case& c : cases) {
    Posteriors posteriors;
    int failures = 0;
    while (read(posteriors, arm, c.prior).context_free_mean >= gate) {
      learn(posteriors, arm, false, c.prior);
      ++failures;
    }
    int successes = 0;
    while (read(posteriors, arm, c.prior).context_free_mean < gate) {
      learn(posteriors, arm, true, c.prior);
      ++successes;
    }
    EXPECT_EQ(failures, c.failures_to_close) << c.prior.mean;
    EXPECT_EQ(successes, c.successes_to_reopen) << c.prior.mean;
  }
}

// The gate looks at the mean with context, which is stricter where the failure happened.
TEST(Posteriors, OneColdFailureClosesItsOwnContextOnly) {
  const Prior prior{0.9, 8};
  Posteriors posteriors;
  learn(posteriors, arm, false, prior, {0, 0, false});
  EXPECT_LT(read(posteriors, arm, prior, {0, 0, false}).mean, gate);
  EXPECT_GE(read(posteriors, arm, prior, {2, 1, true}).mean, gate);
}

TEST(Posteriors, BorrowsFromWiderLevels) {
  Posteriors posteriors;
  for (int i = 0; i < 20; ++i) learn(posteriors, arm, true);
  const double same_trouble = read(posteriors, {"other", arm.diagnosis, arm.playbook}).mean;
  const double other_trouble = read(posteriors, {"other", "disk_full", arm.playbook}).mean;
  EXPECT_GT(read(posteriors, arm).mean, same_trouble);
  EXPECT_GT(same_trouble, other_trouble);
  EXPECT_GT(other_trouble, 0.6);
  EXPECT_DOUBLE_EQ(read(posteriors, {"api", "service_down", "other"}).mean, 0.6);
}

TEST(Posteriors, AgeTakesABeliefBackToItsPrior) {
  Posteriors posteriors;
  for (int i = 0; i < 10; ++i) learn(posteriors, arm, false, {0.9, 8});
  const auto mean_at = [&](std::int64_t now_ms) {
    return read(posteriors, arm, {0.9, 8}, {}, now_ms).context_free_mean;
  };
  EXPECT_LT(mean_at(start_ms), mean_at(start_ms + 180 * day_ms));
  EXPECT_NEAR(mean_at(start_ms + 180 * 60 * day_ms), 0.9, 1e-9);
  // A clock that steps back ages nothing.
  EXPECT_EQ(mean_at(start_ms), mean_at(start_ms - day_ms));
  const NarrowRow before = posteriors.narrow_rows().at(arm);
  learn(posteriors, arm, true, {}, {}, start_ms + 180 * day_ms);
  EXPECT_NEAR(posteriors.narrow_rows().at(arm).counts.failures,
              before.counts.failures / 2 * narrow_decay_per_trial, 1e-12);
}

TEST(Posteriors, ContextShiftsSeparateNightFromDay) {
  Posteriors posteriors;
  const Context night{0, 1, false};
  const Context day{2, 1, false};
  for (int i = 0; i < 200; ++i) {
    learn(posteriors, arm, i % 10 != 0, {}, night);
    learn(posteriors, arm, i % 10 == 0, {}, day);
  }
  EXPECT_GT(read(posteriors, arm, {}, night).mean, 0.75);
  EXPECT_LT(read(posteriors, arm, {}, day).mean, 0.25);
  // Another service in the same trouble profits at once.
  EXPECT_GT(read(posteriors, {"other", arm.diagnosis, arm.playbook}, {}, night).mean, 0.7);
}

TEST(Posteriors, DrawParametersStayInRange) {
  Posteriors posteriors;
  for (int i = 0; i < 300; ++i) learn(posteriors, arm, false, {0.0, 0.01});
  const ArmBelief belief = read(posteriors, arm, {0.0, 0.01});
  EXPECT_EQ(belief.draw_alpha, beta_parameter_min);
  EXPECT_LE(belief.draw_beta, beta_parameter_max);
}

TEST(Posteriors, FloorDoublesFromTheThirdFailureAndSuccessResets) {
  Posteriors posteriors;
  const auto floored_until = [&](std::int64_t now_ms) {
    return posteriors.floored_until_ms(now_ms, arm.service, arm.diagnosis, arm.playbook);
  };
  EXPECT_EQ(floored_until(start_ms), 0);
  learn(posteriors, arm, false);
  learn(posteriors, arm, false);
  EXPECT_EQ(floored_until(start_ms), 0);
  for (int j = 0; j < 12; ++j) {
    const std::int64_t now_ms = start_ms + j * 8 * day_ms;
    learn(posteriors, arm, false, {}, {}, now_ms);
    const std::int64_t wait_ms = std::min(hour_ms << j, 7 * day_ms);
    EXPECT_EQ(floored_until(now_ms), now_ms + wait_ms) << j;
    EXPECT_EQ(floored_until(now_ms + wait_ms), 0);
  }
  const std::int64_t last_ms = start_ms + 11 * 8 * day_ms;
  learn(posteriors, arm, true, {}, {}, last_ms);
  EXPECT_EQ(floored_until(last_ms), 0);
  learn(posteriors, arm, false, {}, {}, last_ms);
  EXPECT_EQ(floored_until(last_ms), 0);
  EXPECT_EQ(posteriors.floored_until_ms(last_ms, "other", arm.diagnosis, arm.playbook), 0);
}

TEST(Posteriors, TrackRecordSumsUpWhatHappened) {
  Posteriors posteriors;
  const auto record = [&] {
    return posteriors.track_record(start_ms, arm.service, arm.diagnosis, arm.playbook);
  };
  EXPECT_EQ(record(), TrackRecord{});
  learn(posteriors, arm, true, {}, {}, start_ms - 2000, 40);
  learn(posteriors, arm, false, {}, {}, start_ms - 1000, 9999);
  learn(posteriors, arm, true, {}, {}, start_ms, 20);
  EXPECT_EQ(record().successes, 2U);
  EXPECT_EQ(record().failures, 1U);
  EXPECT_EQ(record().last_outcome_ms, start_ms);
  EXPECT_NEAR(record().success_rate, 0.667, 0.03);
  // The later time weighs a little more; the failure has none.
  EXPECT_NEAR(record().mean_seconds_to_recover,
              (40 * narrow_decay_per_trial + 20) / (narrow_decay_per_trial + 1), 1e-6);
}

TEST(Posteriors, RowsRestoreTheWholeState) {
  Posteriors original;
  for (int i = 0; i < 50; ++i) {
    learn(original, {"s" + std::to_string(i % 5), "disk_full", "p" + std::to_string(i % 3)},
          i % 4 != 0, {}, {i % 4, i % 3, i % 2 == 0}, start_ms + i * hour_ms);
  }
  Posteriors restored;
  for (const auto& [key, row] : original.narrow_rows()) restored.set(key, row);
  for (const auto& [key, row] : original.wide_rows()) restored.set(key, row);
  EXPECT_FALSE(restored == original);
  for (const auto& [key, row] : original.playbook_rows()) restored.set(key, row);
  EXPECT_TRUE(restored == original);
}

TEST(Posteriors, RefusesWhatCannotBe) {
  const StageScope stage;
  Posteriors posteriors;
  EXPECT_THROW(read(posteriors, arm, {1.5, 8}), CheckFailure);
  EXPECT_THROW(read(posteriors, arm, {0.5, 0}), CheckFailure);
  EXPECT_THROW(read(posteriors, arm, {}, {4, 0, false}), CheckFailure);
  EXPECT_THROW(posteriors.learn(start_ms, arm, {true, -1, 0.5, {}}), CheckFailure);
  EXPECT_THROW(posteriors.learn(start_ms, arm, {true, 1, 1.5, {}}), CheckFailure);
  EXPECT_EQ(posteriors, Posteriors{});
}

// FNV-1a over the bits of a value.
void add_bits(std::uint64_t& digest, std::uint64_t bits) {
  for (int shift = 0; shift < 64; shift += 8) {
    digest = (digest ^ (bits >> shift & 0xff)) * 0x100000001b3ULL;
  }
}

// Two thousand outcomes in four services must leave exactly these bits, on every machine and under
// every optimisation: recorded histories are replayed for years. A change of this number is a
// change of the algorithm.
TEST(Posteriors, LearningIsStableToTheLastBit) {
  Posteriors posteriors;
  std::uint64_t digest = 0xcbf29ce484222325ULL;
  for (std::uint32_t i = 0; i < 2000; ++i) {
    const auto pick = [&](std::uint32_t draw, int count) {
      return static_cast<int>(uniform_draw(42, {i, 0, draw}) * count);
    };
    const ArmKey key{"s" + std::to_string(pick(0, 4)), "d" + std::to_string(pick(1, 3)),
                     "p" + std::to_string(pick(2, 3))};
    const Context context{pick(3, 4), pick(4, 3), pick(5, 2) == 1};
    const Prior prior{0.6 + 0.1 * pick(6, 4), 8};
    const std::int64_t now_ms = start_ms + i * hour_ms;
    learn(posteriors, key, pick(7, 10) < 7, prior, context, now_ms, pick(8, 300));
    const ArmBelief belief = read(posteriors, key, prior, context, now_ms);
    for (const double value : {belief.alpha, belief.beta, belief.mean, belief.draw_alpha}) {
      add_bits(digest, std::bit_cast<std::uint64_t>(value));
    }
    for (const double edge : beta_bins(belief.draw_alpha, belief.draw_beta)) {
      add_bits(digest, std::bit_cast<std::uint64_t>(edge));
    }
  }
  EXPECT_EQ(digest, 0x9b825affd089496eULL) << std::hex << digest;
}

}  // namespace
}  // namespace selfheal
