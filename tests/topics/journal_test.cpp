#include "topics/journal.hpp"

#include <gtest/gtest.h>

#include "base/signature.hpp"
#include "topics/json_codec.hpp"

namespace selfheal {
namespace {

constexpr TimeMs log_time_ms = 1'790'000'000'000;

// Gives every field of a struct a value that differs from its default and from its neighbours.
class Filler {
 public:
  template <class T>
  void fill(T& value) {
    ++count_;
    if constexpr (HasFields<T>) {
      for_each_field<T>([&](const auto& each) { fill(value.*each.member); });
    } else if constexpr (json_detail::is_vector<T>::value) {
      value.resize(2);
      for (auto& each : value) fill(each);
    } else if constexpr (json_detail::is_map<T>::value) {
      fill(value["first \"key\""]);
      fill(value["second"]);
    } else if constexpr (std::is_same_v<T, Duration>) {
      value.ms = count_ * 1000;
    } else if constexpr (std::is_same_v<T, bool>) {
      value = true;
    } else if constexpr (std::is_same_v<T, std::string>) {
      value = "text " + std::to_string(count_) + " é\n";
    } else if constexpr (std::is_floating_point_v<T>) {
      value = count_ + 0.1;
    } else {
      value = static_cast<T>(count_);
    }
  }

 private:
  int count_ = 0;
};

template <std::size_t index = 0>
void add_every_event(std::vector<Event>& events, Filler& filler) {
  if constexpr (index < std::variant_size_v<EventBody>) {
    Event event{"service " + std::to_string(index), "incident", "signals:7", {}};
    filler.fill(event.body.emplace<index>());
    events.push_back(std::move(event));
    add_every_event<index + 1>(events, filler);
  }
}

std::vector<Event> every_event() {
  std::vector<Event> events;
  Filler filler;
  add_every_event(events, filler);
  return events;
}

class Journal : public testing::Test {
 protected:
  JournalRecord claim(std::int64_t epoch) const {
    JournalRecord record;
    record.kind = JournalKind::claim;
    record.shard = 3;
    record.epoch = epoch;
    record.owner = "owner-" + std::to_string(epoch);
    record.build = "test";
    record.fold_version = 1;
    record.partitions = 8;
    record.shard_seed = 0xfedcba9876543210;
    record.public_key = key_.public_hex;
    return record;
  }

  // The next record of its kind that the chain would take.
  JournalRecord next(JournalKind kind, std::int64_t signals = 0) const {
    JournalRecord record;
    record.kind = kind;
    record.shard = chain_.shard;
    record.epoch = chain_.epoch;
    record.seq = chain_.seq + 1;
    record.prev_hash = to_hex(chain_.head);
    record.cut.signals_begin = chain_.signals_next;
    record.cut.signals_end = chain_.signals_next + signals;
    record.cut.control_begin = record.cut.control_end = chain_.control_next;
    record.cut.tick_ms = std::max(chain_.tick_ms, log_time_ms);
    if (kind == JournalKind::config) {
      record.cut = {};
      record.generation = chain_.generation + 1;
      record.content = R"({"a":1})";
    }
    if (kind == JournalKind::skip) record.topic_kind = "signals";
    return record;
  }

  Acceptance read_value(const std::string& value) {
    JournalRecord read;
    return accept(chain_, {offset_++, log_time_ms, {}, value}, read);
  }

  Acceptance read(const JournalRecord& record) { return read_signed(record, key_); }

  Acceptance read_signed(const JournalRecord& record, const SigningKey& key) {
    const std::string body = encode_body(record);
    return read_value(wrap_body(*sign(key.secret_hex, body), body));
  }

  // As read(), and nothing but the place in the log may have moved.
  Acceptance refused(const JournalRecord& record) {
    Chain before = chain_;
    const Acceptance acceptance = read(record);
    before.journal_next = offset_;
    EXPECT_EQ(chain_, before);
    return acceptance;
  }

