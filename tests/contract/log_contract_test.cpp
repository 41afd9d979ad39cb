// What every Log promises, held against each implementation. The Kafka part runs where
// SELFHEAL_TEST_KAFKA names a broker.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <thread>

#include "storage/embedded_log.hpp"
#include "topics/kafka_log.hpp"
#include "topics/memory_log.hpp"

namespace selfheal {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr TimeMs test_time_ms = 1'790'000'000'000;
constexpr auto patience = 20s;

std::string unique_name(const std::string& what) {
  static std::atomic<int> counter = 0;
  return what + "-" + std::to_string(getpid()) + "-" +
         std::to_string(Clock::now().time_since_epoch().count() % 1'000'000'000) + "-" +
         std::to_string(counter++);
}

class LogContract : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::string kind = GetParam();
    if (kind == "memory") {
      auto memory = std::make_unique<MemoryLog>();
      memory->set_time_ms(test_time_ms);
      log_ = std::move(memory);
    } else if (kind == "embedded") {
      folder_ = std::filesystem::temp_directory_path() / unique_name("selfheal-contract");
      auto opened = EmbeddedLog::open({.folder = folder_, .clock = [] { return test_time_ms; }});
      ASSERT_TRUE(opened) << opened.error().context;
      log_ = std::move(*opened);
    } else {
      const char* brokers = std::getenv("SELFHEAL_TEST_KAFKA");
      if (brokers == nullptr) {
        GTEST_SKIP() << "SELFHEAL_TEST_KAFKA=host:port is not set; script/kafka start gives one";
      }
      auto opened = KafkaLog::open({.brokers = brokers});
      ASSERT_TRUE(opened) << opened.error().context;
      log_ = std::move(*opened);
    }
    topic_ = unique_name("contract");
    TopicSpec spec{.name = topic_, .partitions = 3};
    spec.log_append_time = true;
    ASSERT_TRUE(log_->create_topics({spec}));
  }

  void TearDown() override {
    log_.reset();
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }

  TopicPartition at(std::int32_t partition) const { return {topic_, partition}; }

  Result<Offset> append(std::int32_t partition, std::string key, std::string value,
                        Headers headers = {}) {
    // Shared, because a late answer must still find its promise.
    auto answer = std::make_shared<std::promise<Result<Offset>>>();
    auto future = answer->get_future();
    log_->append(at(partition), {std::move(key), std::move(value), std::move(headers)},
                 [answer](Result<Offset> offset) { answer->set_value(std::move(offset)); });
    if (future.wait_for(patience) != std::future_status::ready) {
      return Error{ErrorCode::internal, "never answered"};
    }
    return future.get();
  }

  struct Read {
    Offset offset;
    TimeMs append_time_ms;
    std::string key;
    std::string value;
  };

  // Polls until `count` records have come or patience ends.
  static std::vector<Read> read(LogReader& reader, std::size_t count, PollLimits limits = {}) {
    std::vector<Read> all;
    const auto deadline = Clock::now() + patience;
    while (all.size() < count && Clock::now() < deadline) {
      RecordBatch batch;
      const Result<void> polled = reader.poll(batch, limits);
      if (!polled) {
        ADD_FAILURE() << polled.error().context;
        return all;
      }
      EXPECT_LE(batch.records.size(), limits.records_max);
      for (const RecordView& each : batch.records) {
        all.push_back(
            {each.offset, each.append_time_ms, std::string(each.key), std::string(each.value)});
      }
      if (batch.records.empty()) std::this_thread::sleep_for(1ms);
    }
    return all;
  }

  static Result<void> poll_until_error(LogReader& reader) {
    const auto deadline = Clock::now() + patience;
    while (Clock::now() < deadline) {
      RecordBatch batch;
      if (Result<void> polled = reader.poll(batch, {}); !polled) return polled;
      std::this_thread::sleep_for(1ms);
    }
    return {};
  }

  std::unique_ptr<LogReader> open(std::int32_t partition, Offset start, Wake wake = nullptr) {
    auto opened = log_->open(at(partition), start, std::move(wake));
    EXPECT_TRUE(opened) << opened.error().context;
    return opened ? std::move(*opened) : nullptr;
  }

  std::unique_ptr<Log> log_;
  std::string topic_;
  std::filesystem::path folder_;
};

