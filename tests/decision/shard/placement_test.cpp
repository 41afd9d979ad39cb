#include "decision/shard/placement.hpp"

#include <gtest/gtest.h>

#include <set>

namespace selfheal {
namespace {

constexpr std::int64_t shard_count = 6;

// Several processes that read the same records; each record is one beat of one of them.
class PlacementTest : public testing::Test {
 protected:
  void join(const std::string& name) {
    views.emplace(name, Placement(name, name + "-1", shard_count, limits));
    for (std::int64_t shard = 0; shard < shard_count; ++shard) states[name][shard] = "standby";
  }

  Presence presence_of(const std::string& name) {
    Presence presence{name, name + "-1", "build", leaving.contains(name), {}};
    for (const auto& [shard, state] : states[name]) {
      presence.shards.push_back({shard, state, state == "live" ? epochs[shard] : 0, 7});
    }
    return presence;
  }

  void deliver(const Presence& presence) {
    for (auto& [name, view] : views) view.take(presence, now_ms);
  }

  // Everybody but the silent beats every 100 ms and does as told; claims always succeed.
  void run(DurationMs duration_ms) {
    for (const TimeMs end_ms = now_ms + duration_ms; now_ms < end_ms; now_ms += 100) {
      for (const auto& [name, view] : views) {
        if (!silent.contains(name)) deliver(presence_of(name));
      }
      for (auto& [name, view] : views) {
        if (!silent.contains(name)) obey(name, view.orders(now_ms));
      }
    }
  }

  void obey(const std::string& name, const PlacementOrders& orders) {
    for (const PlacementClaim& claim : orders.claims) {
      if (states[name][claim.shard] == "live" || refuses.contains(name)) continue;
      ++epochs[claim.shard];
      states[name][claim.shard] = "live";
      reasons.push_back(claim.reason);
    }
    if (orders.give_away && states[name][*orders.give_away] == "live") {
      states[name][*orders.give_away] = "standby";
    }
  }

  std::int64_t owned(const std::string& name) {
    std::int64_t count = 0;
    for (std::int64_t shard = 0; shard < shard_count; ++shard) {
      if (views.begin()->second.owner_of(shard, now_ms) == name) ++count;
    }
    return count;
  }