  const SigningKey key_ = generate_signing_key();
  Chain chain_;
  Offset offset_ = 0;
};

TEST_F(Journal, AClaimTakesExactlyTheNextEpoch) {
  EXPECT_EQ(refused(claim(0)), Acceptance::stale_epoch);
  EXPECT_EQ(refused(claim(2)), Acceptance::future_epoch);
  EXPECT_EQ(refused(claim(INT64_MAX)), Acceptance::future_epoch);
  ASSERT_EQ(read(claim(1)), Acceptance::accepted);
  EXPECT_EQ(chain_.epoch, 1);
  EXPECT_EQ(chain_.owner, "owner-1");
  EXPECT_EQ(chain_.seq, 0);
  EXPECT_EQ(refused(claim(1)), Acceptance::stale_epoch);
  EXPECT_EQ(refused(claim(3)), Acceptance::future_epoch);
  ASSERT_EQ(read(claim(2)), Acceptance::accepted);
}

TEST_F(Journal, TheFirstClaimPinsSeedAndPartitions) {
  ASSERT_EQ(read(claim(1)), Acceptance::accepted);
  JournalRecord second = claim(2);
  second.shard_seed = 1;
  second.partitions = 99;
  ASSERT_EQ(read(second), Acceptance::accepted);
  EXPECT_EQ(chain_.shard_seed, 0xfedcba9876543210);
  EXPECT_EQ(chain_.partitions, 8);
  EXPECT_EQ(chain_.shard, 3);
}

TEST_F(Journal, EachRuleRefuses) {
  ASSERT_EQ(read(claim(1)), Acceptance::accepted);
  ASSERT_EQ(read(claim(2)), Acceptance::accepted);
  ASSERT_EQ(read(next(JournalKind::batch, 5)), Acceptance::accepted);
  struct Case {
    Acceptance expected;
    void (*spoil)(JournalRecord&);
  };
  const Case table[] = {
      {Acceptance::stale_epoch, [](JournalRecord& each) { each.epoch = 1; }},
      {Acceptance::future_epoch, [](JournalRecord& each) { each.epoch = 3; }},
      {Acceptance::wrong_seq, [](JournalRecord& each) { each.seq -= 1; }},
      {Acceptance::wrong_seq, [](JournalRecord& each) { each.seq += 1; }},
      {Acceptance::wrong_hash, [](JournalRecord& each) { each.prev_hash[0] ^= 1; }},
      {Acceptance::wrong_hash, [](JournalRecord& each) { each.prev_hash.clear(); }},
      {Acceptance::wrong_cut, [](JournalRecord& each) { each.cut.signals_begin -= 1; }},
      {Acceptance::wrong_cut, [](JournalRecord& each) { each.cut.signals_begin += 1; }},
      {Acceptance::wrong_cut, [](JournalRecord& each) { each.cut.signals_end -= 9; }},
      {Acceptance::wrong_cut, [](JournalRecord& each) { each.cut.control_begin += 1; }},
      {Acceptance::tick_backwards, [](JournalRecord& each) { each.cut.tick_ms -= 1; }},
      {Acceptance::tick_ahead,
       [](JournalRecord& each) { each.cut.tick_ms = log_time_ms + tick_ahead_ms_max + 1; }},
      {Acceptance::other_shard, [](JournalRecord& each) { each.shard = 4; }},
      {Acceptance::newer_version, [](JournalRecord& each) { each.version = journal_version + 1; }},
  };
  for (const Case& each : table) {
    JournalRecord record = next(JournalKind::batch, 2);
    each.spoil(record);
    EXPECT_EQ(refused(record), each.expected) << to_string(each.expected);
  }
  EXPECT_EQ(read(next(JournalKind::batch, 2)), Acceptance::accepted);
}

TEST_F(Journal, WhatTheOwnerSignedAndNobodyHereUnderstandsIsNotPassedOver) {
  ASSERT_EQ(read(claim(1)), Acceptance::accepted);
  std::string body = encode_body(next(JournalKind::batch, 2));
  const std::string event = R"([{"type":"of_tomorrow","service":"a","data":{}}])";
  body.replace(body.find("[]", body.find("\"events\"")), 2, event);
  ASSERT_FALSE(decode_body(body));
  const Chain before = chain_;
  EXPECT_EQ(read_value(wrap_body(*sign(key_.secret_hex, body), body)), Acceptance::newer_version);
  const SigningKey other = generate_signing_key();
  EXPECT_EQ(read_value(wrap_body(*sign(other.secret_hex, body), body)), Acceptance::unreadable);
  EXPECT_EQ(chain_.head, before.head);
  EXPECT_EQ(chain_.signals_next, before.signals_next);
}

TEST_F(Journal, ATickMayRunAheadByTheAllowance) {
  ASSERT_EQ(read(claim(1)), Acceptance::accepted);
  JournalRecord record = next(JournalKind::batch, 1);
  record.cut.tick_ms = log_time_ms + tick_ahead_ms_max;
  EXPECT_EQ(read(record), Acceptance::accepted);
  EXPECT_EQ(chain_.tick_ms, record.cut.tick_ms);
}

TEST_F(Journal, ADuplicateCountsOnce) {
  ASSERT_EQ(read(claim(1)), Acceptance::accepted);
  const JournalRecord record = next(JournalKind::batch, 2);
  EXPECT_EQ(read(record), Acceptance::accepted);
  EXPECT_EQ(refused(record), Acceptance::wrong_seq);
  EXPECT_EQ(chain_.signals_next, 2);
}

TEST_F(Journal, SignaturesAreThoseOfTheClaim) {
  const SigningKey other = generate_signing_key();
  EXPECT_EQ(read_signed(claim(1), other), Acceptance::bad_signature);
  ASSERT_EQ(read(claim(1)), Acceptance::accepted);
  EXPECT_EQ(read_signed(next(JournalKind::batch), other), Acceptance::bad_signature);
  std::string body = encode_body(next(JournalKind::batch));
  std::string value = wrap_body(*sign(key_.secret_hex, body), body);
  value[value.size() - 3] ^= 1;
  EXPECT_NE(read_value(value), Acceptance::accepted);
  // Bytes that the caller signed itself are taken without looking.
  const JournalRecord own = next(JournalKind::batch);
  const std::string unsigned_value = wrap_body(std::string(128, '0'), body);
  body = encode_body(own);
  Chain speculative = chain_;
  advance(speculative, own, body);
  EXPECT_EQ(accept_own(chain_, {9, log_time_ms, {}, unsigned_value}, own, speculative.head),
            Acceptance::accepted);
  speculative.journal_next = 10;
  EXPECT_EQ(chain_, speculative);
}

TEST(JournalRecords, EachIsWrittenInOneWay) {
  const std::string signature(128, 'a');
  EXPECT_TRUE(unwrap_body(wrap_body(signature, "{}")));
  for (const char other : {'A', 'g', ' '}) {
    std::string changed = signature;
    changed[5] = other;
    EXPECT_FALSE(unwrap_body(wrap_body(changed, "{}"))) << other;
  }
}

TEST_F(Journal, WhatIsNoRecordIsUnreadable) {
  for (const std::string& value :
       {std::string(), std::string("{}"), wrap_body(std::string(128, '0'), "{}"),
        wrap_body(std::string(128, '0'), "not json"), wrap_body("short", "{}"),
        wrap_body(std::string(128, '0'), R"({"version":1,"kind":"dance"})")}) {
    EXPECT_EQ(read_value(value), Acceptance::unreadable) << value;
  }
  EXPECT_EQ(chain_.journal_next, 6);
  EXPECT_EQ(chain_.epoch, 0);
}

TEST_F(Journal, ConfigActivatesWithoutACut) {
  ASSERT_EQ(read(claim(1)), Acceptance::accepted);
  ASSERT_EQ(read(next(JournalKind::config)), Acceptance::accepted);
  EXPECT_EQ(chain_.generation, 1);
  EXPECT_EQ(chain_.settings, R"({"a":1})");
  EXPECT_EQ(chain_.seq, 1);
}

TEST_F(Journal, AFailedCutIsHalvedUntilItsOneRecordIsLeft) {
  ASSERT_EQ(read(claim(1)), Acceptance::accepted);
  ASSERT_EQ(read(next(JournalKind::failed, 100)), Acceptance::accepted);
  EXPECT_EQ(chain_.signals_next, 0);
  EXPECT_EQ(chain_.poison.records_max, 50);
  EXPECT_EQ(chain_.poison.signals_until, 100);
  std::int64_t allowed = 50;
  while (allowed > 1) {
    ASSERT_EQ(read(next(JournalKind::failed, allowed)), Acceptance::accepted);
    allowed /= 2;
    EXPECT_EQ(chain_.poison.records_max, allowed);
    EXPECT_EQ(chain_.poison.single_failures, 0);
  }
  ASSERT_EQ(read(next(JournalKind::failed, 1)), Acceptance::accepted);
  ASSERT_EQ(read(next(JournalKind::failed, 1)), Acceptance::accepted);
  EXPECT_EQ(chain_.poison.single_failures, 2);
  EXPECT_EQ(chain_.poison.records_max, 1);
  ASSERT_EQ(read(next(JournalKind::skip, 1)), Acceptance::accepted);
  EXPECT_EQ(chain_.signals_next, 1);
  EXPECT_EQ(chain_.poison.single_failures, 0);
  // Still guarded up to where the failed cut ended, and free beyond.
  EXPECT_EQ(chain_.poison.records_max, 1);
  ASSERT_EQ(read(next(JournalKind::batch, 99)), Acceptance::accepted);
  EXPECT_EQ(chain_.poison, PoisonGuard{});
}

TEST_F(Journal, EveryKindComesBackAsItWas) {
  ASSERT_EQ(read(claim(1)), Acceptance::accepted);
  JournalRecord batch = next(JournalKind::batch, 5);
  batch.cut.caught_up_through_ms = 17;
  batch.cut.inputs_digest = 0x8000000000000001;
  batch.state_hash = 0xffffffffffffffff;
  Filler filler;
  filler.fill(batch.cut.inputs.emplace_back().emplace<StepResult>());
  filler.fill(batch.cut.inputs.emplace_back().emplace<ProbeResult>());
  batch.events = every_event();
  ASSERT_EQ(batch.events.size(), std::variant_size_v<EventBody>);
  JournalRecord failed = next(JournalKind::failed, 1);
  failed.stage = "predictor";
  failed.reason = "why \"not\"";
  for (const JournalRecord& record :
       {claim(2), batch, failed, next(JournalKind::config), next(JournalKind::skip, 1)}) {
    const std::string body = encode_body(record);
    const Result<JournalRecord> again = decode_body(body);
    ASSERT_TRUE(again) << again.error().context;
    EXPECT_EQ(encode_body(*again), body);
    EXPECT_EQ(again->kind, record.kind);
    EXPECT_EQ(again->epoch, record.epoch);
    EXPECT_EQ(again->cut, record.cut);
    EXPECT_EQ(again->state_hash, record.state_hash);
    EXPECT_EQ(again->shard_seed, record.shard_seed);
    EXPECT_EQ(again->public_key, record.public_key);
    EXPECT_EQ(again->content, record.content);
    EXPECT_EQ(again->reason, record.reason);
    ASSERT_EQ(again->events.size(), record.events.size());
    for (std::size_t i = 0; i < record.events.size(); ++i) {
      EXPECT_EQ(again->events[i], record.events[i]) << event_name(record.events[i].body);
    }
  }
}

TEST_F(Journal, AChainComesBackAsItWas) {
  ASSERT_EQ(read(claim(1)), Acceptance::accepted);
  ASSERT_EQ(read(next(JournalKind::config)), Acceptance::accepted);
  ASSERT_EQ(read(next(JournalKind::batch, 7)), Acceptance::accepted);
  ASSERT_EQ(read(next(JournalKind::failed, 4)), Acceptance::accepted);
  const Result<Chain> again = decode_chain(encode_chain(chain_));
  ASSERT_TRUE(again) << again.error().context;
  EXPECT_EQ(*again, chain_);
  EXPECT_FALSE(decode_chain("{}"));
  EXPECT_FALSE(decode_chain("?"));
}

// Given settings that name who may claim.
// Expect a stranger's claim to change nothing, whoever else is named, and the named to be taken.
TEST_F(Journal, AClaimNeedsAKeyThatTheSettingsName) {
  ASSERT_EQ(read(claim(1)), Acceptance::accepted);
  const SigningKey other = generate_signing_key();
  JournalRecord config = next(JournalKind::config);
  config.content = R"({"graph":{"keys":[]},"keys":[{"name":"op","public_key":")" +
                   other.public_hex + R"(","role":"operator"},{"name":"journal","public_key":")" +
                   key_.public_hex + R"(","role":"shard"}],"mode":"observe"})";
  ASSERT_EQ(read(config), Acceptance::accepted);
  JournalRecord of_other = claim(2);
  of_other.public_key = other.public_hex;
  Chain before = chain_;
  // Known, but as an operator.
  EXPECT_EQ(read_signed(of_other, other), Acceptance::unknown_key);
  before.journal_next = offset_;
  EXPECT_EQ(chain_, before);
  // Somebody else's key in the claim does not make it theirs.
  EXPECT_EQ(read_signed(claim(2), other), Acceptance::bad_signature);
  EXPECT_EQ(read(claim(2)), Acceptance::accepted);

  config = next(JournalKind::config);
  config.content = R"({"keys":[{"name":"op","public_key":"aa","role":"operator"}]})";
  ASSERT_EQ(read(config), Acceptance::accepted);
  of_other.epoch = 3;
  EXPECT_EQ(read_signed(of_other, other), Acceptance::accepted);
}

