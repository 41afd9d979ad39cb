// An input that breaks what takes it, through the real actors: the shard falls, comes back with
// less at once, and leaves out exactly that input.
#include <gtest/gtest.h>

#include "base/check.hpp"
#include "service_fixture.hpp"
#include "topics/memory_log.hpp"

namespace selfheal {
namespace {

constexpr int record_count = 40;
constexpr int poisonous = 23;

class PoisonTest : public ServiceTest {
 protected:
  void SetUp() override {
    ServiceTest::SetUp();
    log = std::make_shared<MemoryLog>();
    log->set_time_ms(wall_ms());
    environment->log = log;
    ASSERT_TRUE(log->create_topics(topic_specs("t", 1)));
    environment->make_decoder = [] {
      auto decoder = std::make_shared<SignalDecoder>();
      return [decoder](const RecordView& record, SignalBatch& batch) {
        CHECK(record.value.find("poison") == std::string_view::npos, "this record breaks it");
        decoder->decode(record, batch);
      };
    };
    for (int i = 0; i < record_count; ++i) {
      const std::string metric = i == poisonous ? "poison" : "m" + std::to_string(i);
      log->append(
          {environment->topics.signals, 0},
          {.value = R"({"type":"metric","service":"a","metric":")" + metric + R"(","value":1})"},
          [](const Result<Offset>& stored) { ASSERT_TRUE(stored); });
    }
  }

  std::vector<JournalRecord> journal() const {
    std::vector<JournalRecord> records;
    Chain chain;
    const TopicPartition where{environment->topics.journal, 0};
    const Result<OffsetRange> range = environment->log->range(where);
    EXPECT_TRUE(range);
    EXPECT_TRUE(read_range(*environment->log, where, *range,
                           [&](const RecordBatch& batch, const LogReader&) -> Result<void> {
                             for (const RecordView& each : batch.records) {
                               JournalRecord record;
                               if (accept(chain, each, record) == Acceptance::accepted) {
                                 records.push_back(std::move(record));
                               }
                             }
                             return {};
                           }));
    return records;
  }

  std::shared_ptr<MemoryLog> log;
};

TEST_F(PoisonTest, OneInputIsLeftOutAndAllOthersAreTaken) {
  Service service(environment);
  service.start();
  ASSERT_TRUE(await(
      [&] { return shows("self_heal_series{shard=\"0\"} " + std::to_string(record_count - 1)); }));
  service.stop();

  int failed = 0;
  int failed_alone = 0;
  Offset next = 0;
  std::vector<Offset> skipped;
  for (const JournalRecord& record : journal()) {
    if (record.kind == JournalKind::failed) {
      ++failed;
      EXPECT_EQ(record.stage, "decoder");
      EXPECT_NE(record.reason.find("this record breaks it"), std::string::npos);
      if (record.cut.records() == 1) ++failed_alone;
    }
    if (record.kind == JournalKind::skip) {
      ASSERT_EQ(record.cut.records(), 1);
      EXPECT_EQ(record.topic_kind, "signals");
      skipped.push_back(record.cut.signals_begin);
    }
    if (record.kind == JournalKind::batch || record.kind == JournalKind::skip) {
      EXPECT_EQ(record.cut.signals_begin, next);
      next = record.cut.signals_end;
    }
  }
  EXPECT_EQ(next, record_count);
  EXPECT_EQ(skipped, std::vector<Offset>{poisonous});
  EXPECT_EQ(failed_alone, 2);
  EXPECT_GE(failed, 3);

  // What was left out is kept for people, at least once: a shard that falls may say it again.
  const TopicPartition where{environment->topics.deadletter, 0};
  const Result<OffsetRange> letters = log->range(where);
  ASSERT_TRUE(letters);
  EXPECT_GE(letters->end - letters->begin, 1);
  EXPECT_TRUE(read_range(*log, where, *letters,
                         [&](const RecordBatch& batch, const LogReader&) -> Result<void> {
                           for (const RecordView& each : batch.records) {
                             EXPECT_NE(each.value.find("poison"), std::string_view::npos);
                           }
                           return {};
                         }));
}

// One that the decoder takes, and that says more than a record of the journal holds.
class OversizeTest : public PoisonTest {
 protected:
  void SetUp() override {
    PoisonTest::SetUp();
    environment->make_decoder = [] {
      auto decoder = std::make_shared<SignalDecoder>();
      return [decoder](const RecordView& record, SignalBatch& batch) {
        decoder->decode(record, batch);
      };
    };
  }
};

TEST_F(OversizeTest, ACutThatFitsNoRecordIsDecidedInSmallerOnes) {
  std::string failures;
  for (int i = 0; i < 3500; ++i) {
    failures += R"({"type":"failure","service":"s)" + std::to_string(i) +
                R"(","code":"broken","message":")" + std::string(200, 'x') + "\"}\n";
  }
  ASSERT_LT(failures.size(), record_bytes_max);
  log->append({environment->topics.signals, 0}, {.value = failures},
              [](const Result<Offset>& stored) { ASSERT_TRUE(stored); });
  const std::string behind = R"({"type":"metric","service":"a","metric":"behind","value":1})";
  log->append({environment->topics.signals, 0}, {.value = behind},
              [](const Result<Offset>& stored) { ASSERT_TRUE(stored); });
  Service service(environment);
  service.start();
  // All forty and the one behind: nothing but the one record is left out.
  EXPECT_TRUE(await(
      [&] { return shows("self_heal_series{shard=\"0\"} " + std::to_string(record_count + 1)); }));
  service.stop();
  int skipped = 0;
  for (const JournalRecord& record : journal()) {
    if (record.kind == JournalKind::failed) {
      EXPECT_EQ(record.stage, "committer");
    }
    if (record.kind != JournalKind::skip) continue;
    ++skipped;
    EXPECT_EQ(record.cut.signals_begin, record_count);
  }
  EXPECT_EQ(skipped, 1);
}

}  // namespace
}  // namespace selfheal