TEST_P(LogContract, AppendsAreReadInOrder) {
  for (int i = 0; i < 100; ++i) {
    const Result<Offset> offset = append(1, "key" + std::to_string(i), std::to_string(i));
    ASSERT_TRUE(offset) << offset.error().context;
    EXPECT_EQ(*offset, i);
  }
  const auto reader = open(1, 0);
  const std::vector<Read> all = read(*reader, 100);
  ASSERT_EQ(all.size(), 100U);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(all[static_cast<std::size_t>(i)].offset, i);
    EXPECT_EQ(all[static_cast<std::size_t>(i)].key, "key" + std::to_string(i));
    EXPECT_EQ(all[static_cast<std::size_t>(i)].value, std::to_string(i));
    EXPECT_GE(all[static_cast<std::size_t>(i)].append_time_ms, test_time_ms - 365 * one_day_ms);
  }
  EXPECT_EQ(reader->position(), 100);
}

TEST_P(LogContract, PartitionsAreApart) {
  ASSERT_TRUE(append(0, "a", "zero"));
  ASSERT_TRUE(append(2, "b", "two"));
  const auto zero = open(0, 0);
  const auto two = open(2, 0);
  EXPECT_EQ(read(*two, 1).at(0).value, "two");
  EXPECT_EQ(read(*zero, 1).at(0).value, "zero");
}

TEST_P(LogContract, RangeAndPartitionsTellWhatIsThere) {
  EXPECT_EQ(*log_->partitions(topic_), 3);
  ASSERT_TRUE(append(0, "", "x"));
  ASSERT_TRUE(append(0, "", "y"));
  const Result<OffsetRange> range = log_->range(at(0));
  ASSERT_TRUE(range) << range.error().context;
  EXPECT_EQ(range->begin, 0);
  EXPECT_EQ(range->end, 2);
  EXPECT_EQ(log_->range(at(1))->end, 0);
}

TEST_P(LogContract, MissingTopicsAreNotFoundAndNeverMade) {
  const std::string missing = topic_ + "-missing";
  for (int i = 0; i < 2; ++i) {
    const Result<std::int32_t> partitions = log_->partitions(missing);
    ASSERT_FALSE(partitions);
    EXPECT_EQ(partitions.error().code, ErrorCode::not_found) << partitions.error().context;
  }
  auto opened = log_->open({missing, 0}, 0, nullptr);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::not_found);
  std::promise<Result<Offset>> answer;
  log_->append({missing, 0}, {"k", "v", {}},
               [&](Result<Offset> offset) { answer.set_value(std::move(offset)); });
  const Result<Offset> offset = answer.get_future().get();
  ASSERT_FALSE(offset);
  EXPECT_EQ(offset.error().code, ErrorCode::not_found) << offset.error().context;
  EXPECT_FALSE(log_->partitions(missing));
  EXPECT_FALSE(log_->range(at(99)));
  EXPECT_FALSE(log_->open(at(99), 0, nullptr));
}

TEST_P(LogContract, CreatingAgainIsFineWithFewerPartitionsOnly) {
  EXPECT_TRUE(log_->create_topics({TopicSpec{.name = topic_, .partitions = 3}}));
  EXPECT_TRUE(log_->create_topics({TopicSpec{.name = topic_, .partitions = 2}}));
  const Result<void> more = log_->create_topics({TopicSpec{.name = topic_, .partitions = 4}});
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, ErrorCode::refused);
  EXPECT_EQ(*log_->partitions(topic_), 3);
}

TEST_P(LogContract, TheEndIsKnownAfterReadingUpToIt) {
  ASSERT_TRUE(append(0, "", "x"));
  const auto reader = open(0, 0);
  ASSERT_EQ(read(*reader, 1).size(), 1U);
  const auto deadline = Clock::now() + patience;
  while (!reader->at_end() && Clock::now() < deadline) {
    RecordBatch batch;
    ASSERT_TRUE(reader->poll(batch, {}));
    std::this_thread::sleep_for(1ms);
  }
  EXPECT_TRUE(reader->at_end());
  EXPECT_EQ(reader->position(), 1);
}

TEST_P(LogContract, TheTimeOfACloudEventIsReadWithItsRecord) {
  ASSERT_TRUE(append(0, "", "plain", {{"other", "x"}}));
  ASSERT_TRUE(append(0, "", "event", {{"ce_id", "1"}, {"ce_time", "2026-11-22T09:30:00Z"}}));
  const auto reader = open(0, 0);
  std::vector<std::string> times;
  const auto deadline = Clock::now() + patience;
  while (times.size() < 2 && Clock::now() < deadline) {
    RecordBatch batch;
    ASSERT_TRUE(reader->poll(batch, {}));
    for (const RecordView& each : batch.records) times.emplace_back(each.event_time);
  }
  EXPECT_EQ(times, (std::vector<std::string>{"", "2026-11-22T09:30:00Z"}));
}

