// The audit finds nothing in an honest cluster, and each planted fault by the invariant that it
// breaks.
#include "cli/topic_audit.hpp"

#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <mutex>
#include <set>

#include "actors/shard_restore.hpp"
#include "base/signature.hpp"
#include "storage/snapshot.hpp"
#include "tests/cli/honest_cluster.hpp"
#include "tests/simulation/simulated_settings.hpp"
#include "topics/event_codec.hpp"
#include "topics/memory_log.hpp"
#include "topics/routing.hpp"

namespace selfheal {
namespace {

// What the records of one partition become.
using Edit = std::function<void(std::vector<JournalRecord>&)>;

// A bus on which a cluster goes on while it is read: whenever somebody asks how far a topic goes,
// some more of the history comes after the answer.
class GrowingLog : public Log {
 public:
  GrowingLog(std::vector<StoredRecord> history, std::size_t begin, std::size_t step)
      : history_(std::move(history)), step_(step) {
    static_cast<void>(log_.create_topics(topic_specs("sim", honest_partitions)));
    // A stable sort: what is told of a record stands behind it.
    std::stable_sort(
        history_.begin(), history_.end(),
        [](const StoredRecord& a, const StoredRecord& b) { return a.append_ms < b.append_ms; });
    grow(begin);
  }

  Result<OffsetRange> range(const TopicPartition& where) override {
    const std::lock_guard lock(mutex_);
    Result<OffsetRange> answer = log_.range(where);
    grow(step_);
    return answer;
  }
  std::size_t left() const { return history_.size() - next_; }

  Result<void> create_topics(const std::vector<TopicSpec>& topics) override {
    return log_.create_topics(topics);
  }
  Result<std::int32_t> partitions(const std::string& topic) override {
    return log_.partitions(topic);
  }
  void append(const TopicPartition& where, NewRecord record, Delivered delivered) override {
    log_.append(where, std::move(record), std::move(delivered));
  }
  Result<std::unique_ptr<LogReader>> open(const TopicPartition& where, Offset start,
                                          Wake wake) override {
    return log_.open(where, start, std::move(wake));
  }
  Result<void> flush(DurationMs timeout_ms) override { return log_.flush(timeout_ms); }
  std::string describe() const override { return log_.describe(); }

 private:
  void grow(std::size_t count) {
    for (; count > 0 && next_ < history_.size(); --count, ++next_) {
      log_.set_time_ms(history_[next_].append_ms);
      log_.append(history_[next_].where, history_[next_].record, [](Result<Offset>) {});
    }
  }

  MemoryLog log_;
  std::vector<StoredRecord> history_;
  std::size_t step_;
  std::size_t next_ = 0;
  std::mutex mutex_;
};

class TopicAuditTest : public testing::Test {
 protected:
  static HonestCluster& cluster() {
    static HonestCluster shared;
    return shared;
  }

  void SetUp() override { records = cluster().records(); }

  // Changes a chain and signs it again, as whoever has the key could.
  void rewrite(std::int64_t shard, const Edit& edit) {
    const TopicPartition where = topics.journal_of(shard);
    std::vector<JournalRecord> chain;
    std::vector<StoredRecord*> stored;
    for (StoredRecord& each : records) {
      if (each.where != where) continue;
      chain.push_back(*decode_body(unwrap_body(each.record.value)->body));
      stored.push_back(&each);
    }
    edit(chain);
    ASSERT_EQ(chain.size(), stored.size());
    Sha256 head{};
    for (std::size_t i = 0; i < chain.size(); ++i) {
      if (chain[i].kind != JournalKind::claim) chain[i].prev_hash = to_hex(head);
      const std::string body = encode_body(chain[i]);
      stored[i]->record.value = wrap_body(*sign(simulation::journal_key().secret_hex, body), body);
      head = sha256(std::string(reinterpret_cast<const char*>(head.data()), head.size()) + body);
    }
  }

