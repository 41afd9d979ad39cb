// Another fold version begins: every reader drops what was learnt from signals at the same record.
#include <gtest/gtest.h>

#include "actors/shard_restore.hpp"
#include "base/signature.hpp"
#include "decision/predictor/predictor.hpp"
#include "decision/shard/fold_version.hpp"
#include "topics/memory_log.hpp"

namespace selfheal {
namespace {

std::size_t series_of(JournalWalk& walk) {
  return dynamic_cast<const Predictor&>(*walk.fold().stages().front()).series();
}

// What a shard saved that had learnt one series under `version`.
SavedShard saved_under(std::int64_t version) {
  ShardFold fold;
  fold.configure(std::make_shared<const Settings>());
  auto batch = std::make_shared<SignalBatch>();
  batch->signals.push_back({.time_ms = 1000, .service = "a", .metric = "m", .value = 1});
  Token token;
  token.facts.partitions = 1;
  token.settings = fold.settings();
  token.signals = batch;
  fold.decide(token);
  PageMap pages;
  fold.save(pages);
  SavedShard saved;
  saved.found = true;
  saved.pages.assign(pages.pages.begin(), pages.pages.end());
  saved.chain.epoch = 1;
  saved.chain.partitions = 1;
  saved.chain.fold_version = version;
  return saved;
}

void claim_after(const Chain& chain, MemoryLog& log, const TopicNames& topics) {
  const SigningKey key = generate_signing_key();
  JournalRecord claim;
  claim.kind = JournalKind::claim;
  claim.epoch = chain.epoch + 1;
  claim.seq = chain.seq + 1;
  claim.fold_version = fold_version;
  claim.partitions = 1;
  claim.public_key = key.public_hex;
  const std::string body = encode_body(claim);
  log.append({topics.journal, 0}, {.value = wrap_body(*sign(key.secret_hex, body), body)},
             [](const Result<Offset>& stored) { ASSERT_TRUE(stored); });
}

TEST(FoldVersion, AClaimOfAnotherOneForgetsWhatWasLearntFromSignals) {
  for (const bool same : {true, false}) {
    const TopicNames topics = topic_names("t", 1);
    MemoryLog log;
    ASSERT_TRUE(log.create_topics(topic_specs("t", 1)));
    const SavedShard saved = saved_under(same ? fold_version : fold_version - 1);
    JournalWalk walk(log, topics, 0, [](const RecordView&, SignalBatch&) {});
    ASSERT_TRUE(walk.load(saved));
    EXPECT_EQ(series_of(walk), 1U);
    claim_after(saved.chain, log, topics);
    Acceptance acceptance = Acceptance::unreadable;
    ASSERT_TRUE(walk.read_to(1, [&](const WalkedRecord& walked) -> Result<void> {
      acceptance = walked.acceptance;
      return {};
    }));
    ASSERT_EQ(acceptance, Acceptance::accepted);
    EXPECT_EQ(series_of(walk), same ? 1U : 0U);
    // The next save takes the pages away too; what is learnt anew would collide with them.
    PageMap pages;
    walk.fold().save(pages);
    EXPECT_EQ(pages.erased.size(), same ? 0U : 5U)
        << "a service, a metric, a page, the walk, the pulses";
  }
}

TEST(FoldVersion, AJournalOfANewerBuildIsRefusedByName) {
  const TopicNames topics = topic_names("t", 1);
  MemoryLog log;
  ASSERT_TRUE(log.create_topics(topic_specs("t", 1)));
  log.append(
      {topics.journal, 0},
      {.value = wrap_body(std::string(128, '0'), R"({"kind":"claim","version":)" +
                                                     std::to_string(journal_version + 1) + "}")},
      [](const Result<Offset>& stored) { ASSERT_TRUE(stored); });
  JournalWalk walk(log, topics, 0, [](const RecordView&, SignalBatch&) {});
  const Result<void> read = walk.read_to(1, [](const WalkedRecord&) { return Result<void>(); });
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ErrorCode::refused);
  EXPECT_NE(read.error().context.find("shard 0 was written by a newer build"), std::string::npos)
      << read.error().context;
}

}  // namespace
}  // namespace selfheal