TEST_P(LogContract, AReaderKnowsHowManyRecordsWait) {
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(append(0, "", std::to_string(i)));
  const auto reader = open(0, 0);
  ASSERT_EQ(read(*reader, 2, {.records_max = 2}).size(), 2U);
  EXPECT_EQ(reader->position(), 2);
  EXPECT_EQ(reader->end(), 5);
  ASSERT_EQ(read(*reader, 3).size(), 3U);
  EXPECT_EQ(reader->end(), reader->position());
}

TEST_P(LogContract, AReaderAtTheEndIsWoken) {
  ASSERT_TRUE(append(0, "", "old"));
  std::atomic<int> wakes = 0;
  const auto reader = open(0, 0, [&] { ++wakes; });
  ASSERT_EQ(read(*reader, 1).size(), 1U);
  const auto deadline = Clock::now() + patience;
  while (!reader->at_end() && Clock::now() < deadline) {
    RecordBatch batch;
    ASSERT_TRUE(reader->poll(batch, {}));
  }
  RecordBatch nothing;
  ASSERT_TRUE(reader->poll(nothing, {}));
  ASSERT_TRUE(nothing.records.empty());
  for (int round = 0; round < 3; ++round) {
    const int before = wakes;
    ASSERT_TRUE(append(0, "", "new"));
    while (wakes == before && Clock::now() < deadline) std::this_thread::sleep_for(100us);
    EXPECT_GT(wakes, before);
    EXPECT_EQ(read(*reader, 1).size(), 1U);
    ASSERT_TRUE(reader->poll(nothing, {}));
  }
}

TEST_P(LogContract, NoWakeAfterTheReaderIsGone) {
  auto wakes = std::make_shared<std::atomic<int>>(0);
  auto reader = open(0, 0, [wakes] { ++*wakes; });
  RecordBatch batch;
  ASSERT_TRUE(reader->poll(batch, {}));
  reader.reset();
  const int before = *wakes;
  ASSERT_TRUE(append(0, "", "x"));
  std::this_thread::sleep_for(100ms);
  EXPECT_EQ(*wakes, before);
}

TEST_P(LogContract, OpensInTheMiddle) {
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(append(0, "", std::to_string(i)));
  const auto reader = open(0, 7);
  EXPECT_EQ(reader->position(), 7);
  const std::vector<Read> all = read(*reader, 3);
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[0].offset, 7);
  EXPECT_EQ(all[0].value, "7");
}

TEST_P(LogContract, TwoReadersOfOnePartitionAndOpeningAgain) {
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(append(0, "", std::to_string(i)));
  auto first = open(0, 0);
  const auto second = open(0, 5);
  EXPECT_EQ(read(*first, 10).size(), 10U);
  EXPECT_EQ(read(*second, 5).size(), 5U);
  first = nullptr;
  first = open(0, 2);
  const std::vector<Read> again = read(*first, 8);
  ASSERT_EQ(again.size(), 8U);
  EXPECT_EQ(again[0].offset, 2);
  EXPECT_EQ(again[7].offset, 9);
}

TEST_P(LogContract, OutOfRangeIsCorrupt) {
  ASSERT_TRUE(append(0, "", "x"));
  const auto reader = open(0, 50);
  const Result<void> polled = poll_until_error(*reader);
  ASSERT_FALSE(polled);
  EXPECT_EQ(polled.error().code, ErrorCode::corrupt) << polled.error().context;
  EXPECT_FALSE(log_->open(at(0), -1, nullptr));
}

TEST_P(LogContract, HeadersAndEmptyKeysAndValues) {
  ASSERT_TRUE(append(0, "", "with", {{"reason", "bad_json"}, {"empty", ""}}));
  ASSERT_TRUE(append(0, "key", ""));
  const auto reader = open(0, 0);
  RecordBatch batch;
  const auto deadline = Clock::now() + patience;
  while (batch.records.size() < 2 && Clock::now() < deadline) {
    ASSERT_TRUE(reader->poll(batch, {.records_max = 2 - batch.records.size()}));
    if (batch.records.size() == 1) {
      EXPECT_EQ(reader->headers(0), (Headers{{"reason", "bad_json"}, {"empty", ""}}));
    }
  }
  ASSERT_EQ(batch.records.size(), 2U);
  EXPECT_TRUE(batch.records[0].key.empty());
  EXPECT_EQ(batch.records[1].key, "key");
  EXPECT_TRUE(batch.records[1].value.empty());
  EXPECT_TRUE(reader->headers(1).empty());
  EXPECT_TRUE(reader->headers(99).empty());
  EXPECT_EQ(batch.bytes, 4U);
}

