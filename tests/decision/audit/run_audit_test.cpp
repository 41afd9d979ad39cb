#include "decision/audit/run_audit.hpp"

#include <gtest/gtest.h>

namespace selfheal {
namespace {

JournalRecord batch(TimeMs tick_ms) {
  JournalRecord record;
  record.cut.tick_ms = tick_ms;
  return record;
}

TEST(Invariants, ASnapshotHasNoTickThatCouldFall) {
  RunAudit checker;
  checker.take(batch(1000), "");
  JournalRecord snapshot;
  snapshot.kind = JournalKind::snapshot;
  checker.take(snapshot, "");
  checker.take(batch(1000), "");
  EXPECT_TRUE(checker.violations().empty());
  checker.take(batch(999), "");
  ASSERT_EQ(checker.violations().size(), 1U);
  EXPECT_EQ(checker.violations()[0].invariant, 7);
}

}  // namespace
}  // namespace selfheal
