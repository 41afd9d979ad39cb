#include "topics/signal_decoder.hpp"

#include <gtest/gtest.h>

#include <random>

#include "topics/signal_encoder.hpp"

namespace selfheal {
namespace {

constexpr TimeMs record_time_ms = 1'795'339'800'000;

const std::string metric_json =
    R"({"type":"metric","service":"checkout","metric":"latency_p99_seconds","value":0.42,)"
    R"("time":"2026-11-22T09:30:00.123Z","labels":{"zone":"a"},)"
    R"("resource":{"kind":"service","id":"checkout"},"sentinel":"probe-7","id":"c0ffee"})";

SignalBatch decoded(const std::string& value) {
  static SignalDecoder decoder;  // shared on purpose: nothing may leak from record to record
  SignalBatch batch;
  decoder.decode({7, record_time_ms, "key", value}, batch);
  return batch;
}

TEST(SignalDecoder, ReadsTheMetricOfTheContract) {
  const SignalBatch batch = decoded(metric_json);
  ASSERT_EQ(batch.failures.size(), 0U) << batch.failures[0].reason;
  ASSERT_EQ(batch.signals.size(), 1U);
  const Signal& signal = batch.signals[0];
  EXPECT_EQ(signal.type, SignalType::metric);
  EXPECT_EQ(signal.offset, 7);
  EXPECT_EQ(signal.line, 0U);
  EXPECT_EQ(signal.time_ms, *parse_rfc3339("2026-11-22T09:30:00.123Z"));
  EXPECT_EQ(signal.received_ms, record_time_ms);
  EXPECT_EQ(signal.service, "checkout");
  EXPECT_EQ(signal.metric, "latency_p99_seconds");
  EXPECT_EQ(signal.value, 0.42);
  EXPECT_EQ(signal.labels, "zone=a");
  EXPECT_EQ(signal.resource_kind, "service");
  EXPECT_EQ(signal.resource_id, "checkout");
  EXPECT_EQ(signal.sentinel, "probe-7");
  EXPECT_EQ(signal.id, "c0ffee");
  EXPECT_EQ(signal.detail, nullptr);
}

TEST(SignalDecoder, ReadsEveryOtherType) {
  const SignalBatch batch = decoded(
      R"({"type":"heartbeat","worker":"w1","worker_type":"resizer","health_score":40,)"
      R"("progress":0.5,"task_id":"t1","token_budget":{"allocated":10,"used":3}})"
      "\n"
      R"({"type":"failure","service":"s","code":"oom","message":"out of memory","worker":"w1"})"
      "\n"
      R"({"type":"alert","service":"s","status":"firing","labels":{"alertname":"Down","z":"1"},)"
      R"("annotations":{"summary":"x"},"fingerprint":"f"})"
      "\n"
      R"({"type":"prediction","service":"s","code":"disk","likelihood":0.8,"impact":"high",)"
      R"("lead_time_seconds":60,"suggested_playbooks":["a","b"]})"
      "\n"
      R"({"type":"dispatch","service":"s","worker":"w1","task_id":"t2","error":"e"})"
      "\n"
      R"({"type":"degradation","service":"s","code":"slow","severity":"low",)"
      R"("evidence":{"p99" : [1, 2]}})"
      "\n");
  ASSERT_EQ(batch.failures.size(), 0U) << batch.failures[0].reason;
  ASSERT_EQ(batch.signals.size(), 6U);
  EXPECT_EQ(batch.signals[0].service, "resizer");
  EXPECT_EQ(batch.signals[0].detail->health_score, 40);
  EXPECT_EQ(batch.signals[0].detail->progress, 0.5);
  EXPECT_EQ(batch.signals[1].detail->message, "out of memory");
  EXPECT_EQ(batch.signals[1].detail->health_score, 100);
  EXPECT_EQ(batch.signals[2].detail->alertname, "Down");
  EXPECT_EQ(batch.signals[2].detail->labels.at("z"), "1");
  EXPECT_EQ(batch.signals[3].detail->likelihood, 0.8);
  EXPECT_EQ(batch.signals[3].detail->suggested_playbooks, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(batch.signals[4].detail->task_id, "t2");
  EXPECT_EQ(batch.signals[5].detail->confidence, 0.9);
  EXPECT_EQ(batch.signals[5].detail->evidence, R"({"p99" : [1, 2]})");
  for (std::uint32_t i = 0; i < 6; ++i) EXPECT_EQ(batch.signals[i].line, i);
}

TEST(SignalDecoder, TellsTheFormsApart) {
  const std::string event = R"({"specversion":"1.0","id":"1","type":"x.y","source":"/s",)"
                            R"("time":"2026-11-22T09:00:00Z","datacontenttype":"application/json",)"
                            R"("data":{"type":"metric","service":"s","metric":"m","value":1}})";
  const std::string laid_out =
      "{\n  \"type\": \"metric\",\n  \"service\": \"s\",\n  \"metric\": \"m\",\n  \"value\": "
      "1\n}\n";
  const std::string broken_late =
      "{\"labels\":{\"a\":\"b\"}\n,\"type\":\"metric\",\"service\":\"s\",\"metric\":\"m\","
      "\"value\":1}";
  const std::string lines = metric_json + "\r\n\n" + metric_json;
  EXPECT_EQ(decoded(event).signals.at(0).time_ms, *parse_rfc3339("2026-11-22T09:00:00Z"));
  EXPECT_EQ(decoded(event).signals.at(0).service, "s");
  EXPECT_EQ(decoded(laid_out).signals.at(0).time_ms, record_time_ms);
  EXPECT_EQ(decoded(broken_late).signals.size(), 1U);
  EXPECT_EQ(decoded(broken_late).failures.size(), 0U);
  EXPECT_EQ(decoded(lines).signals.size(), 2U);
  EXPECT_EQ(decoded(lines).signals.at(1).line, 2U);
  EXPECT_EQ(decoded(" \n\t" + metric_json + "\n\n").signals.size(), 1U);
  EXPECT_EQ(decoded("\xef\xbb\xbf" + metric_json).signals.size(), 1U);
  EXPECT_EQ(decoded(event + "\n" + event).signals.size(), 2U);
}

TEST(SignalDecoder, ABadLineCostsItself) {
  const SignalBatch batch = decoded(metric_json + "\n{\"type\":\"metric\",\n" + metric_json +
                                    "\nnonsense\n" + metric_json);
  EXPECT_EQ(batch.signals.size(), 3U);
  ASSERT_EQ(batch.failures.size(), 2U);
  EXPECT_EQ(batch.failures[0].line, 1);
  EXPECT_EQ(batch.failures[1].line, 3);
  EXPECT_EQ(batch.signals[2].line, 4U);
  EXPECT_EQ(batch.failures[0].offset, 7);
  EXPECT_EQ(decoded("nonsense\n" + metric_json).signals.size(), 1U);
  EXPECT_EQ(decoded("{\"type\":\"met\n" + metric_json).signals.size(), 1U);
}

TEST(SignalDecoder, ProgressInWordsIsNoMistake) {
  for (const char* progress : {R"("step 3 of 7")", "null", R"({"done":1})"}) {
    const SignalBatch batch =
        decoded(R"({"type":"heartbeat","service":"s","worker":"w","progress":)" +
                std::string(progress) + R"(,"task_id":"t"})");
    ASSERT_EQ(batch.signals.size(), 1U) << progress;
    EXPECT_EQ(batch.signals[0].detail->progress, -1) << progress;
    EXPECT_EQ(batch.signals[0].detail->task_id, "t") << progress;
  }
}

TEST(SignalDecoder, LabelsAreCanonical) {
  const auto labels = [](const std::string& json) {
    const SignalBatch batch =
        decoded(R"({"type":"metric","service":"s","metric":"m","value":1,"labels":)" + json + "}");
    return batch.signals.empty() ? "refused: " + batch.failures.at(0).reason
                                 : std::string(batch.signals[0].labels);
  };
  EXPECT_EQ(labels(R"({"b":"2","a":"1"})"), "a=1,b=2");
  EXPECT_EQ(labels(R"({"a":"x,y=z\\"})"), R"(a=x\,y\=z\\)");
  EXPECT_EQ(labels(R"({"a":"1","a":"2"})"), "a=2");
  EXPECT_EQ(labels("{}"), "");
  EXPECT_EQ(labels("null"), "");
  EXPECT_TRUE(labels(R"({"":"1"})").starts_with("refused: missing_field"));
  EXPECT_TRUE(labels(R"({"a":1})").starts_with("refused: wrong_type"));
  std::string many = "{";
  for (int i = 0; i < 65; ++i) {
    many += (i > 0 ? ",\"" : "\"") + std::to_string(i) + "\":\"v\"";
  }
  EXPECT_TRUE(labels(many + "}").starts_with("refused: too_many"));
}

struct Bad {
  std::string value;
  std::string word;
};

TEST(SignalDecoder, RefusesWithAStableWord) {
  const auto metric = [](const std::string& members) {
    return R"({"type":"metric","service":"s","metric":"m",)" + members + "}";
  };
  const std::string long_name(257, 'n');
  const std::vector<Bad> table = {
      {"", "empty"},
      {" \n ", "empty"},
      {"[1]", "unknown_format"},
      {"hello", "unknown_format"},
      {std::string(1 << 20, ' ') + "{", "oversize"},
      {"{", "bad_json"},
      {"{}", "unknown_type"},
      {"{} {}", "bad_json"},
      {metric("\"value\":1") + "x", "bad_json"},
      {metric("\"value\":1,\"x\":\"\xff\""), "bad_json"},
      {metric("\"value\":1,\"x\":\"\x01\""), "bad_json"},
      {R"({"type":"metrics","service":"s"})", "unknown_type"},
      {R"({"type":7,"service":"s"})", "unknown_type"},
      {metric("\"value\":\"1\""), "wrong_type"},
      {metric("\"value\":null"), "wrong_type"},
      {metric("\"value\":NaN"), "wrong_type"},
      {metric("\"value\":1e999"), "wrong_type"},
      {metric("\"value\":true"), "wrong_type"},
      {metric("\"value\":1,\"id\":nul"), "wrong_type"},
      {metric("\"value\":1,\"id\":nnnn\"x\""), "wrong_type"},
      {metric("\"value\":1,\"id\":\"x\"y"), "bad_json"},
      {metric("\"value\":1,\"id\":\"x\" \"y\""), "bad_json"},
      {metric("\"unit\":\"s\""), "missing_field"},
      {R"({"type":"metric","metric":"m","value":1})", "missing_service"},
      {R"({"type":"metric","service":"","metric":"m","value":1})", "missing_service"},
      {R"({"type":"metric","service":3,"metric":"m","value":1})", "wrong_type"},
      {R"({"type":"metric","service":"s","value":1})", "missing_field"},
      {R"({"type":"metric","service":"a\nb","metric":"m","value":1})", "control_character"},
      {R"({"type":"metric","service":"a\u007f","metric":"m","value":1})", "control_character"},
      {R"({"type":"metric","service":")" + long_name + R"(","metric":"m","value":1})", "too_long"},
      {R"({"type":"metric","service":"s","metric":")" + long_name + R"(","value":1})", "too_long"},
      {metric(R"("value":1,"time":"yesterday")"), "bad_time"},
      {metric(R"("value":1,"time":"1999-12-31T23:59:59Z")"), "bad_time"},
      {metric(R"("value":1,"time":"2200-01-01T00:00:00Z")"), "bad_time"},
      {metric(R"("value":1,"time_ms":5)"), "bad_time"},
      {metric(R"("value":1,"time_ms":1.5)"), "wrong_type"},
      {metric(R"("value":1,"resource":"x")"), "wrong_type"},
      {R"({"type":"heartbeat","worker":"w"})", "missing_service"},
      {R"({"type":"heartbeat","service":"s"})", "missing_field"},
      {R"({"type":"heartbeat","service":"s","worker":"w","health_score":101})", "out_of_range"},
      {R"({"type":"failure","service":"s"})", "missing_field"},
      {R"({"type":"alert","service":"s","alertname":"a","status":"on"})", "bad_value"},
      {R"({"type":"alert","service":"s","status":"firing"})", "missing_field"},
      {R"({"type":"prediction","service":"s","code":"c"})", "missing_field"},
      {R"({"type":"prediction","service":"s","code":"c","likelihood":2})", "out_of_range"},
      {R"({"type":"prediction","service":"s","code":"c","likelihood":1,"impact":"huge"})",
       "bad_value"},
      {R"({"type":"dispatch","service":"s"})", "missing_field"},
      {R"({"type":"degradation","service":"s","code":"c","severity":"awful"})", "bad_value"},
      {R"({"type":"degradation","service":"s","code":"c","severity":"low","evidence":{"a":tru}})",
       "bad_json"},
      {R"({"specversion":"1.0","type":"metric","service":"s","metric":"m","value":1})",
       "bad_cloudevent"},
      {R"({"specversion":"1.0","data":"text"})", "bad_cloudevent"},
      {R"({"specversion":"1.0","data":{"specversion":"1.0","data":{}}})", "bad_cloudevent"},
      {"\xb1", "bad_frame"},
  };
  for (const Bad& bad : table) {
    const SignalBatch batch = decoded(bad.value);
    const std::string shown = bad.value.substr(0, 120);
    EXPECT_EQ(batch.signals.size(), 0U) << shown;
    ASSERT_EQ(batch.failures.size(), 1U) << shown;
    EXPECT_TRUE(batch.failures[0].reason.starts_with(bad.word + ": "))
        << shown << " -> " << batch.failures[0].reason;
    EXPECT_EQ(batch.failures[0].line, -1) << shown;
  }
}

TEST(SignalDecoder, TheTimeOfACloudEventInBinaryModeIsThatOfItsSignals) {
  const std::string plain = R"({"type":"metric","service":"a","metric":"m","value":1})";
  const std::string timed =
      R"({"type":"metric","service":"a","metric":"m","value":1,"time_ms":1795339700000})";
  SignalDecoder decoder;
  SignalBatch batch;
  RecordView record{7, record_time_ms, {}, {}, "2026-11-22T09:00:00+01:00"};
  const std::string lines = plain + "\n" + timed + "\n" + plain;
  record.value = lines;
  decoder.decode(record, batch);
  ASSERT_EQ(batch.signals.size(), 3U);
  EXPECT_EQ(batch.signals[0].time_ms, *parse_rfc3339("2026-11-22T08:00:00Z"));
  EXPECT_EQ(batch.signals[1].time_ms, 1795339700000) << "the signal's own time is more exact";
  EXPECT_EQ(batch.signals[2].time_ms, *parse_rfc3339("2026-11-22T08:00:00Z"));
  // As an envelope has it: the event's time is the fallback of its data's.
  const std::string wrapped = R"({"specversion":"1.0","time":"2026-11-22T07:00:00Z","data":)";
  for (const auto& [value, time_ms] :
       {std::pair(wrapped + plain + "}", *parse_rfc3339("2026-11-22T07:00:00Z")),
        std::pair(wrapped + timed + "}", TimeMs{1795339700000})}) {
    batch = {};
    record.value = value;
    decoder.decode(record, batch);
    ASSERT_EQ(batch.signals.size(), 1U) << value;
    EXPECT_EQ(batch.signals[0].time_ms, time_ms);
  }
  record.value = plain;
  for (const char* time : {"yesterday", "1795339700000", "3026-11-22T08:00:00Z"}) {
    batch = {};
    record.event_time = time;
    decoder.decode(record, batch);
    ASSERT_EQ(batch.failures.size(), 1U) << time;
    EXPECT_TRUE(batch.failures[0].reason.starts_with("bad_time: ")) << batch.failures[0].reason;
  }
}

TEST(SignalDecoder, LongTextsAreCutAtACharacter) {
  std::string message;
  for (int i = 0; i < 3000; ++i) message += "é";
  const SignalBatch batch =
      decoded(R"({"type":"failure","service":"s","code":"c","message":")" + message + "\"}");
  ASSERT_EQ(batch.signals.size(), 1U);
  EXPECT_EQ(batch.signals[0].detail->message.size(), 4096U);
  const SignalBatch proof =
      decoded(R"({"type":"degradation","service":"s","code":"c","severity":"low","evidence":[")" +
              std::string(9000, '!') + "\"]}");
  ASSERT_EQ(proof.signals.size(), 1U) << proof.failures.at(0).reason;
  EXPECT_LE(proof.signals[0].detail->evidence.size(), 4096U);
  EXPECT_GT(proof.signals[0].detail->evidence.size(), 4000U);
}

TEST(SignalDecoder, TenThousandLinesAreTheLimit) {
  std::string value;
  for (int i = 0; i < 10'001; ++i) {
    value += R"({"type":"metric","service":"s","metric":"m","value":1})"
             "\n";
  }
  const SignalBatch batch = decoded(value);
  EXPECT_EQ(batch.signals.size(), 10'000U);
  ASSERT_EQ(batch.failures.size(), 1U);
  EXPECT_EQ(batch.failures[0].line, 10'000);
  EXPECT_TRUE(batch.failures[0].reason.starts_with("too_many: "));
}

TEST(SignalDecoder, KeysAndTextsMayBeEscaped) {
  const SignalBatch batch = decoded(
      R"({"\u0074ype":"metr\u0069c","service":"caf\u00e9 \"x\"","metric":"m","value":-0.5e1})");
  ASSERT_EQ(batch.signals.size(), 1U) << batch.failures.at(0).reason;
  EXPECT_EQ(batch.signals[0].service, "café \"x\"");
  EXPECT_EQ(batch.signals[0].value, -5);
}

bool same_detail(const SignalDetail& a, const SignalDetail& b) {
  return a.code == b.code && a.message == b.message && a.severity == b.severity &&
         a.worker == b.worker && a.worker_type == b.worker_type && a.task_id == b.task_id &&
         a.status == b.status && a.alertname == b.alertname && a.fingerprint == b.fingerprint &&
         a.impact == b.impact && a.evidence == b.evidence && a.labels == b.labels &&
         a.suggested_playbooks == b.suggested_playbooks && a.confidence == b.confidence &&
         a.likelihood == b.likelihood && a.lead_time_seconds == b.lead_time_seconds &&
         a.health_score == b.health_score && a.progress == b.progress;
}

TEST(SignalDecoder, WhatIsEncodedDecodesToTheSame) {
  const std::vector<std::string> all = {
      metric_json,
      R"({"type":"metric","service":"s","metric":"m","value":1e300,)"
      R"("labels":{"a":"=,\\","b":"\n"}})",
      R"({"type":"metric","service":"\"q\\","metric":"m","value":-0.1,"resource":{"id":"x"}})",
      R"({"type":"heartbeat","worker":"w","worker_type":"t","health_score":1,"progress":0})",
      R"({"type":"failure","service":"s","code":"c","message":"a\tb","worker":"w","id":"i"})",
      R"({"type":"alert","service":"s","status":"resolved","alertname":"a","severity":"page",)"
      R"("labels":{"x":"y"},"fingerprint":"f"})",
      R"({"type":"prediction","service":"s","code":"c","likelihood":0,"impact":"low",)"
      R"("lead_time_seconds":5,"suggested_playbooks":["p"]})",
      R"({"type":"dispatch","service":"s","worker":"w","task_id":"t"})",
      R"({"type":"degradation","service":"s","code":"c","severity":"low","confidence":0.5,)"
      R"("evidence":[1,{"a":null}],"message":"m"})",
  };
  for (const std::string& value : all) {
    const SignalBatch first = decoded(value);
    ASSERT_EQ(first.signals.size(), 1U) << value << first.failures.at(0).reason;
    const std::string json = signal_to_json(first.signals[0]);
    const SignalBatch again = decoded(json);
    ASSERT_EQ(again.signals.size(), 1U) << json << again.failures.at(0).reason;
    const Signal& a = first.signals[0];
    const Signal& b = again.signals[0];
    EXPECT_TRUE(a.type == b.type && a.time_ms == b.time_ms && a.service == b.service &&
                a.metric == b.metric && a.value == b.value && a.labels == b.labels &&
                a.resource_kind == b.resource_kind && a.resource_id == b.resource_id &&
                a.sentinel == b.sentinel && a.id == b.id)
        << json;
    EXPECT_EQ(a.detail == nullptr, b.detail == nullptr);
    if (a.detail != nullptr) {
      EXPECT_TRUE(same_detail(*a.detail, *b.detail)) << json;
    }
    EXPECT_EQ(signal_to_json(b), json);
  }
}

