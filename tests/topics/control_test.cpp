#include "topics/control.hpp"

#include <gtest/gtest.h>

namespace selfheal {
namespace {

TEST(Control, ACauseNamesItsMessage) {
  for (const std::int64_t offset : {std::int64_t{0}, std::int64_t{17}, INT64_MAX}) {
    EXPECT_EQ(control_of_cause(cause_of_control(offset)), offset);
  }
  for (const char* other : {"", "control", "control:", "control:x", "control:1x", "control: 1",
                            "control:-1", "control:9223372036854775808", "3/17/0", "timer"}) {
    EXPECT_EQ(control_of_cause(other), std::nullopt) << other;
  }
}

TEST(Control, TheSignatureIsOverEverythingElse) {
  ControlMessage message{.kind = "approve", .target = "prop-0-1-2", .key_id = "alice"};
  const std::string unsigned_text = message.signed_text();
  message.signature = "5a";
  EXPECT_EQ(message.signed_text(), unsigned_text);
  EXPECT_EQ(unsigned_text.find("signature"), std::string::npos);
  message.reason = "it is known";
  EXPECT_NE(message.signed_text(), unsigned_text);
}

TEST(Control, WhatIsNoMessageIsNamed) {
  const Result<ControlMessage> whole = decode_control(R"({"kind":"approve","target":"p"})");
  ASSERT_TRUE(whole);
  EXPECT_EQ(decode_control(encode_control(*whole)).value(), *whole);
  EXPECT_EQ(decode_control(R"({"target":"p"})").error().context, "control message without a kind");
  EXPECT_TRUE(decode_control("[]").error().context.starts_with("control message"));
  EXPECT_FALSE(decode_control(R"({"kind":7})"));
}

}  // namespace
}  // namespace selfheal
