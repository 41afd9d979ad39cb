// The direct writer and readers against the tree, which is the rule for both: equal bytes, and
// never another meaning. Everything is drawn from fixed seeds.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "topics/control.hpp"
#include "topics/event_codec.hpp"
#include "topics/journal_codec.hpp"
#include "topics/json_canonical.hpp"

namespace selfheal {
namespace {

class Source {
 public:
  explicit Source(std::uint64_t seed) : engine_(seed) {}

  std::uint64_t below(std::uint64_t bound) { return engine_() % bound; }
  std::uint64_t bits() { return engine_(); }

  // Every text in which an escape, a replacement or the end of a sequence could go wrong; `valid`:
  // only UTF-8.
  std::string text(bool valid) {
    static const std::vector<std::string> good = {"",
                                                  "a",
                                                  "service-1",
                                                  "\"",
                                                  "\\",
                                                  "\\u0041",
                                                  "\n\r",
                                                  "\b\f\t",
                                                  "\x01\x1f\x7f",
                                                  "é",
                                                  "\u20ac",
                                                  "\U0001f600",
                                                  "/",
                                                  "{\"a\":1",
                                                  "\u0800\ud7ff",
                                                  "\ue000\uffff",
                                                  "\U0010ffff",
                                                  std::string("\0x", 2)};
    static const std::vector<std::string> broken = {
        "\xff",         "\xc3",     "\xe2\x82",     "\xf0\x9f\x98", "\xc0\x80", "\xed\xa0\x80",
        "\xf4\x90\x80", "\x80\x80", "\xe2\x28\xa1", "\xf8\x88",     "\xc3\x28", "\xe0\x80\x80"};
    std::string text;
    for (std::uint64_t parts = below(4); parts > 0; --parts) {
      const bool break_it = !valid && below(3) == 0;
      text += break_it ? broken[below(broken.size())] : good[below(good.size())];
    }
    // Longer than the buffer in which the tree's writer collects its bytes.
    if (below(20) == 0) text.append(below(1200), 'x');
    return text;
  }

  double real() {
    static const std::vector<double> odd = {0.0,
                                            -0.0,
                                            1.0,
                                            -1.5,
                                            0.1,
                                            1e15,
                                            1e16,
                                            1e21,
                                            1e-5,
                                            123456789.0,
                                            5e-324,
                                            9007199254740993.0,
                                            std::numeric_limits<double>::max(),
                                            std::numeric_limits<double>::min(),
                                            std::numeric_limits<double>::infinity(),
                                            std::nan("")};
    if (below(2) == 0) return odd[below(odd.size())];
    const std::uint64_t raw = bits();
    double value = 0;
    std::memcpy(&value, &raw, sizeof value);
    return value;
  }

  std::int64_t whole() {
    switch (below(4)) {
      case 0:
        return std::numeric_limits<std::int64_t>::min();
      case 1:
        return std::numeric_limits<std::int64_t>::max();
      case 2:
        return static_cast<std::int64_t>(below(3)) - 1;
      default:
        return static_cast<std::int64_t>(bits());
    }
  }

  template <class T>
  void fill(T& value, bool plain) {
    if constexpr (HasFields<T>) {
      for_each_field<T>([&](const auto& each) { fill(value.*each.member, plain); });
    } else if constexpr (json_detail::is_vector<T>::value) {
      value.resize(below(3));
      for (auto& each : value) fill(each, plain);
    } else if constexpr (json_detail::is_map<T>::value) {
      for (std::uint64_t i = below(4); i > 0; --i) fill(value[text(plain)], plain);
    } else if constexpr (std::is_same_v<T, bool>) {
      value = below(2) == 0;
    } else if constexpr (std::is_same_v<T, std::string>) {
      value = text(plain);
    } else if constexpr (std::is_floating_point_v<T>) {
      do value = real();
      while (plain && !std::isfinite(value));
    } else {
      value = static_cast<T>(whole());
    }
  }

  template <std::size_t index = 0>
  void add_every_event(std::vector<Event>& events, bool plain) {
    if constexpr (index < std::variant_size_v<EventBody>) {
      Event event{text(plain), text(plain), text(plain), {}};
      fill(event.body.emplace<index>(), plain);
      events.push_back(std::move(event));
      add_every_event<index + 1>(events, plain);
    }
  }

