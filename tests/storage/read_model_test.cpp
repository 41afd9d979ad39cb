#include "storage/read_model.hpp"

#include <gtest/gtest.h>

namespace selfheal {
namespace {

TEST(ReadModel, AClaimDoesNotHideTheRecordThatFollowsIt) {
  ReadModel model;
  JournalRecord claim;
  claim.kind = JournalKind::claim;
  claim.seq = 1;
  model.apply(claim);
  JournalRecord config;
  config.kind = JournalKind::config;
  config.seq = 1;
  config.content = "{}";
  model.apply(config);
  EXPECT_EQ(model.settings(), "{}");
}

TEST(ReadModel, ARecordThatComesAgainChangesNothing) {
  ReadModel model;
  JournalRecord config;
  config.kind = JournalKind::config;
  config.seq = 2;
  config.content = "{\"mode\":\"new\"}";
  model.apply(config);
  config.seq = 1;
  config.content = "{\"mode\":\"old\"}";
  model.apply(config);
  EXPECT_EQ(model.settings(), "{\"mode\":\"new\"}");
}

}  // namespace
}  // namespace selfheal
