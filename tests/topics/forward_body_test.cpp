// Signals on their way to another shard, where they are many.
#include "topics/forward_body.hpp"

#include <gtest/gtest.h>

#include "topics/signal_decoder.hpp"
#include "topics/signal_encoder.hpp"

namespace selfheal {
namespace {

constexpr TimeMs now_ms = 1'800'000'000'000;

SignalBatch decoded(const std::string& body) {
  SignalBatch batch;
  std::string frame;
  SignalDecoder decoder;
  decoder.decode({.offset = 1,
                  .append_time_ms = now_ms,
                  .key = {},
                  .value = forward_value(body, frame),
                  .event_time = {}},
                 batch);
  return batch;
}

TEST(ForwardBody, LinesStandForThemselves) {
  std::string frame;
  const std::string lines = "{\"type\":\"metric\"}\n";
  EXPECT_EQ(forward_value(lines, frame), lines);
}

TEST(ForwardBody, AFrameBringsTheSameSignalsAndIsShort) {
  std::string lines;
  for (int i = 0; i < 9'000; ++i) {
    lines += R"({"type":"metric","service":"s)" + std::to_string(i % 50) +
             R"(","metric":"latency_seconds","value":)" + std::to_string(i) +
             R"(.25,"time_ms":1799999999)" + std::to_string(100 + i % 900) + "}\n";
  }
  lines += R"({"type":"failure","service":"s1","code":"broken","time_ms":1799999999000})";
  const SignalBatch sent = decoded(lines);
  ASSERT_EQ(sent.signals.size(), 9'001u);
  const Result<std::string> body = framed_forward(sent.signals);
  ASSERT_TRUE(body) << body.error().context;
  EXPECT_LT(body->size(), lines.size() / 2);
  const SignalBatch taken = decoded(*body);
  EXPECT_TRUE(taken.failures.empty());
  ASSERT_EQ(taken.signals.size(), sent.signals.size());
  for (std::size_t i = 0; i < sent.signals.size(); ++i) {
    ASSERT_EQ(signal_to_json(taken.signals[i]), signal_to_json(sent.signals[i]));
  }
}

TEST(ForwardBody, WhatIsNoHexIsNoSignal) {
  const SignalBatch batch = decoded("frame:b1zz");
  EXPECT_TRUE(batch.signals.empty());
  EXPECT_EQ(batch.failures.size(), 1u);
}

}  // namespace
}  // namespace selfheal
