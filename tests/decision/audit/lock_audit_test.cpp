// The audit of locks finds what it is for.
#include <gtest/gtest.h>

#include "decision/audit/lock_audit.hpp"

namespace selfheal {
namespace {

constexpr TimeMs begin_ms = 1'800'000'000'000;
constexpr std::int64_t shards = 4;
constexpr std::int64_t fleet_version = 3;

class LockAuditTest : public testing::Test {
 protected:
  void take(std::int64_t shard, std::vector<Event> events, TimeMs tick_ms = begin_ms) {
    JournalRecord record;
    record.kind = JournalKind::batch;
    record.shard = shard;
    record.seq = ++seq;
    record.cut.tick_ms = tick_ms;
    record.events = std::move(events);
    checker.take(record);
  }

  void claim(std::int64_t shard, std::int64_t version) {
    JournalRecord record;
    record.kind = JournalKind::claim;
    record.shard = shard;
    record.fold_version = version;
    checker.take(record);
  }

  static Event granted(const std::string& action_id, const std::string& target,
                       TimeMs until_ms = begin_ms + 60'000) {
    return {"", "", "", LockGranted{action_id, 1, target, "", "", until_ms, {}}};
  }
  static Event requested(const std::string& action_id) {
    return {"", "", "", LockRequested{.action_id = action_id, .number = 1}};
  }
  static Event acquired(const std::string& action_id, TimeMs until_ms = begin_ms + 60'000) {
    return {"", "", "", LockAcquired{action_id, 1, "", until_ms}};
  }
  static Event intent(const std::string& action_id) {
    return {"", "", "", RunIntent{.action_id = action_id, .mode = "execute"}};
  }
  static Event started(const std::string& action_id) {
    RunStarted start{.action_id = action_id};
    start.valid_until_ms = begin_ms + 5'000;
    start.runtime_limit_ms = 30'000;
    return {"", "", "", start};
  }

  std::string what() const {
    return checker.violations().empty() ? "" : checker.violations()[0].what;
  }

  LockAudit checker{shards};
  std::int64_t seq = 0;
};

TEST_F(LockAuditTest, AnHonestStoryHasNoFindings) {
  claim(0, fleet_version);
  take(0, {intent("a"), requested("a")});
  take(shards, {granted("a", "db")});
  take(0, {acquired("a"), started("a")});
  take(0, {{"", "", "", LockReleased{"a", "db"}}});
  take(shards, {{"", "", "", LockFreed{"a", "db", "released", {}}}});
  checker.compare_chains(true);
  EXPECT_EQ(what(), "");
  EXPECT_EQ(checker.starts(), 1);
}

TEST_F(LockAuditTest, TwoHoldersOfOneTarget) {
  take(shards, {granted("a", "db"), granted("b", "db")});
  EXPECT_EQ(what(), "db is granted to b while a holds it");
}

TEST_F(LockAuditTest, MoreLocksThanTheFleetAllows) {
  for (int i = 0; i <= 10; ++i) {
    take(shards, {granted("a" + std::to_string(i), "t" + std::to_string(i))});
  }
  EXPECT_EQ(what(), "more locks are granted than limits.fleet_concurrent allows");
}

TEST_F(LockAuditTest, MoreStartsThanAMinuteAllows) {
  for (int i = 0; i <= 30; ++i) {
    const std::string id = "a" + std::to_string(i);
    take(shards, {granted(id, id), {"", "", "", LockFreed{id, id, "released", {}}}});
  }
  EXPECT_EQ(what(), "more runs begin within a minute than limits.fleet_starts_per_minute allows");
}

TEST_F(LockAuditTest, ALockThatIsTakenAwayTooEarly) {
  take(shards, {granted("a", "db"), {"", "", "", LockFreed{"a", "db", "expired", {}}}});
  EXPECT_EQ(what(), "a loses its lock before its time");
}

TEST_F(LockAuditTest, AStartThatOutlivesItsLock) {
  claim(0, fleet_version);
  take(0, {intent("a"), requested("a"), acquired("a", begin_ms + 39'999), started("a")});
  EXPECT_EQ(what(), "a starts a step that its lock does not outlive");
}

TEST_F(LockAuditTest, AStartWithoutALock) {
  claim(0, fleet_version);
  take(0, {intent("a"), started("a")});
  EXPECT_EQ(what(), "a starts a step that its lock does not outlive");
}

TEST_F(LockAuditTest, BuildsBeforeLocksAreNotBlamed) {
  claim(0, fleet_version - 1);
  take(0, {intent("a"), started("a")});
  checker.compare_chains(true);
  EXPECT_EQ(what(), "");
}

TEST_F(LockAuditTest, AStartAfterTheRelease) {
  claim(0, fleet_version);
  take(0, {intent("a"), acquired("a"), {"", "", "", LockReleased{"a", "db"}}, started("a")});
  EXPECT_EQ(what(), "a starts a step after it has released its lock");
}

TEST_F(LockAuditTest, ALockThatNobodyGranted) {
  claim(0, fleet_version);
  take(0, {requested("a"), acquired("a")});
  checker.compare_chains(true);
  EXPECT_EQ(what(), "a uses a lock that was not granted to it");
}

// Of a running cluster one chain may be read a moment further than another.
TEST_F(LockAuditTest, WhatHasJustBeenSaidMayRestOnWhatWasNotRead) {
  claim(0, fleet_version);
  take(shards, {granted("a", "db")});
  checker.compare_chains(false);
  EXPECT_EQ(what(), "");
  take(0, {}, begin_ms + on_its_way_ms + 1);
  checker.compare_chains(false);
  EXPECT_EQ(what(), "a is granted a lock that it did not ask for");
}

}  // namespace
}  // namespace selfheal
