// The fleet's shard: who gets a lock, who waits, and what ends it.
#include <gtest/gtest.h>

#include "base/signature.hpp"
#include "decision/audit/lock_audit.hpp"
#include "decision/fleet/fleet.hpp"
#include "decision/shard/shard_fold.hpp"
#include "topics/shard_message.hpp"

namespace selfheal {
namespace {

constexpr TimeMs begin_ms = 1'800'000'000'000;
constexpr std::int64_t shards = 4;

const SigningKey& shard_key() {
  static const SigningKey key = generate_signing_key();
  return key;
}

class FleetTest : public testing::Test {
 protected:
  void SetUp() override {
    settings.keys = {{"journal", "shard", shard_key().public_hex}};
    chain.epoch = 1;
    chain.shard = chain.partitions = shards;
    configure();
  }

  void configure() {
    shared = std::make_shared<const Settings>(settings);
    fold.configure(shared);
    JournalRecord record;
    record.kind = JournalKind::config;
    record.shard = shards;
    record.content = settings_text(settings);
    checker.take(record);
  }

  ControlInput said(std::int64_t shard, EventBody body, TimeMs tick_ms, std::int64_t seq) {
    JournalRecord record;
    record.shard = shard;
    record.seq = seq;
    record.cut.tick_ms = tick_ms;
    record.events = {{"", "", "", std::move(body)}};
    ControlInput control;
    control.message = shard_message(record, 0, shards)->message;
    control.message.key_id = "journal";
    control.message.signature = *sign(shard_key().secret_hex, control.message.signed_text());
    return control;
  }

  ControlInput request(std::int64_t shard, const std::string& action_id, const std::string& target,
                       std::int64_t number = 1) {
    return said(
        shard, LockRequested{action_id, number, target, "shop", "restart", 30'000, now_ms + 60'000},
        now_ms, ++seq);
  }

  ControlInput release(std::int64_t shard, const std::string& action_id) {
    return said(shard, LockReleased{action_id, "x"}, now_ms, ++seq);
  }

  // One cut of the fleet's shard.
  std::vector<Event> cut(std::vector<ControlInput> controls) {
    Token token;
    token.facts = facts_after(chain);
    token.settings = shared;
    token.cut.tick_ms = now_ms;
    token.controls = std::move(controls);
    fold.decide(token);
    chain.seq += 1;
    JournalRecord record;
    record.kind = JournalKind::batch;
    record.shard = shards;
    record.seq = token.facts.seq;
    record.cut = token.cut;
    record.events = token.events;
    checker.take(record);
    return token.events;
  }

  static std::vector<std::string> names(const std::vector<Event>& events) {
    std::vector<std::string> list;
    for (const Event& event : events) {
      std::string name = event_name(event.body);
      if (const auto* freed = std::get_if<LockFreed>(&event.body)) name += " " + freed->how;
      list.push_back(name);
    }
    return list;
  }

  const Fleet& fleet() const { return dynamic_cast<const Fleet&>(*fold.stages()[0]); }
  using Names = std::vector<std::string>;

