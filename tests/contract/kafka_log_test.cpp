// What only the log on Kafka has to answer for. The parts that need a broker run where
// SELFHEAL_TEST_KAFKA names one.
#include "topics/kafka_log.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <mutex>
#include <thread>
#include <utility>

namespace selfheal {
namespace {

using namespace std::chrono_literals;

std::string topic_name(const std::string& what) {
  return "kafka-" + what + "-" + std::to_string(getpid()) + "-" +
         std::to_string(std::chrono::steady_clock::now().time_since_epoch().count());
}

Result<Offset> append(Log& log, const TopicPartition& where, const std::string& value) {
  std::promise<Result<Offset>> answer;
  log.append(where, {"", value, {}},
             [&](Result<Offset> offset) { answer.set_value(std::move(offset)); });
  return answer.get_future().get();
}

TEST(KafkaLog, PropertiesAreCheckedByName) {
  const auto with = [](const std::string& name, const std::string& value) {
    return KafkaLog::open({.brokers = "127.0.0.1:1", .properties = {{name, value}}});
  };
  EXPECT_TRUE(with("queued.min.messages", "1000"));
  EXPECT_TRUE(with("linger.ms", "5"));
  EXPECT_TRUE(with("acks", "all"));
  const auto unknown = with("no.such.property", "1");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::invalid);
  EXPECT_NE(unknown.error().context.find("no.such.property"), std::string::npos);
  const auto weaker = with("enable.idempotence", "false");
  ASSERT_FALSE(weaker);
  EXPECT_EQ(weaker.error().code, ErrorCode::refused);
  EXPECT_FALSE(with("linger.ms", "soon"));
  EXPECT_FALSE(KafkaLog::open({}));
}

TEST(KafkaLog, ABrokerThatIsAwayIsAnErrorAndNoMore) {
  auto log = KafkaLog::open({.brokers = "127.0.0.1:1", .request_timeout_ms = 200});
  ASSERT_TRUE(log);
  EXPECT_EQ((*log)->ping(200).error().code, ErrorCode::unavailable);
  EXPECT_EQ((*log)->partitions("t").error().code, ErrorCode::unavailable);
  EXPECT_EQ((*log)->create_topics({{.name = "t"}}).error().code, ErrorCode::unavailable);
  EXPECT_EQ((*log)->open({"t", 0}, 0, nullptr).error().code, ErrorCode::unavailable);
  EXPECT_EQ(append(**log, {"t", 0}, "x").error().code, ErrorCode::unavailable);
  EXPECT_TRUE((*log)->flush(100));
}

class KafkaBroker : public testing::Test {
 protected:
  void SetUp() override {
    const char* brokers = std::getenv("SELFHEAL_TEST_KAFKA");
    if (brokers == nullptr) {
      GTEST_SKIP() << "SELFHEAL_TEST_KAFKA=host:port is not set; script/kafka start gives one";
    }
    auto opened = KafkaLog::open({.brokers = brokers});
    ASSERT_TRUE(opened) << opened.error().context;
    log_ = std::move(*opened);
    TopicSpec spec{.name = topic_};
    spec.log_append_time = true;
    spec.flush_each_message = true;
    const Result<void> created = log_->create_topics({spec});
    ASSERT_TRUE(created) << created.error().context;
  }

  const std::string topic_ = topic_name("broker") + ".journal";
  std::unique_ptr<KafkaLog> log_;
};

TEST_F(KafkaBroker, AFatalProducerIsReplaced) {
  ASSERT_TRUE(append(*log_, {topic_, 0}, "before"));
  log_->fail_producer();
  int failed = 0;
  Result<Offset> offset = Error{};
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  while (!offset && std::chrono::steady_clock::now() < deadline) {
    offset = append(*log_, {topic_, 0}, "after");
    failed += offset ? 0 : 1;
    if (!offset) {
      EXPECT_EQ(offset.error().code, ErrorCode::unavailable) << offset.error().context;
      std::this_thread::sleep_for(5ms);
    }
  }
  ASSERT_TRUE(offset) << offset.error().context;
  EXPECT_EQ(log_->range({topic_, 0})->end, *offset + 1);
  EXPECT_TRUE(log_->flush(1000));
}

// The commit of a journal: append, then read back on the wake. Prints its quantiles.
TEST_F(KafkaBroker, ReadBackTimes) {
  std::promise<void>* waiting = nullptr;
  std::mutex mutex;
  auto reader = log_->open({topic_, 0}, 0, [&] {
    const std::lock_guard lock(mutex);
    if (waiting != nullptr) std::exchange(waiting, nullptr)->set_value();
  });
  ASSERT_TRUE(reader);
  std::vector<double> times_ms;
  for (int i = 0; i < 500; ++i) {
    const auto start = std::chrono::steady_clock::now();
    log_->append({topic_, 0}, {"", std::string(2000, 'x'), {}}, [](const auto&) {});
    bool read = false;
    while (!read) {
      std::promise<void> wake;
      {
        const std::lock_guard lock(mutex);
        waiting = &wake;
      }
      RecordBatch batch;
      ASSERT_TRUE((*reader)->poll(batch, {}));
      read = !batch.records.empty();
      if (!read) wake.get_future().wait_for(5s);
      const std::lock_guard lock(mutex);
      waiting = nullptr;
    }
    times_ms.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
            .count());
  }
  std::sort(times_ms.begin(), times_ms.end());
  std::printf("append to read-back, fsync each: p50 %.2f ms, p99 %.2f ms, max %.2f ms\n",
              times_ms[250], times_ms[495], times_ms.back());
  EXPECT_LT(times_ms[250], 100);
}

}  // namespace
}  // namespace selfheal