TEST(SignalDecoder, SurvivesMutationsAndTruncation) {
  const std::string base =
      metric_json + "\n" +
      R"({"type":"alert","service":"s","status":"firing","alertname":"a","labels":{"x":"y"}})";
  for (std::size_t size = 0; size <= base.size(); ++size) decoded(base.substr(0, size));
  std::mt19937 random(1);
  for (int round = 0; round < 20'000; ++round) {
    std::string value = base;
    const std::size_t changes = 1 + random() % 4;
    for (std::size_t i = 0; i < changes; ++i) {
      value[random() % value.size()] = static_cast<char>(random());
    }
    const SignalBatch batch = decoded(value);
    EXPECT_GE(batch.signals.size() + batch.failures.size(), 1U);
  }
}

// Labels that were judged for the line before, or for an earlier record, save work and nothing
// else.
TEST(SignalDecoder, EachLineIsReadAsIfItStoodAlone) {
  const std::vector<std::string> labels = {
      R"(,"labels":{"zone":"a"})",   R"(,"labels":{"zone":"a","b":"c"})",
      R"(,"labels":{"":"refused"})", R"(,"labels":{})",
      R"(,"labels":{ "zone":"a" })", R"(,"labels":{"zone":"\u0061"})",
      R"(,"labels":{"zone":"ab"})",  R"(,"labels":{"zone":"a"},"labels":{"b":"c"})",
      R"(,"labels":{"zone":"a"}})",  ""};
  const std::vector<std::string> ends = {"}\n", "} \r\n", "}\n\n", "},\n", "} {\n"};
  std::mt19937 random(3);
  SignalDecoder decoder;
  for (int round = 0; round < 3'000; ++round) {
    std::string record;
    std::vector<std::string> alone;
    std::size_t refused = 0;
    for (std::uint32_t lines = 2 + random() % 5; lines > 0; --lines) {
      const std::string line = R"({"type":"metric","service":"s","metric":"m","value":1)" +
                               labels[random() % labels.size()];
      const std::string& end = ends[random() % 8 < ends.size() ? random() % ends.size() : 0];
      record += line + end;
      SignalDecoder fresh;
      SignalBatch one;
      fresh.decode({7, record_time_ms, "key", line + end}, one);
      refused += one.failures.size();
      for (const Signal& each : one.signals) alone.push_back(signal_to_json(each));
    }
    SignalBatch batch;
    decoder.decode({7, record_time_ms, "key", record}, batch);
    std::vector<std::string> together;
    for (const Signal& each : batch.signals) together.push_back(signal_to_json(each));
    ASSERT_EQ(together, alone) << record;
    ASSERT_EQ(batch.failures.size(), refused) << record;
  }
}

}  // namespace
}  // namespace selfheal