  JournalRecord record(JournalKind kind, bool plain) {
    JournalRecord record;
    record.kind = kind;
    record.shard = whole();
    record.epoch = whole();
    record.seq = whole();
    for (std::string* each : {&record.prev_hash, &record.owner, &record.build, &record.public_key,
                              &record.stage, &record.reason, &record.topic_kind}) {
      *each = text(plain);
    }
    record.shard_seed = bits();
    record.state_hash = bits();
    record.generation = whole();
    record.cut = {whole(), whole(), whole(), whole(), whole(), whole(), {}, bits()};
    for (std::uint64_t i = below(3); i > 0; --i) {
      fill(record.cut.inputs.emplace_back().emplace<StepResult>(), plain);
      fill(record.cut.inputs.emplace_back().emplace<ProbeResult>(), plain);
    }
    if (below(4) > 0) add_every_event(record.events, plain);
    Json content = {{"z", {1, 2.5, nullptr}}, {"a", {{"b", text(true)}, {"c", whole()}}}};
    if (below(2) == 0) content[text(true)] = true;
    record.content = below(2) == 0 ? dump(content) : content.dump(2);
    return record;
  }

  // One small injury.
  std::string injure(std::string text) {
    static const std::string bytes = "{}[]\",:\\u0eE.-+ 19tfn\n\x01\xc3\xff";
    const std::size_t at = below(text.size());
    switch (below(5)) {
      case 0:
        text[at] = bytes[below(bytes.size())];
        break;
      case 1:
        text.erase(at, 1 + below(4));
        break;
      case 2:
        text.insert(at, 1, bytes[below(bytes.size())]);
        break;
      case 3:
        text.insert(at, text.substr(below(text.size()), below(40)));
        break;
      default:
        text.resize(at);
    }
    return text;
  }

 private:
  std::mt19937_64 engine_;
};

// The body as a tree, member by member.
Json tree_of(const JournalRecord& record) {
  Json json{{"kind", to_string(record.kind)},
            {"version", record.version},
            {"shard", record.shard},
            {"epoch", record.epoch},
            {"seq", record.seq}};
  if (!record.prev_hash.empty()) json["prev_hash"] = record.prev_hash;
  if (record.kind == JournalKind::claim) {
    json["owner"] = record.owner;
    json["build"] = record.build;
    json["fold_version"] = record.fold_version;
    json["partitions"] = record.partitions;
    json["shard_seed"] = to_hex(record.shard_seed);
    json["public_key"] = record.public_key;
    return json;
  }
  if (record.kind == JournalKind::config) {
    json["generation"] = record.generation;
    json["content"] = Json::parse(record.content);
    return json;
  }
  Json& cut = json["cut"];
  cut["signals"] = Json::array({record.cut.signals_begin, record.cut.signals_end});
  cut["control"] = Json::array({record.cut.control_begin, record.cut.control_end});
  cut["tick_ms"] = record.cut.tick_ms;
  cut["caught_up_through_ms"] = record.cut.caught_up_through_ms;
  cut["inputs_digest"] = to_hex(record.cut.inputs_digest);
  for (const EmbeddedInput& input : record.cut.inputs) {
    cut["inputs"].push_back(embedded_to_json(input));
  }
  if (record.kind == JournalKind::batch) {
    json["state_hash"] = to_hex(record.state_hash);
    json["events"] = Json::array();
    for (const Event& event : record.events) json["events"].push_back(event_to_json(event));
    return json;
  }
  json["reason"] = record.reason;
  if (record.kind == JournalKind::failed) json["stage"] = record.stage;
  if (record.kind == JournalKind::skip) json["topic_kind"] = record.topic_kind;
  return json;
}

constexpr std::array<JournalKind, 5> every_kind = {JournalKind::claim, JournalKind::batch,
                                                   JournalKind::config, JournalKind::failed,
                                                   JournalKind::skip};

// Both ways of reading agree: on the answer, on its words, and on every member, absent ones too.
void expect_same_reading(const std::string& body) {
  const Result<JournalRecord> direct = decode_body(body);
  const Result<JournalRecord> tree = decode_body_by_tree(body);
  ASSERT_EQ(direct.has_value(), tree.has_value()) << body;
  if (!tree) {
    EXPECT_EQ(direct.error(), tree.error()) << body;
    return;
  }
  EXPECT_EQ(direct->kind, tree->kind) << body;
  EXPECT_EQ(direct->version, tree->version) << body;
  JournalRecord left = *direct;
  JournalRecord right = *tree;
  // Written as every kind, all members show, those that do not belong to this kind as well.
  for (const JournalKind kind : every_kind) {
    left.kind = right.kind = kind;
    if (left.content.empty() && right.content.empty()) left.content = right.content = "{}";
    EXPECT_EQ(encode_body(left), encode_body(right)) << body;
  }
}

TEST(JsonText, EventsGiveTheBytesOfTheTree) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    Source source(seed);
    std::vector<Event> events;
    source.add_every_event(events, seed % 2 == 0);
    ASSERT_EQ(events.size(), std::variant_size_v<EventBody>);
    for (const Event& event : events) EXPECT_EQ(event_text(event), dump(event_to_json(event)));
  }
}

