// The audit finds nothing in an honest cluster, and each planted fault by the invariant that it
// breaks.
#include "cli/topic_audit.hpp"

#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <set>

#include "actors/shard_restore.hpp"
#include "base/signature.hpp"
#include "storage/snapshot.hpp"
#include "tests/simulation/simulated_owner.hpp"
#include "tests/simulation/simulated_settings.hpp"
#include "topics/event_codec.hpp"
#include "topics/routing.hpp"

namespace selfheal {
namespace {

using simulation::SharedWorld;
using simulation::SimulatedOwner;

constexpr TimeMs begin_ms = 1'800'000'000'000;
constexpr std::int64_t partitions = 2;

struct StoredRecord {
  TopicPartition where;
  TimeMs append_ms = 0;
  NewRecord record;
};

Settings honest_settings() {
  simulation::Dice dice(5);
  Settings settings = simulation::settings_for(dice);
  settings.mode = "execute";
  settings.limits = {};
  for (Playbook& playbook : settings.playbooks) {
    playbook.auto_approve = playbook.name == "restart";
    playbook.risk = playbook.auto_approve ? "low" : "moderate";
    playbook.prior = {.mean = 0.9, .weight = 8};
    if (playbook.name == "reboot") playbook.triggers = {"never"};
  }
  return settings;
}

// A small cluster that heals: one service by policy, one after a person's word; a signal comes to
// the wrong partition and one cannot be read.
class HonestCluster {
 public:
  HonestCluster() : world_(7) {
    world_.now_ms = begin_ms;
    world_.partitions = partitions;
    world_.topics = topic_names("sim", partitions);
    world_.public_key = simulation::journal_key().public_hex;
    world_.secret_key = simulation::journal_key().secret_hex;
    world_.settings = settings_text(honest_settings());
    world_.effect_fails = 0;
    world_.shim_dies = 0;
    world_.log.set_time_ms(world_.now_ms);
    static_cast<void>(world_.log.create_topics(topic_specs("sim", partitions)));
    for (std::int64_t shard = 0; shard <= partitions; ++shard) {
      owners_.push_back(std::make_unique<SimulatedOwner>(world_, store, "owner", shard, 0));
    }
    live();
  }

  std::vector<StoredRecord> records() {
    std::vector<StoredRecord> all;
    for (const TopicSpec& spec : topic_specs("sim", partitions)) {
      for (std::int32_t partition = 0; partition < spec.partitions; ++partition) {
        const TopicPartition where{spec.name, partition};
        const Result<OffsetRange> range = world_.log.range(where);
        static_cast<void>(
            read_range(world_.log, where, *range,
                       [&](const RecordBatch& batch, const LogReader& reader) -> Result<void> {
                         for (const RecordView& each : batch.records) {
                           all.push_back({where,
                                          each.append_time_ms,
                                          {std::string(each.key), std::string(each.value),
                                           reader.headers(each.offset)}});
                         }
                         return {};
                       }));
      }
    }
    return all;
  }

  MemoryPageStore store;

 private:
  void run(int steps) {
    for (int i = 0; i < steps; ++i) {
      for (const auto& owner : owners_) owner->step();
      while (world_.log.deliver_next()) {
      }
      world_.now_ms += 20;
      world_.log.set_time_ms(world_.now_ms);
    }
  }

  void signal(std::int32_t partition, const std::string& text) {
    world_.log.append({world_.topics.signals, partition}, NewRecord{.value = text},
                      [](Result<Offset>) {});
  }

  void probe() {
    for (int i = 0; i < 4; ++i) {
      const std::string service = "service-" + std::to_string(i);
      const std::string up = world_.target.is_ill(service) ? "0" : "1";
      signal(shard_of(service, partitions), R"({"type":"metric","metric":"up","service":")" +
                                                service + R"(","value":)" + up + "}");
    }
  }

