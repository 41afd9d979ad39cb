#include "topics/memory_log.hpp"

#include <gtest/gtest.h>

namespace selfheal {
namespace {

const TopicPartition here{"t", 0};

struct Answers {
  std::vector<std::string> all;  // an offset, or "error"
  Delivered next() {
    return [this](const Result<Offset>& offset) {
      all.push_back(offset ? std::to_string(*offset) : "error");
    };
  }
};

std::vector<std::string> values(MemoryLog& log, Offset start = 0) {
  const auto reader = log.open(here, start, nullptr);
  RecordBatch batch;
  EXPECT_TRUE((*reader)->poll(batch, {}));
  std::vector<std::string> all;
  for (const RecordView& each : batch.records) all.emplace_back(each.value);
  return all;
}

TEST(MemoryLog, EachFateDoesWhatItSays) {
  MemoryLog log;
  ASSERT_TRUE(log.create_topics({{.name = "t"}}));
  AppendFate fate = AppendFate::deliver;
  log.set_fates([&](const auto&, const auto&) { return fate; });
  Answers answers;
  for (const auto& [each, value] : {std::pair{AppendFate::deliver, "a"},
                                    {AppendFate::refuse, "b"},
                                    {AppendFate::lose_ack, "c"},
                                    {AppendFate::duplicate, "d"},
                                    {AppendFate::delay, "e"},
                                    {AppendFate::deliver, "f"}}) {
    fate = each;
    log.append(here, {"", value, {}}, answers.next());
  }
  EXPECT_EQ(answers.all, (std::vector<std::string>{"0", "error", "error", "2"}));
  EXPECT_EQ(values(log), (std::vector<std::string>{"a", "c", "d", "d"}));
  // The record behind the delayed one waits with it: a partition keeps its order.
  EXPECT_EQ(log.pending(), 2U);
  EXPECT_TRUE(log.deliver_next());
  EXPECT_TRUE(log.deliver_next());
  EXPECT_FALSE(log.deliver_next());
  EXPECT_EQ(values(log, 4), (std::vector<std::string>{"e", "f"}));
}

TEST(MemoryLog, QueuedAppendsWaitForTheirRelease) {
  MemoryLog log(MemoryLog::Delivery::queued);
  ASSERT_TRUE(log.create_topics({{.name = "t", .partitions = 2}}));
  Answers answers;
  log.append(here, {"", "a", {}}, answers.next());
  log.append({"t", 1}, {"", "b", {}}, answers.next());
  EXPECT_EQ(log.range(here)->end, 0);
  EXPECT_EQ(log.pending_partitions(), (std::vector<TopicPartition>{here, {"t", 1}}));
  log.set_time_ms(42);
  EXPECT_TRUE(log.deliver_next({"t", 1}));
  EXPECT_FALSE(log.deliver_next({"t", 1}));
  EXPECT_EQ(log.range(here)->end, 0);
  EXPECT_EQ(log.range({"t", 1})->end, 1);
  ASSERT_TRUE(log.flush(0));
  EXPECT_EQ(log.range(here)->end, 1);
  EXPECT_EQ(answers.all.size(), 2U);
  const auto reader = log.open(here, 0, nullptr);
  RecordBatch batch;
  ASSERT_TRUE((*reader)->poll(batch, {}));
  EXPECT_EQ(batch.records.at(0).append_time_ms, 42);
}

TEST(MemoryLog, LostTailsAndHeadsAreNoticedWhereTheyCanBe) {
  MemoryLog log;
  ASSERT_TRUE(log.create_topics({{.name = "t"}}));
  Answers answers;
  for (const char* value : {"a", "b", "c", "d"}) log.append(here, {"", value, {}}, answers.next());
  const auto reader = log.open(here, 0, nullptr);
  RecordBatch batch;
  ASSERT_TRUE((*reader)->poll(batch, {}));
  log.truncate(here, 2);
  RecordBatch more;
  EXPECT_EQ((*reader)->poll(more, {}).error().code, ErrorCode::corrupt);
  // Grown again beyond the reader, the rewritten tail goes unnoticed, as it does on Kafka.
  for (const char* value : {"x", "y", "z"}) log.append(here, {"", value, {}}, answers.next());
  ASSERT_TRUE((*reader)->poll(more, {}));
  EXPECT_EQ(more.records.at(0).value, "z");
  EXPECT_EQ(batch.records.at(3).value, "d");
  log.drop_before(here, 4);
  EXPECT_EQ(log.range(here)->begin, 4);
  const auto late = log.open(here, 3, nullptr);
  EXPECT_EQ((*late)->poll(more, {}).error().code, ErrorCode::corrupt);
}

}  // namespace
}  // namespace selfheal