TEST(JsonText, CloudEventsAreThoseOfTheContract) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    Source source(seed);
    std::vector<Event> events;
    source.add_every_event(events, seed % 2 == 0);
    const DecisionAddress address{source.text(true), 3, source.whole(), 5, 1'800'000'000'123};
    for (const Event& event : events) {
      Json json{{"specversion", "1.0"},
                {"id", decision_id(3, address.seq, 5)},
                {"source", "/selfheal/" + address.topics_prefix + "/3"},
                {"type", std::string("self_heal.") + event_name(event.body)},
                {"time", "2027-01-15T08:00:00.123Z"},
                {"datacontenttype", "application/json"},
                {"data", event_to_json(event)["data"]}};
      if (!event.service.empty()) json["subject"] = event.service;
      if (!event.incident_id.empty()) json["incidentid"] = event.incident_id;
      if (!event.causation_id.empty()) json["causationid"] = event.causation_id;
      EXPECT_EQ(cloud_event_text(event, address), dump(json));
    }
  }
}

TEST(JsonText, RecordsGiveTheBytesOfTheTree) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    Source source(seed);
    for (const JournalKind kind : every_kind) {
      const JournalRecord record = source.record(kind, seed % 2 == 0);
      EXPECT_EQ(encode_body(record), dump(tree_of(record)));
    }
  }
}

TEST(JsonText, AControlMessageIsSignedWithoutItsSignature) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    ControlMessage message;
    Source(seed).fill(message, seed % 2 == 0);
    Json json = to_json_value(message);
    EXPECT_EQ(to_json_text(message), dump(json));
    json.erase("signature");
    EXPECT_EQ(message.signed_text(), dump(json));
  }
}

TEST(JsonText, WhatThisBuildWritesIsReadWithoutATree) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    Source source(seed);
    std::vector<Event> events;
    source.add_every_event(events, true);
    for (const Event& event : events) {
      const std::string text = event_text(event);
      JsonReader in(text);
      Event again;
      ASSERT_TRUE(read_event(in, again) && in.ends()) << text;
      EXPECT_EQ(event_text(again), text);
    }
  }
}

TEST(JsonText, RecordsAreReadAsTheTreeReadsThem) {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    Source source(seed);
    for (const JournalKind kind : every_kind) {
      const JournalRecord record = source.record(kind, seed % 2 == 0);
      expect_same_reading(encode_body(record));
      expect_same_reading(tree_of(record).dump(1, '\t', true, Json::error_handler_t::replace));
    }
  }
}