  void approve() {
    for (std::int64_t shard = 0; shard < partitions; ++shard) {
      JournalWalk walk(world_.log, world_.topics, shard, [](const RecordView&, SignalBatch&) {},
                       {.fold = false});
      const Result<OffsetRange> range = world_.log.range(world_.topics.journal_of(shard));
      static_cast<void>(walk.read_to(range->end, [&](const WalkedRecord& walked) -> Result<void> {
        if (walked.acceptance != Acceptance::accepted) return {};
        for (const Event& event : walked.record->events) {
          const auto* asked = std::get_if<ApprovalRequested>(&event.body);
          if (asked == nullptr) continue;
          ControlMessage message{.kind = "approve", .target = asked->proposal_id};
          message.content_hash = asked->content_hash;
          message.time_ms = world_.now_ms;
          message.key_id = "person";
          message.nonce = std::string(32, '1');
          message.signature = *sign(simulation::person_key().secret_hex, message.signed_text());
          world_.log.append(world_.topics.control_of(shard),
                            NewRecord{.value = encode_control(message)}, [](Result<Offset>) {});
        }
        return {};
      }));
    }
  }

  void live() {
    run(30);
    signal(0, "{nonsense");
    // To the wrong partition.
    signal(1 - shard_of("service-1", partitions),
           R"({"type":"metric","metric":"up","service":"service-1","value":1})");
    world_.target.fall_ill("service-3");  // on which nothing depends
    for (int i = 0; i < 20; ++i) {
      probe();
      run(20);
    }
    signal(shard_of("service-2", partitions),
           R"({"type":"failure","code":"elevated_errors","service":"service-2","id":"one"})");
    run(60);
    approve();
    for (int i = 0; i < 40; ++i) {
      probe();
      run(20);
    }
    for (const auto& owner : owners_) static_cast<void>(owner->pages());  // saves
  }

  SharedWorld world_;
  std::vector<std::unique_ptr<SimulatedOwner>> owners_;
};

// What the records of one partition become.
using Edit = std::function<void(std::vector<JournalRecord>&)>;

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
    for (std::int64_t shard = 0; shard < partitions && !done; ++shard) {
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

  // The topics that the service's relay fills, which the simulated owners have not.
  void relay() {
    for (std::int64_t shard = 0; shard <= partitions; ++shard) {
      const TopicPartition where = topics.journal_of(shard);
      std::vector<StoredRecord> more;
      for (const StoredRecord& each : records) {
        if (each.where != where) continue;
        const JournalRecord record = *decode_body(unwrap_body(each.record.value)->body);
        for (std::size_t k = 0; k < record.events.size(); ++k) {
          const Event& event = record.events[k];
          if (std::holds_alternative<Forwarded>(event.body)) continue;
          const auto number = static_cast<std::int64_t>(k);
          more.push_back({{topics.decisions, 0}, each.append_ms, {}});
          more.back().record.value =
              cloud_event_text(event, {"sim", shard, record.seq, number, record.cut.tick_ms});
          const auto* dead = std::get_if<DeadLettered>(&event.body);
          if (dead == nullptr) continue;
          more.push_back({{topics.deadletter, 0}, each.append_ms, {}});
          more.back().record.headers = {{"reason", dead->reason},
                                        {"topic", topics.signals},
                                        {"partition", std::to_string(shard)},
                                        {"offset", std::to_string(dead->offset)}};
          if (dead->line >= 0) {
            more.back().record.headers.emplace_back("line", std::to_string(dead->line));
          }
        }
      }
      records.insert(records.end(), more.begin(), more.end());
    }
  }

  StoredRecord& first_of(const std::string& topic) {
    for (StoredRecord& each : records) {
      if (each.where.topic == topic) return each;
    }
    ADD_FAILURE() << "nothing on " << topic;
    return records[0];
  }

  // The invariants that are found broken.
  std::set<int> audit() {
    auto log = std::make_shared<MemoryLog>();
    static_cast<void>(log->create_topics(topic_specs("sim", partitions)));
    for (const StoredRecord& each : records) {
      log->set_time_ms(each.append_ms);
      log->append(each.where, each.record, [](Result<Offset>) {});
    }
    JournalSource source;
    source.log = log;
    source.topics = topics;
    source.topics_prefix = "sim";
    source.shards = partitions + 1;
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

  TopicNames topics = topic_names("sim", partitions);
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
  for (std::int64_t shard = 0; shard <= partitions; ++shard) {
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
  for (std::int64_t shard = 0; shard < partitions; ++shard) {
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

TEST_F(TopicAuditTest, NineAStepWithoutALock) {
  drop_event<LockAcquired>();
  relay();
  EXPECT_TRUE(audit().contains(9));
  EXPECT_NE(story.find("that its lock does not outlive"), std::string::npos) << story;
}

TEST_F(TopicAuditTest, NineALockThatTheFleetDidNotGrant) {
  rewrite(partitions, [](std::vector<JournalRecord>& chain) {
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