  Settings settings;
  std::shared_ptr<const Settings> shared;
  ShardFold fold{make_stages(ShardKind::fleet)};
  Chain chain;
  LockAudit checker{shards};
  TimeMs now_ms = begin_ms;
  std::int64_t seq = 0;
};

TEST_F(FleetTest, OneHolderATargetAndTheOthersWaitInTheirOrder) {
  EXPECT_EQ(names(cut({request(0, "a", "db/main"), request(1, "b", "db/main"),
                       request(2, "c", "db/main"), request(3, "d", "db/other")})),
            (Names{"lock_granted", "lock_queued", "lock_queued", "lock_granted"}));
  EXPECT_EQ(fleet().waiters().find("c")->request.target, "db/main");
  const std::vector<Event> freed = cut({release(0, "a")});
  ASSERT_EQ(names(freed), (Names{"lock_freed released", "lock_granted"}));
  EXPECT_EQ(std::get<LockGranted>(freed[1].body).action_id, "b");
  EXPECT_EQ(std::get<LockGranted>(freed[1].body).asker.shard, 1);
  EXPECT_EQ(names(cut({release(2, "c")})), (Names{"lock_freed withdrawn"}));
  EXPECT_TRUE(checker.violations().empty());
}

TEST_F(FleetTest, ALockEndsByItselfAndNotBefore) {
  cut({request(0, "a", "db/main"), request(1, "b", "db/main")});
  now_ms += 29'999;
  EXPECT_EQ(names(cut({})), Names{});
  EXPECT_EQ(fold.next_due_ms(), begin_ms + 30'000);
  now_ms += 1;
  EXPECT_EQ(names(cut({})), (Names{"lock_freed expired", "lock_granted"}));
}

TEST_F(FleetTest, AHolderIsGivenMoreTimeAlthoughOthersWait) {
  settings.limits.fleet_concurrent = 1;
  configure();
  cut({request(0, "a", "db/main"), request(1, "b", "db/other")});
  now_ms += 20'000;
  const std::vector<Event> more = cut({request(0, "a", "db/main", 2)});
  ASSERT_EQ(names(more), Names{"lock_granted"});
  EXPECT_EQ(std::get<LockGranted>(more[0].body).until_ms, now_ms + 30'000);
  EXPECT_EQ(fleet().waiters().size(), 1U);
}

TEST_F(FleetTest, LimitsHoldForTheWholeFleet) {
  settings.limits.fleet_concurrent = 2;
  settings.limits.fleet_starts_per_minute = 3;
  configure();
  const std::vector<Event> first =
      cut({request(0, "a", "1"), request(1, "b", "2"), request(2, "c", "3")});
  ASSERT_EQ(names(first), (Names{"lock_granted", "lock_granted", "lock_queued"}));
  EXPECT_EQ(std::get<LockQueued>(first[2].body).reason,
            "fleet_concurrent: 2 of 2 runs are under way");
  cut({request(3, "d", "4")});
  // A place is free; the one that has waited longest has it, and with it the third start.
  EXPECT_EQ(names(cut({release(0, "a")})), (Names{"lock_freed released", "lock_granted"}));
  EXPECT_EQ(names(cut({release(1, "b")})), (Names{"lock_freed released"}));
  EXPECT_EQ(fold.next_due_ms(), begin_ms + 30'000) << "the next lock to end";
  cut({release(2, "c")});
  EXPECT_EQ(fold.next_due_ms(), begin_ms + 60'000) << "then a start counts no more";
  now_ms += 60'000;
  EXPECT_EQ(names(cut({})), Names{"lock_granted"});
  EXPECT_TRUE(checker.violations().empty());
}

TEST_F(FleetTest, ASecondCopyChangesNothing) {
  const ControlInput first = request(0, "a", "db/main");
  cut({first});
  cut({release(0, "a")});
  EXPECT_EQ(names(cut({first})), Names{}) << "no lock for a run that is over";
}

TEST_F(FleetTest, AChainThatLostItsTailIsHeardAgain) {
  seq = 500;
  cut({request(0, "a", "db/main")});
  // Its journal was rewritten: the seqs come again, at a later time.
  seq = 3;
  now_ms += 40'000;
  EXPECT_EQ(names(cut({request(0, "z", "db/main")})),
            (Names{"lock_freed expired", "lock_granted"}));
}

TEST_F(FleetTest, OnlyShardsAreHeard) {
  ControlInput forged = request(0, "a", "db/main");
  forged.message.body.insert(forged.message.body.size() - 1, " ");
  ControlInput person;
  person.message.kind = "approve";
  EXPECT_EQ(names(cut({forged, person, request(shards, "a", "db/main")})),
            (Names{"control_refused", "control_refused", "control_refused"}));
  EXPECT_EQ(fleet().holders().size(), 0U);
}

TEST_F(FleetTest, AWaiterWhoseShardIsGoneIsDropped) {
  cut({request(0, "a", "db/main"), request(1, "b", "db/main")});
  now_ms += 25'000;
  cut({request(0, "a", "db/main", 2)});
  now_ms += 29'000;
  cut({request(0, "a", "db/main", 3)});
  now_ms = begin_ms + 70'000;
  EXPECT_EQ(names(cut({})), Names{"lock_freed gave_up"});
}

TEST_F(FleetTest, ItsStateFollowsFromItsEvents) {
  ShardFold restored(make_stages(ShardKind::fleet));
  restored.configure(shared);
  const auto both = [&](std::vector<ControlInput> controls) {
    const ShardFacts facts = facts_after(chain);
    restored.apply(cut(std::move(controls)), facts, now_ms);
  };
  both({request(0, "a", "db/main"), request(1, "b", "db/main")});
  now_ms += 31'000;
  both({request(2, "c", "db/main")});
  PageMap live;
  PageMap followed;
  fold.save(live);
  restored.save(followed);
  EXPECT_EQ(live.pages, followed.pages);
  EXPECT_FALSE(live.pages.empty());
}

}  // namespace
}  // namespace selfheal
