#include <gtest/gtest.h>

#include <random>

#include "tests/topics/scan_agreement.hpp"

namespace selfheal {
namespace {

std::string metric_with(const std::string& members) {
  return R"({"type":"metric","service":"checkout","metric":"m",)" + members + "}";
}

TEST(MetricScan, ReadsTheUsualForms) {
  for (const std::string& text : {
           std::string(R"({"type":"metric","service":"s","metric":"m","value":1.5})"),
           std::string(R"({ "value": -0.25, "metric": "m", "service": "s", "type": "metric" })"),
           metric_with(R"("value":1,"time":"2026-11-22T09:30:00.123Z","labels":{"zone":"a"},)"
                       R"("resource":{"kind":"service","id":"checkout"},"sentinel":"p","id":"c")"),
           metric_with(R"("value":1,"time_ms":1795339800000,"labels":{},"resource":{})"),
           metric_with(R"("value":1,"value":2,"labels":{"a":"1"},"labels":{"b":"2","b":"3"})"),
           metric_with(R"("value":1,"service":"a longer name than eight bytes, with blanks")"),
           metric_with(R"("time_ms":-999999999999999999)"),
           metric_with(R"("id":"")"),
       }) {
    EXPECT_EQ(scan_both(text), Scanned::agrees) << text;
  }
}

TEST(MetricScan, NumbersAreTheNearestDouble) {
  for (const std::string_view number :
       {"0", "-0", "-0.0", "0.1", "0.30000000000000004", "123456789012345", "1234567890123456",
        "9007199254740993", "0.123456789012345", "0.1234567890123456", "1e5", "1E+5", "1.5e-7",
        "179769313486231570000000000000000000000", "2.2250738585072014e-308", "4.9e-324",
        "18446744073709551616", "99999999999999999999999999.5", "123456789.123456"}) {
    EXPECT_EQ(scan_both(metric_with("\"value\":" + std::string(number))), Scanned::agrees)
        << number;
  }
  std::mt19937_64 random(1);
  for (int i = 0; i < 20'000; ++i) {
    std::string number = random() % 2 == 0 ? "-" : "";
    number += std::to_string(random() >> (random() % 64));
    if (random() % 2 == 0) number += "." + std::to_string(random() >> (random() % 64));
    if (random() % 4 == 0) number += "e" + std::to_string(static_cast<int>(random() % 600) - 300);
    // Left is what overflows: the general reader says what is wrong with it.
    EXPECT_NE(scan_both(metric_with("\"value\":" + number)), Scanned::differs) << number;
  }
}

TEST(MetricScan, LeavesWhatIsNotUsual) {
  std::string many;
  for (int i = 0; i < 65; ++i) many += (i == 0 ? "\"k" : ",\"k") + std::to_string(i) + "\":\"v\"";
  for (const std::string& text : {
           std::string("{}"),
           std::string("{"),
           std::string("[1]"),
           std::string(R"({"type":"failure","service":"s","code":"c"})"),
           std::string(R"({"service":"s","metric":"m","value":1})"),
           metric_with(R"("value":1)") + "}",
           metric_with(R"("value":1)") + " 2",
           metric_with(R"("value":1,)"),
           metric_with(R"("value":01)"),
           metric_with(R"("value":+1)"),
           metric_with(R"("value":1.)"),
           metric_with(R"("value":.5)"),
           metric_with(R"("value":-)"),
           metric_with(R"("value":1e)"),
           metric_with(R"("value":1e999)"),
           metric_with(R"("value":NaN)"),
           metric_with(R"("value":null)"),
           metric_with(R"("value":"1")"),
           metric_with(R"("value" 1)"),
           metric_with(R"("value":)"),
           metric_with(R"("time_ms":1.0)"),
           metric_with(R"("time_ms":1e3)"),
           metric_with(R"("time_ms":1234567890123456789)"),
           metric_with(R"("unknown":1)"),
           metric_with(R"("sentinel ":"p")"),
           metric_with(R"("id ":"c")"),
           metric_with(R"("sentinels":"p")"),
           metric_with(R"("":"p")"),
           metric_with(R"("id":"a\n")"),
           metric_with("\"id\":\"\xc3\xa4\""),
           metric_with("\"id\":\"a\tb\""),
           metric_with("\"id\":\"a"),
           metric_with(R"("id":7)"),
           metric_with(R"("labels":{"a":1})"),
           metric_with(R"("labels":["a"])"),
           metric_with("\"labels\":{" + many + "}"),
           metric_with(R"("resource":{"name":"x"})"),
           metric_with(R"("specversion":"1.0")"),
           metric_with("\"value\":\n1"),
           metric_with(std::string("\"id\0\":\"c\"", 9)),
           metric_with(std::string("\"time_ms\0\":1", 12)),
           metric_with(std::string("\"\0id\":\"c\"", 9)),
       }) {
    EXPECT_EQ(scan_both(text), Scanned::left) << text;
  }
}

TEST(MetricScan, NeverReadsAnythingElseThanTheGeneralReader) {
  const std::string honest =
      metric_with(R"("value":0.42,"time":"2026-11-22T09:30:00.123Z","time_ms":1795339800000,)"
                  R"("labels":{"zone":"a","b":"c"},"resource":{"kind":"host","id":"h"},"id":"c")");
  const std::string bytes =
      "{}[]\",:\\ 0123456789.-+eE\n\t\x7f\xc3\xa4"
      "abtv";
  std::mt19937 random(2);
  int agreed = 0;
  for (int i = 0; i < 50'000; ++i) {
    std::string text = honest;
    for (std::uint32_t changes = random() % 3 + 1; changes > 0; --changes) {
      const std::size_t at = random() % text.size();
      const char byte = bytes[random() % bytes.size()];
      if (random() % 3 == 0) {
        text[at] = byte;
      } else if (random() % 2 == 0) {
        text.insert(at, 1, byte);
      } else {
        text.erase(at, 1);
      }
    }
    // The decoder takes blanks off before it looks.
    while (!text.empty() && static_cast<unsigned char>(text.back()) <= ' ') text.pop_back();
    const Scanned scanned = scan_both(text);
    ASSERT_NE(scanned, Scanned::differs) << text;
    agreed += scanned == Scanned::agrees ? 1 : 0;
  }
  EXPECT_GT(agreed, 5'000);
}

}  // namespace
}  // namespace selfheal