// A stranger needs no key to append: what no owner has signed must not stop a shard.
TEST_F(Journal, ANewerVersionCountsOnlyWhereSomebodyOfTheClusterSignedIt) {
  ASSERT_EQ(read(claim(1)), Acceptance::accepted);
  const auto newer = [&](const SigningKey& key) {
    const std::string body = "{\"version\":" + std::to_string(journal_version + 1) + "}";
    return read_value(wrap_body(*sign(key.secret_hex, body), body));
  };
  EXPECT_EQ(newer(key_), Acceptance::newer_version);
  EXPECT_EQ(newer(generate_signing_key()), Acceptance::newer_version)
      << "the settings name nobody, so anybody may claim";
  const SigningKey next_build = generate_signing_key();
  JournalRecord config = next(JournalKind::config);
  config.content = R"({"keys":[{"name":"a","public_key":")" + key_.public_hex +
                   R"(","role":"shard"},{"name":"b","public_key":")" + next_build.public_hex +
                   R"(","role":"shard"}]})";
  ASSERT_EQ(read(config), Acceptance::accepted);
  EXPECT_EQ(newer(generate_signing_key()), Acceptance::unreadable);
  EXPECT_EQ(newer(next_build), Acceptance::newer_version);
}

TEST_F(Journal, AGapBesideAPoisonousRecordDoesNotHideIt) {
  ASSERT_EQ(read(claim(1)), Acceptance::accepted);
  // One record, and nine places that hold none.
  const auto fail = [&] {
    JournalRecord failed = next(JournalKind::failed);
    failed.cut.signals_begin = chain_.signals_next;
    failed.cut.signals_end = chain_.signals_next + 10;
    return read(failed);
  };
  for (const std::int64_t records_max : {5, 2, 1, 1, 1}) {
    ASSERT_EQ(fail(), Acceptance::accepted);
    EXPECT_EQ(chain_.poison.records_max, records_max);
  }
  EXPECT_EQ(chain_.poison.single_failures, 2);
}