  // The first event of a kind, in any shard of the services.
  template <class Body>
  void rewrite_event(const std::function<void(std::vector<Event>&, std::size_t)>& edit) {
    bool done = false;
    for (std::int64_t shard = 0; shard < honest_partitions && !done; ++shard) {
      rewrite(shard, [&](std::vector<JournalRecord>& chain) {
        for (JournalRecord& record : chain) {
          for (std::size_t k = 0; k < record.events.size() && !done; ++k) {
            if (!std::holds_alternative<Body>(record.events[k].body)) continue;
            edit(record.events, k);
            done = true;
          }
        }
      });
    }
    ASSERT_TRUE(done) << "the honest cluster has no such event";
  }

  template <class Body>
  void drop_event() {
    rewrite_event<Body>([](std::vector<Event>& events, std::size_t k) {
      events.erase(events.begin() + static_cast<std::ptrdiff_t>(k));
    });
  }

  template <class Body>
  void change_event(const std::function<void(Body&)>& change) {
    rewrite_event<Body>(
        [&](std::vector<Event>& events, std::size_t k) { change(std::get<Body>(events[k].body)); });
  }

  void relay() { relay_decisions(records); }

  StoredRecord& first_of(const std::string& topic) {
    for (StoredRecord& each : records) {
      if (each.where.topic == topic) return each;
    }
    ADD_FAILURE() << "nothing on " << topic;
    return records[0];
  }

  // The invariants that are found broken.
  std::set<int> audit() {
    const JournalSource source = source_of(records);
    TopicAudit audit(source, options);
    const Result<void> done = audit.run();
    EXPECT_TRUE(done) << done.error().context;
    first_bad = audit.first_bad();
    story.clear();
    std::set<int> broken;
    for (const Violation& each : audit.report().violations()) {
      broken.insert(each.invariant);
      story += std::to_string(each.invariant) + " " + each.place + ": " + each.what + "\n";
    }
    checked.clear();
    for (const auto& [number, line] : audit.report().lines()) checked[number] = line.checked;
    return broken;
  }