  PlacementLimits limits;
  std::map<std::string, Placement> views;
  std::map<std::string, std::map<std::int64_t, std::string>> states;
  std::map<std::int64_t, std::int64_t> epochs;
  std::set<std::string> silent, leaving, refuses;
  std::vector<std::string> reasons;
  TimeMs now_ms = 1'000'000;
};

TEST_F(PlacementTest, OneProcessTakesEverythingAtOnce) {
  join("a");
  run(200);
  EXPECT_EQ(owned("a"), shard_count);
  EXPECT_EQ(reasons, std::vector<std::string>(shard_count, "unowned"));
}

TEST_F(PlacementTest, NothingIsTakenBeforeItsOwnRecordIsRead) {
  Placement placement("a", "a-1", shard_count, limits);
  EXPECT_TRUE(placement.orders(now_ms).claims.empty());
}

TEST_F(PlacementTest, ThoseWhoStartTogetherShare) {
  join("a");
  join("b");
  join("c");
  run(300);
  EXPECT_EQ(owned("a"), 2);
  EXPECT_EQ(owned("b"), 2);
  EXPECT_EQ(owned("c"), 2);
}

TEST_F(PlacementTest, TheSilentOneIsReplacedWithinItsTimeoutAndNotBefore) {
  join("a");
  join("b");
  run(1000);
  silent = {"a"};
  for (auto& [shard, state] : states["a"]) state = "away";
  reasons.clear();
  run(500);
  EXPECT_TRUE(reasons.empty());
  run(300);
  EXPECT_EQ(owned("b"), shard_count);
  EXPECT_EQ(reasons, std::vector<std::string>(3, "owner_silent"));
}

TEST_F(PlacementTest, ACleanStopHandsOverAtOnce) {
  join("a");
  join("b");
  run(1000);
  leaving = {"a"};
  run(100);
  EXPECT_EQ(owned("a"), 3) << "still drains";
  for (auto& [shard, state] : states["a"]) state = "away";
  reasons.clear();
  run(200);
  EXPECT_EQ(owned("b"), shard_count);
  EXPECT_EQ(reasons, std::vector<std::string>(3, "released"));
}

TEST_F(PlacementTest, AnotherTakesWhatTheChosenOneCannot) {
  join("a");
  join("b");
  refuses = {"a"};
  run(300);
  EXPECT_LT(owned("b"), shard_count);
  run(5000);
  EXPECT_EQ(owned("b"), shard_count);
}

TEST_F(PlacementTest, ALogThatWasAwayMakesNobodyAbsent) {
  join("a");
  join("b");
  run(1000);
  reasons.clear();
  now_ms += 60'000;
  // What was sent meanwhile comes in one after the other.
  deliver(presence_of("a"));
  now_ms += 20;
  obey("a", views.at("a").orders(now_ms));
  deliver(presence_of("b"));
  run(2000);
  EXPECT_TRUE(reasons.empty());
  EXPECT_EQ(views.at("a").lapses(), 0);
}

// Given a survivor whose records come further apart than what counts as a silence of the log.
// Expect it to take over all the same: else each of them would keep the dead one present for ever.
TEST_F(PlacementTest, ASlowSurvivorStillReplacesTheDead) {
  join("a");
  join("b");
  run(2000);
  ASSERT_GT(owned("b"), 0);
  constexpr DurationMs apart_ms = 300;
  for (int i = 0; i < 20; ++i) {
    now_ms += apart_ms;
    deliver(presence_of("a"));
    obey("a", views.at("a").orders(now_ms));
  }
  deliver(presence_of("a"));
  EXPECT_EQ(owned("a"), shard_count);
}

TEST_F(PlacementTest, WhoWasTakenForDeadNeedlesslyIsGivenLonger) {
  join("a");
  join("b");
  run(1000);
  silent = {"a"};
  run(700);
  silent.clear();
  for (auto& [shard, state] : states["a"]) state = "standby";
  run(300);
  EXPECT_EQ(views.at("b").lapses(), 1);
  for (std::int64_t shard = 0; shard < shard_count; ++shard) states["b"][shard] = "standby";
  states["a"][0] = "live";
  epochs[0] += 1;
  run(100);
  silent = {"a"};
  reasons.clear();
  run(800);
  EXPECT_EQ(views.at("b").owner_of(0, now_ms), "a") << "its timeout has doubled";
  run(400);
  EXPECT_EQ(views.at("b").owner_of(0, now_ms), "b");
}

TEST_F(PlacementTest, ANewcomerGetsItsShareOnceEverybodyHasSettled) {
  join("a");
  run(1000);
  join("b");
  run(5000);
  EXPECT_EQ(owned("b"), 0);
  run(30'000);
  EXPECT_EQ(owned("a"), 3);
  EXPECT_EQ(owned("b"), 3);
}

TEST_F(PlacementTest, AnotherIncarnationOfItsNameReplacesAProcess) {
  join("a");
  run(500);
  Presence later = presence_of("a");
  later.incarnation = "a-2";
  deliver(later);
  EXPECT_TRUE(views.at("a").replaced());
  EXPECT_TRUE(views.at("a").orders(now_ms).claims.empty());
}

TEST_F(PlacementTest, AnEarlierIncarnationDoesNotEndTheNewOne) {
  Placement placement("a", "a-2", shard_count, limits);
  join("a");
  placement.take(presence_of("a"), now_ms);
  EXPECT_FALSE(placement.replaced());
  EXPECT_EQ(placement.namesake_heard_ms(), now_ms);
}

TEST_F(PlacementTest, TheHigherEpochOwnsWhereTwoSaySo) {
  join("a");
  join("b");
  states["a"][0] = states["b"][0] = "live";
  epochs[0] = 3;
  Presence stale = presence_of("a");
  for (ShardPresence& each : stale.shards) each.epoch = each.shard == 0 ? 2 : 0;
  deliver(presence_of("b"));
  deliver(stale);
  EXPECT_EQ(views.at("a").owner_of(0, now_ms), "b");
  EXPECT_EQ(views.at("a").saved_seq_of(0), 7);
}

}  // namespace
}  // namespace selfheal
