// A series that stops sending: what its last bucket shows is seen all the same, by tick alone.
#include <gtest/gtest.h>

#include <memory>

#include "decision/predictor/predictor.hpp"

namespace selfheal {
namespace {

constexpr TimeMs begin_ms = 1'800'000'000'000;

// A predictor fed cut by cut.
class Shard {
 public:
  explicit Shard(Settings settings) : settings_(std::make_shared<const Settings>(settings)) {
    predictor_->configure(settings_);
  }

  // One value of each of `count` series.
  void values(double value, int count = 1) {
    auto batch = std::make_shared<SignalBatch>();
    for (int i = 0; i < count; ++i) {
      batch->signals.push_back({.time_ms = now_ms,
                                .received_ms = now_ms,
                                .service = batch->keep("service-" + std::to_string(i)),
                                .metric = "error_rate",
                                .value = value});
    }
    cut(batch);
  }

  // Cuts without input, each when it is due, as the cutter makes them.
  int pass(DurationMs duration_ms, bool caught_up = true) {
    const TimeMs end_ms = now_ms + duration_ms;
    int cuts = 0;
    while (predictor_->next_due_ms() <= end_ms) {
      now_ms = std::max(now_ms, predictor_->next_due_ms());
      if (caught_up) through_ms = now_ms;
      cut(std::make_shared<SignalBatch>());
      ++cuts;
    }
    now_ms = end_ms;
    return cuts;
  }

  // Goes on from what is saved, as after a restart.
  void restart() {
    PageMap saved;
    predictor_->save(saved);
    for (const auto& [key, value] : saved.pages) pages_[key] = value;
    predictor_ = std::make_unique<Predictor>();
    predictor_->configure(settings_);
    for (const auto& [key, value] : pages_) EXPECT_TRUE(predictor_->load(key, value)) << key;
    predictor_->finish_load();
  }

  void cut(std::shared_ptr<const SignalBatch> signals) {
    Token token;
    token.facts.seq = ++seq_;
    token.settings = settings_;
    token.signals = signals;
    token.cut.tick_ms = now_ms;
    token.cut.caught_up_through_ms = through_ms == 0 ? now_ms : through_ms;
    predictor_->receive(token);
    predictor_->settle(token.events, token.facts, now_ms);
    digest = hash64(std::string_view(reinterpret_cast<const char*>(&token.touched_digest),
                                     sizeof token.touched_digest),
                    digest);
    for (const Event& event : token.events) {
      if (const auto* found = std::get_if<Diagnosis>(&event.body)) {
        diagnoses.push_back(found->code + " " + event.causation_id);
      }
    }
  }

  TimeMs now_ms = begin_ms;
  TimeMs through_ms = 0;
  std::uint64_t digest = 0;
  std::vector<std::string> diagnoses;

 private:
  std::shared_ptr<const Settings> settings_;
  std::unique_ptr<Predictor> predictor_ = std::make_unique<Predictor>();
  std::map<std::string, std::string> pages_;
  std::int64_t seq_ = 0;
};

// Healthy for a while; then three buckets of errors, which the rule asks for, and silence: nothing
// closes the third.
void fail_and_fall_silent(Shard& shard) {
  for (int i = 0; i < 60; ++i) {
    shard.values(0.01);
    shard.pass(10'000);
  }
  // From a bucket's beginning, so that all are in three.
  shard.now_ms = (shard.now_ms / 60'000 + 1) * 60'000;
  for (int i = 0; i < 17; ++i) {
    shard.values(0.9);
    shard.pass(10'000);
  }
}

TEST(SilentSeries, TheLastBucketIsSeen) {
  Shard shard{Settings{}};
  fail_and_fall_silent(shard);
  EXPECT_TRUE(shard.diagnoses.empty()) << "the bucket is open";
  // The bucket's end, what may come late, and one walk over the series.
  shard.pass(10'000 + 5'000 + 30'000);
  EXPECT_EQ(shard.diagnoses, std::vector<std::string>{"elevated_errors timer"});
}

TEST(SilentSeries, ItIsTheSameAfterARestartAtAnyCut) {
  Shard straight{Settings{}};
  fail_and_fall_silent(straight);
  straight.pass(100'000);
  Shard restarted{Settings{}};
  fail_and_fall_silent(restarted);
  for (int i = 0; i < 100; ++i) {
    restarted.restart();
    restarted.pass(1000);
  }
  EXPECT_EQ(restarted.diagnoses, straight.diagnoses);
  EXPECT_EQ(restarted.digest, straight.digest);
}

TEST(SilentSeries, WhatHasNotBeenTakenIsNoSilence) {
  Shard shard{Settings{}};
  fail_and_fall_silent(shard);
  // The input is behind: values of this bucket may be in it.
  shard.through_ms = shard.now_ms - 10'000;
  shard.pass(300'000, false);
  EXPECT_TRUE(shard.diagnoses.empty());
  shard.pass(60'000);
  EXPECT_EQ(shard.diagnoses.size(), 1U);
}

TEST(SilentSeries, NothingIsDueOnceEveryBucketIsClosed) {
  Shard shard{Settings{}};
  shard.values(0.01, 10);
  EXPECT_GT(shard.pass(200'000), 0);
  EXPECT_EQ(shard.pass(10'000'000), 0);
  // Values as rare as these are buckets by themselves; new series are not.
  shard.values(0.01, 10);
  EXPECT_EQ(shard.pass(200'000), 0);
  shard.values(0.01, 20);
  EXPECT_GT(shard.pass(200'000), 0);
}

TEST(SilentSeries, ManySeriesAreSpreadOverTheWalk) {
  Shard shard{Settings{}};
  shard.values(0.01, 10'000);
  const int cuts = shard.pass(26'000);
  EXPECT_GE(cuts, 1);
  const int walk = shard.pass(25'000);
  // Nine stretches of about 1,100 series each.
  EXPECT_GE(walk, 8);
  EXPECT_LE(walk, 10);
}

}  // namespace
}  // namespace selfheal
