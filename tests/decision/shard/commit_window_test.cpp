#include "decision/shard/commit_window.hpp"

#include <gtest/gtest.h>

#include "base/signature.hpp"

namespace selfheal {
namespace {

class CommitWindowTest : public testing::Test {
 protected:
  static Chain claimed(const SigningKey& key) {
    Chain chain;
    chain.epoch = 1;
    chain.public_key = key.public_hex;
    chain.journal_next = 5;
    return chain;
  }

  std::string add() {
    PendingRecord pending;
    pending.record = window.next_record(JournalKind::config);
    pending.record.content = "{}";
    return *window.add(pending);
  }

  std::optional<OwnerEnded> read(Offset offset, const std::string& value) {
    Acceptance acceptance = Acceptance::accepted;
    return window.read({.offset = offset, .append_time_ms = 9, .value = value}, acceptance);
  }

  SigningKey key = generate_signing_key();
  CommitWindow window{claimed(key), key.secret_hex};
};

TEST_F(CommitWindowTest, CommittedIsStoredAndReadBack) {
  const std::string value = add();
  EXPECT_FALSE(window.pop_committed());
  EXPECT_FALSE(window.delivered(1, 5));
  EXPECT_FALSE(window.pop_committed()) << "not read back";
  EXPECT_FALSE(read(5, value));
  const std::optional<PendingRecord> done = window.pop_committed();
  ASSERT_TRUE(done);
  EXPECT_EQ(done->offset, 5);
  EXPECT_EQ(window.committed().settings_ms, 9);
}

TEST_F(CommitWindowTest, ALogThatShrankAndGrewAgainEndsTheOwner) {
  add();
  EXPECT_FALSE(window.delivered(1, -1)) << "a log that does not say where proves nothing";
  const std::optional<OwnerEnded> ended = window.delivered(1, 4);
  ASSERT_TRUE(ended);
  EXPECT_NE(ended->reason.find("rewritten"), std::string::npos);
}

TEST_F(CommitWindowTest, AStoredRecordThatWasReadBackFirstIsFine) {
  const std::string value = add();
  EXPECT_FALSE(read(5, value));
  EXPECT_FALSE(window.delivered(1, 5));
  EXPECT_TRUE(window.pop_committed());
}

}  // namespace
}  // namespace selfheal