// Given the text of a chain.
// Expect the bytes that the tree gives, and the tree to read what comes without the newer members.
TEST(JournalNumbers, ANumberBeyondItsTypeIsNoRecord) {
  JournalRecord record;
  record.kind = JournalKind::batch;
  record.cut.tick_ms = 1234567890123;
  const std::string body = encode_body(record);
  const std::size_t at = body.find("1234567890123");
  ASSERT_NE(at, std::string::npos);
  ASSERT_TRUE(decode_body(body));
  for (const std::string number : {"1.5", "179563000000000000000", "1e300", "null", "\"1\""}) {
    std::string other = body;
    other.replace(at, 13, number);
    EXPECT_FALSE(decode_body(other)) << number;
  }
}

TEST(MayClaim, OnlyWhomTheSettingsNameAsShard) {
  const auto may = [](const std::string& keys) {
    return may_claim(R"({"graph":{"services":[{"name":"a"}]},"keys":)" + keys + R"(,"mode":"x"})",
                     "me");
  };
  EXPECT_TRUE(may("[]")) << "they name nobody";
  EXPECT_TRUE(may(R"([{"id":"p","public_key":"you","role":"person"}])"));
  EXPECT_TRUE(may(R"([{"id":"a","public_key":"you","role":"shard"},)"
                  R"({"id":"b","public_key":"me","role":"shard"}])"));
  EXPECT_FALSE(may(R"([{"id":"a","public_key":"you","role":"shard"}])"));
  EXPECT_FALSE(may(R"([{"id":"a","public_key":"you","role":"shard"},)"
                   R"({"id":"b","public_key":"me","role":"person"}])"));
  // What needs the tree to be understood means the same: the last of two, a name with an escape.
  EXPECT_FALSE(may(R"([{"public_key":"me","public_key":"you","role":"shard"}])"));
  EXPECT_FALSE(may(R"([{"public_key":"you","r\u006fle":"shard"}])"));
  EXPECT_TRUE(may_claim("", "me"));
  EXPECT_TRUE(may_claim("{\"keys\":7}", "me"));
}