  TopicNames topics = topic_names("sim", honest_partitions);
  std::vector<StoredRecord> records;
  TopicAuditOptions options{.deep = true};
  std::string first_bad;
  std::string story;
  std::map<int, std::int64_t> checked;
  using Broken = std::set<int>;
};

TEST_F(TopicAuditTest, AnHonestClusterHoldsAndEverythingIsLookedAt) {
  relay();
  options.everything_ended = true;
  options.store = &cluster().store;
  EXPECT_EQ(audit(), Broken{}) << story;
  EXPECT_EQ(first_bad, "");
  for (int invariant = 1; invariant <= 10; ++invariant) {
    EXPECT_GT(checked[invariant], 0) << "invariant " << invariant;
  }
}

TEST_F(TopicAuditTest, AClusterThatGoesOnMeanwhileHolds) {
  relay();
  JournalSource source = source_of({});
  constexpr std::size_t begins = 40;
  for (std::size_t i = 1; i < begins; ++i) {
    const auto log = std::make_shared<GrowingLog>(records, i * records.size() / begins, 7);
    source.log = log;
    TopicAudit audit(source, options);
    const Result<void> done = audit.run();
    ASSERT_TRUE(done) << done.error().context;
    EXPECT_EQ(audit.first_bad(), "");
    for (const Violation& each : audit.report().violations()) {
      ADD_FAILURE() << i << ": " << each.invariant << " " << each.place << ": " << each.what;
    }
    EXPECT_LT(log->left(), records.size() - i * records.size() / begins) << "it did not go on";
  }
}

TEST_F(TopicAuditTest, OneAChangedByteIsNamedByItsPlace) {
  relay();
  StoredRecord* last = nullptr;
  for (StoredRecord& each : records) {
    const bool says = each.record.value.find("\"type\"") != std::string::npos;
    if (each.where == topics.journal_of(0) && says) last = &each;
  }
  last->record.value.replace(last->record.value.find("\"body\"") + 20, 1, "#");
  EXPECT_TRUE(audit().contains(6)) << "what was told of it is in no journal any more";
  EXPECT_NE(first_bad.find("shard 0 offset "), std::string::npos) << first_bad;
}

TEST_F(TopicAuditTest, TwoAnInputThatIsNotTheOneDecidedOn) {
  relay();
  std::string& value = first_of(topics.signals).record.value;
  value = R"({"type":"metric","metric":"up","service":"service-9","value":1})";
  EXPECT_EQ(audit(), Broken{2}) << story;
}

TEST_F(TopicAuditTest, TwoAForwardThatNobodySent) {
  change_event<ForwardTaken>([](ForwardTaken& taken) { taken.source_seq += 1000; });
  relay();
  EXPECT_TRUE(audit().contains(2));
  EXPECT_NE(story.find("a forward is taken that no shard has sent"), std::string::npos) << story;
}

TEST_F(TopicAuditTest, TwoADeadLetterThatIsMissing) {
  relay();
  options.everything_ended = true;
  std::erase_if(records, [&](const auto& each) { return each.where.topic == topics.deadletter; });
  EXPECT_EQ(audit(), Broken{2}) << story;
}

TEST_F(TopicAuditTest, ThreeAResultWithoutAStart) {
  drop_event<RunStarted>();
  relay();
  EXPECT_TRUE(audit().contains(3)) << story;
}

TEST_F(TopicAuditTest, ThreeAnEffectThatNoJournalAskedForAndOneThatHappenedTwice) {
  relay();
  const std::string file = testing::TempDir() + "effects-" + std::to_string(getpid());
  options.effects_file = file;
  std::string action_id;
  change_event<RunStarted>([&](RunStarted& started) { action_id = started.action_id; });
  const std::string effect = R"({"action_id":")" + action_id + R"(","attempt":1})";
  std::ofstream(file) << effect << "\n";
  EXPECT_EQ(audit(), Broken{}) << story;
  std::ofstream(file) << effect << "\n" << effect << "\n";
  EXPECT_EQ(audit(), Broken{3});
  EXPECT_NE(story.find("more effects than starts"), std::string::npos) << story;
  std::ofstream(file) << R"({"action_id":"act-9-9-9","attempt":1})"
                      << "\n";
  EXPECT_EQ(audit(), Broken{3});
  EXPECT_NE(story.find("was never started"), std::string::npos) << story;
  std::remove(file.c_str());
}

TEST_F(TopicAuditTest, FourAStateThatDoesNotFollowFromTheJournal) {
  relay();
  MemoryPageStore altered;
  for (std::int64_t shard = 0; shard <= honest_partitions; ++shard) {
    const Result<SavedShard> saved = cluster().store.load(shard);
    ShardChanges changes;
    changes.shard = shard;
    changes.chain = saved->chain;
    changes.last_offset = saved->last_offset;
    changes.last_record_hash = saved->last_record_hash;
    for (const auto& [key, value] : saved->pages) changes.puts[key] = value;
    if (shard == 0) changes.puts["scheduler/issue/one that never was"] = "{}";
    ASSERT_TRUE(altered.write(changes));
  }
  options.store = &altered;
  EXPECT_EQ(audit(), Broken{4}) << story;
}

TEST_F(TopicAuditTest, FiveADecisionThatTheInputsDoNotGive) {
  change_event<Diagnosis>([](Diagnosis& diagnosis) { diagnosis.confidence = 0.123; });
  relay();
  EXPECT_TRUE(audit().contains(5)) << story;
}

TEST_F(TopicAuditTest, SixWhatIsToldIsWhatTheJournalSays) {
  relay();
  const std::vector<StoredRecord> honest = records;
  options.everything_ended = true;
  std::string& told = first_of(topics.decisions).record.value;
  told.insert(told.size() - 1, R"(,"more":1)");
  EXPECT_EQ(audit(), Broken{6}) << story;
  records = honest;
  records.erase(records.begin() + (&first_of(topics.decisions) - records.data()));
  EXPECT_EQ(audit(), Broken{6}) << story;
  EXPECT_NE(story.find("was never told"), std::string::npos);
  records = honest;
  StoredRecord invented = first_of(topics.decisions);
  const std::size_t at = invented.record.value.find("\"id\":\"");
  invented.record.value.insert(at + 6, "77");
  records.push_back(invented);
  EXPECT_EQ(audit(), Broken{6}) << story;
  EXPECT_NE(story.find("is in no journal"), std::string::npos);
}

TEST_F(TopicAuditTest, SixAStateThatIsAheadOfTheJournal) {
  relay();
  options.store = &cluster().store;
  const TopicPartition where = topics.journal_of(1);
  const auto last = std::find_if(records.rbegin(), records.rend(),
                                 [&](const auto& each) { return each.where == where; });
  records.erase(std::next(last).base());
  EXPECT_TRUE(audit().contains(6)) << story;
  EXPECT_NE(story.find("ahead of the journal"), std::string::npos) << story;
}

TEST_F(TopicAuditTest, SevenMoreIsJudgedThanHadArrived) {
  rewrite(0, [](std::vector<JournalRecord>& chain) {
    for (JournalRecord& record : chain) {
      if (record.kind != JournalKind::batch) continue;
      record.cut.caught_up_through_ms = record.cut.tick_ms + 5000;
      return;
    }
  });
  relay();
  EXPECT_TRUE(audit().contains(7)) << story;
}

TEST_F(TopicAuditTest, EightAnApprovalOfAnotherContent) {
  change_event<RunIntent>([](RunIntent& intent) { intent.content_hash[0] ^= 1; });
  relay();
  EXPECT_TRUE(audit().contains(8)) << story;
}

TEST_F(TopicAuditTest, EightAnAnswerThatNobodySigned) {
  // The journal claims that the person answered; the message on the topic is somebody else's.
  change_event<ApprovalAnswered>([](ApprovalAnswered& answered) { answered.nonce[0] = '2'; });
  relay();
  EXPECT_TRUE(audit().contains(8)) << story;
  EXPECT_NE(story.find("is not what was signed"), std::string::npos) << story;
}

TEST_F(TopicAuditTest, EightALimitThatPolicyDidNotKeep) {
  for (std::int64_t shard = 0; shard < honest_partitions; ++shard) {
    rewrite(shard, [](std::vector<JournalRecord>& chain) {
      for (JournalRecord& record : chain) {
        if (record.kind != JournalKind::config) continue;
        Settings settings = *settings_from_text(record.content);
        settings.limits.fleet_concurrent = 0;
        record.content = settings_text(settings);
      }
    });
  }
  relay();
  EXPECT_TRUE(audit().contains(8));
  EXPECT_NE(story.find("beyond limits.fleet_concurrent"), std::string::npos) << story;
}

TEST_F(TopicAuditTest, EightAnApprovalAlthoughTheInputIsSuspected) {
  for (std::int64_t shard = 0; shard < honest_partitions; ++shard) {
    rewrite(shard, [](std::vector<JournalRecord>& chain) {
      const auto batch = std::ranges::find(chain, JournalKind::batch, &JournalRecord::kind);
      ASSERT_NE(batch, chain.end());
      batch->events.insert(batch->events.begin(),
                           {"", "", "timer", InputPathChanged{true, 90, 100, "fell silent"}});
    });
  }
  relay();
  EXPECT_TRUE(audit().contains(8));
  EXPECT_NE(story.find("while its input is suspected"), std::string::npos) << story;
}

TEST_F(TopicAuditTest, NineAStepWithoutALock) {
  drop_event<LockAcquired>();
  relay();
  EXPECT_TRUE(audit().contains(9));
  EXPECT_NE(story.find("that its lock does not outlive"), std::string::npos) << story;
}

TEST_F(TopicAuditTest, NineALockThatTheFleetDidNotGrant) {
  rewrite(honest_partitions, [](std::vector<JournalRecord>& chain) {
    for (JournalRecord& record : chain) {
      for (Event& event : record.events) {
        if (auto* granted = std::get_if<LockGranted>(&event.body)) granted->until_ms -= 60'000;
      }
    }
  });
  relay();
  EXPECT_TRUE(audit().contains(9));
  EXPECT_NE(story.find("a lock that was not granted to it"), std::string::npos) << story;
}

TEST_F(TopicAuditTest, TenAnIncidentThatNeitherEndsNorReachesAPerson) {
  drop_event<IncidentClosed>();
  relay();
  EXPECT_FALSE(audit().contains(10)) << "it may still be under way";
  options.everything_ended = true;
  EXPECT_TRUE(audit().contains(10)) << story;
}

}  // namespace
}  // namespace selfheal