TEST(JsonText, InjuredRecordsAreReadAsTheTreeReadsThem) {
  std::int64_t readable = 0;
  for (std::uint64_t seed = 0; seed < 6000; ++seed) {
    Source source(seed);
    JournalRecord record = source.record(every_kind[seed % every_kind.size()], true);
    // Few events, so that the injury often hits the rest.
    if (record.events.size() > 2) {
      record.events = {record.events[source.below(record.events.size())]};
    }
    std::string body = encode_body(record);
    for (std::uint64_t injuries = 1 + source.below(2); injuries > 0 && !body.empty(); --injuries) {
      body = source.injure(body);
    }
    if (decode_body_by_tree(body)) ++readable;
    expect_same_reading(body);
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_GT(readable, 300);  // injuries that only change a value are among them
}

TEST(JsonText, MembersThatMeanSomethingElseAreLeftToTheTree) {
  JournalRecord claim;
  claim.kind = JournalKind::claim;
  claim.owner = "first";
  const std::string body = encode_body(claim);
  const auto with = [&](const std::string& members) {
    return body.substr(0, body.size() - 1) + "," + members + "}";
  };
  for (const std::string& members :
       {std::string(R"("owner":"second")"), std::string(R"("stage":"of another kind")"),
        std::string(R"("\u006fwner":"escaped")"),
        std::string(R"("unknown":{"a":[1,2,{"b":null}]})"), std::string(R"("unknown":1e999)"),
        std::string(R"("unknown":01)"), std::string(R"("epoch":-0)"), std::string(R"("epoch":1.0)"),
        std::string(R"("epoch":18446744073709551615)"), std::string(R"("epoch":true)"),
        std::string(R"("unknown":"\ud800")"),
        std::string(R"("unknown":)") + std::string(40, '[') + std::string(40, ']'),
        std::string(R"("unknown":)") + std::string(100, '[') + std::string(100, ']')}) {
    expect_same_reading(with(members));
  }
  EXPECT_EQ(decode_body(with(R"("owner":"second")"))->owner, "second");
  EXPECT_TRUE(decode_body(with(R"("stage":"of another kind")"))->stage.empty());
  expect_same_reading("\xef\xbb\xbf" + body);
  expect_same_reading(body + " ");
  expect_same_reading(body + "x");
}

TEST(JsonText, StructsAreReadAsTheTreeReadsThem) {
  std::int64_t readable = 0;
  for (std::uint64_t seed = 0; seed < 4000; ++seed) {
    Source source(seed);
    Proposal proposal;
    source.fill(proposal, true);
    std::string text = to_json_text(proposal);
    if (seed % 4 > 0) text = source.injure(text);
    const Result<Proposal> direct = from_json_text<Proposal>(text);
    const Result<Json> json = parse_json(text);
    Proposal by_tree;
    const std::string wrong = json ? from_json_value(*json, by_tree) : json.error().context;
    ASSERT_EQ(direct.has_value(), wrong.empty()) << text;
    if (!direct) {
      EXPECT_EQ(direct.error().context, wrong);
      continue;
    }
    ++readable;
    EXPECT_EQ(to_json_text(*direct), to_json_text(by_tree)) << text;
  }
  EXPECT_GT(readable, 1000);
}

TEST(JsonText, OnlyCanonicalTextCountsAsCanonical) {
  std::int64_t canonical = 0;
  for (std::uint64_t seed = 0; seed < 6000; ++seed) {
    Source source(seed);
    std::string text = encode_body(source.record(every_kind[seed % every_kind.size()], true));
    if (text.size() > 4000) text = source.record(JournalKind::config, true).content;
    if (seed % 3 > 0) text = source.injure(text);
    if (text.empty() || canonical_length(text) != text.size()) continue;
    ++canonical;
    const Result<Json> json = parse_json(text);
    ASSERT_TRUE(json) << text;
    EXPECT_EQ(dump(*json), text);
  }
  EXPECT_GT(canonical, 1000);
  for (const std::string& text :
       {std::string(R"({"b":1,"a":2})"), std::string(R"({"a":1,"a":1})"), std::string("[1, 2]"),
        std::string("-0"), std::string("1.50"), std::string(R"("\u000a")"),
        std::string(R"("\u001F")"), std::string("\"\xc3\""), std::string("[1"), std::string("")}) {
    EXPECT_TRUE(text.empty() || canonical_length(text) != text.size()) << text;
  }
  EXPECT_EQ(canonical_length(R"([1,-2,0.5,"\u001f\n",{"a":null,"b":[]}],"rest")"), 39U);
}

}  // namespace
}  // namespace selfheal