TEST_F(Journal, AChainIsWrittenAsTheTreeWouldAndOlderOnesAreRead) {
  ASSERT_EQ(read(claim(1)), Acceptance::accepted);
  ASSERT_EQ(read(next(JournalKind::config)), Acceptance::accepted);
  chain_.owner = "a \"name\"\n\x01 \xc3\xa4";
  chain_.poison = {3, 4, 1, 2};
  const std::string text = encode_chain(chain_);
  Result<Json> tree = parse_json(text);
  ASSERT_TRUE(tree);
  EXPECT_EQ(dump(*tree), text);
  for (const char* name : {"settings_ms", "snapshot_seq", "snapshot_ms"}) tree->erase(name);
  const Result<Chain> older = decode_chain(dump(*tree));
  ASSERT_TRUE(older) << older.error().context;
  Chain expected = chain_;
  expected.settings_ms = expected.snapshot_seq = expected.snapshot_ms = 0;
  EXPECT_EQ(*older, expected);
}

TEST_F(Journal, TwoReadersOfOneLogAgree) {
  // Two owners, a duplicate and noise, in whatever order the log gave them.
  std::vector<std::string> log;
  const auto write = [&](const JournalRecord& record) {
    const std::string body = encode_body(record);
    log.push_back(wrap_body(*sign(key_.secret_hex, body), body));
    return read_value(log.back());
  };
  write(claim(1));
  const JournalRecord lost = next(JournalKind::batch, 3);
  write(next(JournalKind::batch, 2));
  write(lost);
  write(claim(2));
  write(lost);
  write(claim(2));
  write(next(JournalKind::batch, 1));
  Chain other;
  Offset at = 0;
  for (const std::string& value : log) {
    JournalRecord read;
    static_cast<void>(accept(other, {at++, log_time_ms, {}, value}, read));
  }
  EXPECT_EQ(other, chain_);
  EXPECT_EQ(chain_.epoch, 2);
  EXPECT_EQ(chain_.signals_next, 3);
}

}  // namespace
}  // namespace selfheal