TEST_P(LogContract, OneMebibyteIsTheLimit) {
  std::string value(record_bytes_max, 'x');
  value[17] = 'y';
  ASSERT_TRUE(append(0, "key", value));
  const Result<Offset> refused = append(0, "key", value + "z");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::exhausted);
  const auto reader = open(0, 0);
  const std::vector<Read> all = read(*reader, 1);
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].value, value);
}

TEST_P(LogContract, PollLimitsHoldAndNothingIsLost) {
  for (int i = 0; i < 50; ++i) {
    log_->append(at(0), {"", std::string(1000, 'x') + std::to_string(i), {}}, [](auto) {});
  }
  ASSERT_TRUE(log_->flush(10000));
  const auto reader = open(0, 0);
  std::size_t count = 0;
  const auto deadline = Clock::now() + patience;
  while (count < 50 && Clock::now() < deadline) {
    RecordBatch batch;
    ASSERT_TRUE(reader->poll(batch, {.records_max = 7, .bytes_max = 3000}));
    EXPECT_LE(batch.records.size(), 3U);
    for (const RecordView& each : batch.records) {
      EXPECT_EQ(each.offset, static_cast<Offset>(count));
      ++count;
    }
    EXPECT_EQ(batch.next_offset, reader->position());
  }
  EXPECT_EQ(count, 50U);
}

TEST_P(LogContract, ThreadsKeepTheirOwnOrder) {
  constexpr int threads = 4;
  constexpr int each_count = 500;
  std::vector<std::thread> writers;
  std::atomic<int> failed = 0;
  for (int thread = 0; thread < threads; ++thread) {
    writers.emplace_back([&, thread] {
      for (int i = 0; i < each_count; ++i) {
        log_->append(at(0), {std::to_string(thread), std::to_string(i), {}},
                     [&](const Result<Offset>& offset) { failed += offset ? 0 : 1; });
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  ASSERT_TRUE(log_->flush(20000));
  EXPECT_EQ(failed, 0);
  const auto reader = open(0, 0);
  const std::vector<Read> all = read(*reader, threads * each_count);
  ASSERT_EQ(all.size(), static_cast<std::size_t>(threads * each_count));
  std::vector<int> next(threads, 0);
  for (const Read& each : all) {
    EXPECT_EQ(std::stoi(each.value), next[static_cast<std::size_t>(std::stoi(each.key))]++);
  }
}

TEST_P(LogContract, FlushWaitsForEveryAnswer) {
  std::atomic<int> answers = 0;
  for (int i = 0; i < 1000; ++i) {
    log_->append(at(i % 3), {"", "x", {}}, [&](const auto&) { ++answers; });
  }
  ASSERT_TRUE(log_->flush(20000));
  EXPECT_EQ(answers, 1000);
}

TEST_P(LogContract, ReadRangeTakesExactlyTheRange) {
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(append(0, "", std::to_string(i)));
  std::vector<Offset> offsets;
  const Result<void> done =
      read_range(*log_, at(0), {5, 15}, [&](const RecordBatch& batch, const LogReader&) {
        for (const auto& each : batch.records) {
          offsets.push_back(each.offset);
        }
        return Result<void>();
      });
  ASSERT_TRUE(done) << done.error().context;
  ASSERT_EQ(offsets.size(), 10U);
  EXPECT_EQ(offsets.front(), 5);
  EXPECT_EQ(offsets.back(), 14);
  const Result<void> never = read_range(
      *log_, at(0), {15, 25}, [](const auto&, const auto&) { return Result<void>(); }, 200);
  ASSERT_FALSE(never);
  EXPECT_EQ(never.error().code, ErrorCode::unavailable);
}

TEST_P(LogContract, BatchesOutliveTheirReader) {
  ASSERT_TRUE(append(0, "key", "value"));
  auto reader = open(0, 0);
  RecordBatch batch;
  const auto deadline = Clock::now() + patience;
  while (batch.records.empty() && Clock::now() < deadline) ASSERT_TRUE(reader->poll(batch, {}));
  reader.reset();
  ASSERT_EQ(batch.records.size(), 1U);
  EXPECT_EQ(batch.records[0].key, "key");
  EXPECT_EQ(batch.records[0].value, "value");
}

TEST_P(LogContract, Pings) {
  const Result<void> answered = log_->ping(5000);
  EXPECT_TRUE(answered) << answered.error().context;
  EXPECT_FALSE(log_->describe().empty());
}

INSTANTIATE_TEST_SUITE_P(Logs, LogContract, testing::Values("memory", "embedded", "kafka"),
                         [](const auto& each) { return std::string(each.param); });

}  // namespace
}  // namespace selfheal
