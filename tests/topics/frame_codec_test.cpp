#include "topics/frame_codec.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "topics/signal_decoder.hpp"
#include "topics/signal_encoder.hpp"

namespace selfheal {
namespace {

constexpr TimeMs record_time_ms = 1'795'339'800'000;

SignalBatch decoded(const std::string& value) {
  static SignalDecoder decoder;
  SignalBatch batch;
  decoder.decode({7, record_time_ms, "key", value}, batch);
  return batch;
}

// One signal of each type, with every field that the type has.
SignalBatch sample() {
  return decoded(
      R"({"type":"metric","service":"s","metric":"m","value":0.5,"labels":{"a":"1","b":"x,y"},)"
      R"("time":"2026-11-22T09:30:00.123Z","resource":{"kind":"k","id":"i"},"sentinel":"p",)"
      R"("id":"1"})"
      "\n"
      R"({"type":"metric","service":"s","metric":"m","value":-1,"time":"2026-11-20T09:30:00Z"})"
      "\n"
      R"({"type":"heartbeat","worker":"w1","worker_type":"t","health_score":4,"progress":0.5})"
      "\n"
      R"({"type":"failure","service":"s","code":"c","message":"m","worker":"w","task_id":"t"})"
      "\n"
      R"({"type":"alert","service":"s","status":"firing","alertname":"a","severity":"page",)"
      R"("labels":{"x":"y"},"fingerprint":"f","id":"2"})"
      "\n"
      R"({"type":"prediction","service":"s","code":"c","likelihood":0.8,"impact":"high",)"
      R"("lead_time_seconds":60,"suggested_playbooks":["a","b"]})"
      "\n"
      R"({"type":"dispatch","service":"other","worker":"w","task_id":"t2"})"
      "\n"
      R"({"type":"degradation","service":"s","code":"c","severity":"low","confidence":0.25,)"
      R"("evidence":{"p99":[1,2]}})");
}

TEST(FrameCodec, WhatIsEncodedDecodesToTheSame) {
  const SignalBatch first = sample();
  ASSERT_EQ(first.signals.size(), 8U) << first.failures.at(0).reason;
  const Result<std::string> frame = encode_frame(first.signals);
  ASSERT_TRUE(frame) << frame.error().context;
  const SignalBatch again = decoded(*frame);
  ASSERT_EQ(again.failures.size(), 0U) << again.failures[0].reason;
  ASSERT_EQ(again.signals.size(), first.signals.size());
  for (std::size_t i = 0; i < first.signals.size(); ++i) {
    EXPECT_EQ(signal_to_json(again.signals[i]), signal_to_json(first.signals[i]));
    EXPECT_EQ(again.signals[i].line, i);
    EXPECT_EQ(again.signals[i].offset, 7);
    EXPECT_EQ(again.signals[i].received_ms, record_time_ms);
  }
  EXPECT_EQ(*encode_frame(again.signals), *frame);
}

TEST(FrameCodec, AnEmptyFrameHoldsNothing) {
  const SignalBatch batch = decoded(*encode_frame({}));
  EXPECT_EQ(batch.signals.size() + batch.failures.size(), 0U);
}

TEST(FrameCodec, NamesAreStoredOnce) {
  Signal metric;
  metric.service = "a-service-with-a-long-name";
  metric.metric = "a_metric_with_a_long_name_seconds";
  metric.labels = "zone=a";
  metric.time_ms = record_time_ms;
  const std::vector<Signal> many(1000, metric);
  const Result<std::string> frame = encode_frame(many);
  ASSERT_TRUE(frame);
  EXPECT_LT(frame->size(), 1000U * 13 + 100);
  EXPECT_EQ(decoded(*frame).signals.size(), 1000U);
}

TEST(FrameCodec, LimitsHold) {
  Signal metric;
  metric.service = "s";
  metric.metric = "m";
  metric.time_ms = record_time_ms;
  const std::vector<Signal> too_many(10'001, metric);
  ASSERT_FALSE(encode_frame(too_many));
  EXPECT_EQ(encode_frame(too_many).error().code, ErrorCode::exhausted);
  const std::string id(4000, 'i');
  metric.id = id;
  const std::vector<Signal> too_long(300, metric);
  ASSERT_FALSE(encode_frame(too_long));
}

TEST(FrameCodec, ABadRowCostsItself) {
  std::vector<Signal> rows(6);
  for (Signal& each : rows) {
    each.service = "s";
    each.metric = "m";
    each.time_ms = record_time_ms;
  }
  rows[1].value = std::numeric_limits<double>::quiet_NaN();
  rows[2].service = "";
  rows[3].time_ms = 5;
  rows[4].labels = "b=1,a=2";
  const SignalBatch batch = decoded(*encode_frame(rows));
  ASSERT_EQ(batch.signals.size(), 2U);
  EXPECT_EQ(batch.signals[1].line, 5U);
  ASSERT_EQ(batch.failures.size(), 4U);
  const char* words[] = {"bad_value: ", "missing_service: ", "bad_time: ", "bad_value: "};
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(batch.failures[i].line, static_cast<std::int32_t>(i + 1));
    EXPECT_TRUE(batch.failures[i].reason.starts_with(words[i])) << batch.failures[i].reason;
  }
}

TEST(FrameCodec, EveryTruncationIsOneFailureAndNoSignal) {
  const std::string frame = *encode_frame(sample().signals);
  for (std::size_t size = 1; size < frame.size(); ++size) {
    const SignalBatch batch = decoded(frame.substr(0, size));
    EXPECT_EQ(batch.signals.size(), 0U) << size;
    ASSERT_EQ(batch.failures.size(), 1U) << size;
    EXPECT_EQ(batch.failures[0].line, -1);
    EXPECT_TRUE(batch.failures[0].reason.starts_with("bad_frame: "));
  }
  EXPECT_EQ(decoded(frame + "x").signals.size(), 0U);
}

TEST(FrameCodec, BrokenLayoutsAreRefused) {
  const std::string frame = *encode_frame(sample().signals);
  std::string newer = frame;
  newer[1] = 2;
  const std::vector<std::string> table = {
      newer,
      std::string("\xb1\x01\x10\x27\x00", 5),                               // no base time
      std::string("\xb1\x01\xff\xff\x00\0\0\0\0\0\0\0\0", 13),              // too many rows
      std::string("\xb1\x01\x00\x00\xff\xff\xff\xff\x0f\0\0\0\0", 13),      // huge word list
      std::string("\xb1\x01\x00\x00\x01\x01\xff\0\0\0\0\0\0\0\0", 15),      // not UTF-8
      std::string("\xb1\x01\x01\x00\x00\0\0\0\0\0\0\0\0\x07\0\0\0", 17),    // no such type
      std::string("\xb1\x01\x01\x00\x00\0\0\0\0\0\0\0\0\x00\x09\0\0", 17),  // no such word
      std::string("\xb1\x01\x00\x00\x00\0\0\0\0\0\0\0\x7f", 13),            // base time
  };
  for (const std::string& each : table) {
    const SignalBatch batch = decoded(each);
    EXPECT_EQ(batch.signals.size(), 0U);
    EXPECT_EQ(batch.failures.size(), 1U);
  }
}

TEST(FrameCodec, SurvivesMutations) {
  const std::string frame = *encode_frame(sample().signals);
  std::mt19937 random(2);
  for (int round = 0; round < 50'000; ++round) {
    std::string value = frame;
    const std::size_t changes = 1 + random() % 4;
    for (std::size_t i = 0; i < changes; ++i) {
      value[1 + random() % (value.size() - 1)] = static_cast<char>(random());
    }
    const SignalBatch batch = decoded(value);
    for (const Signal& each : batch.signals) {
      EXPECT_FALSE(each.service.empty());
      EXPECT_TRUE(std::isfinite(each.value));
    }
  }
}

}  // namespace
}  // namespace selfheal
