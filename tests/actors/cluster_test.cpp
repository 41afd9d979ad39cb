// Two services of one cluster in this process, on one log: takeover, snapshots, an empty disk.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "decision/shard/fold_version.hpp"
#include "service_fixture.hpp"
#include "topics/memory_log.hpp"

namespace selfheal {
namespace {

constexpr std::size_t shard_count = 3;  // two of the services, and the fleet's

class ClusterTest : public ServiceTest {
 protected:
  void SetUp() override {
    ServiceTest::SetUp();
    log = std::make_shared<MemoryLog>();
    ASSERT_TRUE(log->create_topics(topic_specs("t", 2)));
    start_clock();
    log->set_time_ms(wall_ms());
  }
  void TearDown() override {
    stop_clock();
    ServiceTest::TearDown();
  }

  void start_clock() {
    ended = false;
    clock = std::thread([this] {
      while (!ended) {
        log->set_time_ms(wall_ms());
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    });
  }
  void stop_clock() {
    ended = true;
    clock.join();
  }

  std::shared_ptr<Environment> member(const std::string& name) {
    auto made = std::make_shared<Environment>(*environment);
    made->log = log;
    made->topics = topic_names("t", 2);
    made->alone = false;
    made->snapshots = true;
    made->instance = name;
    made->shard_keys = {made->journal_public_key};
    // A signal that came to the wrong partition is forwarded, which needs a key that is believed.
    settings.keys = {{"journal", "shard", made->journal_public_key}};
    made->forward_key_id = "journal";
    made->settings = settings_text(settings);
    made->store = std::make_shared<MemoryPageStore>();
    made->read_model = std::make_shared<ReadModel>(made->store);
    made->metrics = std::make_shared<Metrics>();
    made->save_interval_ms = 50;
    made->snapshot_look_ms = 20;
    made->placement.balance_after_ms = 3600'000;
    return made;
  }

  static bool all(const Service& service, const std::string& state) {
    const std::vector<ShardStatus> shards = service.shards();
    return shards.size() == shard_count &&
           std::all_of(shards.begin(), shards.end(),
                       [&](const auto& each) { return each.state == state; });
  }

  void emit(int number) {
    log->append({environment->topics.signals, number % 2},
                {.value = R"({"type":"metric","service":"s)" + std::to_string(number) +
                          R"(","metric":"m","value":1})"},
                [](const Result<Offset>&) {});
  }

  static bool all_have_snapshots(const Service& service) {
    const std::vector<ShardStatus> shards = service.shards();
    return shards.size() == shard_count &&
           std::all_of(shards.begin(), shards.end(),
                       [](const auto& each) { return each.snapshot_ms > 0; });
  }

  // Empty until the service knows the shard.
  static std::string state_of(const Service& service, std::size_t shard) {
    const std::vector<ShardStatus> shards = service.shards();
    return shard < shards.size() ? shards[shard].state : std::string();
  }

  static bool shown_by(const Environment& of, const std::string& line) {
    return of.metrics->render(wall_ms()).find("\n" + line) != std::string::npos;
  }

  static double series(const Environment& of) {
    const std::string text = of.metrics->render(wall_ms());
    double sum = 0;
    for (const char* shard : {"0", "1"}) {
      const std::string name = std::string("\nself_heal_series{shard=\"") + shard + "\"} ";
      const std::size_t at = text.find(name);
      if (at != std::string::npos) sum += std::stod(text.substr(at + name.size()));
    }
    return sum;
  }

  std::shared_ptr<MemoryLog> log;
  std::thread clock;
  std::atomic<bool> ended = false;
};

TEST_F(ClusterTest, AStandbyFollowsAndTakesOverWhenTheOwnerLeaves) {
  const auto first_environment = member("a");
  const auto second_environment = member("b");
  Service second(second_environment);
  {
    Service first(first_environment);
    first.start();
    ASSERT_TRUE(await([&] { return all(first, "live"); }));
    second.start();
    ASSERT_TRUE(await([&] { return all(second, "standby"); }));
    EXPECT_TRUE(await([&] {
      const auto shards = second.shards();
      return shards[0].owner == "a" && shards[1].owner == "a";
    }));
    EXPECT_TRUE(await([&] { return second.ready(); }));
    for (int number = 0; number < 20; ++number) emit(number);
    ASSERT_TRUE(await([&] { return series(*first_environment) == 20; }));
    first.stop();
  }
  ASSERT_TRUE(await([&] { return all(second, "live"); }));
  emit(20);
  EXPECT_TRUE(await([&] { return series(*second_environment) == 21; }));
  const std::string metrics = second_environment->metrics->render(wall_ms());
  EXPECT_NE(metrics.find("self_heal_takeovers_total{reason=\"released\"} 3"), std::string::npos);
  second.stop();
}

TEST_F(ClusterTest, AMachineWithAnEmptyDiskRestoresFromTheSnapshots) {
  {
    const auto environment_of_first = member("a");
    environment_of_first->snapshot_interval_ms = 1;
    Service first(environment_of_first);
    first.start();
    ASSERT_TRUE(await([&] { return all(first, "live"); }));
    for (int number = 0; number < 20; ++number) emit(number);
    ASSERT_TRUE(
        await([&] { return series(*environment_of_first) == 20 && all_have_snapshots(first); }));
    first.stop();
  }
  const auto environment_of_second = member("b");
  Service second(environment_of_second);
  second.start();
  ASSERT_TRUE(await([&] { return all(second, "live"); }));
  emit(20);
  EXPECT_TRUE(await([&] { return series(*environment_of_second) == 21; }));
  const std::string metrics = environment_of_second->metrics->render(wall_ms());
  EXPECT_NE(metrics.find("self_heal_restores_total{source=\"snapshot\"} 3"), std::string::npos);
  second.stop();
}

TEST_F(ClusterTest, SignalsOfPartitionsThatCameLaterAreRoutedAndCountOnce) {
  TopicSpec wider{.name = environment->topics.signals, .partitions = 4};
  auto grown = std::make_shared<MemoryLog>();
  std::vector<TopicSpec> specs = topic_specs("t", 2);
  for (TopicSpec& spec : specs) {
    if (spec.name == wider.name) spec = wider;
  }
  ASSERT_TRUE(grown->create_topics(specs));
  grown->set_time_ms(wall_ms());
  stop_clock();
  log = grown;
  start_clock();
  for (int number = 0; number < 20; ++number) {
    log->append({wider.name, number % 4},
                {.value = R"({"type":"metric","service":"s)" + std::to_string(number) +
                          R"(","metric":"m","value":1})"},
                [](const Result<Offset>&) {});
  }
  for (int start = 0; start < 2; ++start) {
    const auto made = member("a");
    made->alone = true;
    Service service(made);
    service.start();
    ASSERT_TRUE(await([&] { return all(service, "live"); }));
    EXPECT_TRUE(await([&] { return series(*made) == 20; }))
        << series(*made) << " series at start " << start;
    EXPECT_TRUE(await([&] {
      return made->metrics->render(wall_ms()).find("self_heal_extra_partitions 2") !=
             std::string::npos;
    }));
    service.stop();
  }
}

// A process with other keys than those that the journal trusts, the one they are trusted by gone.
TEST_F(ClusterTest, WhoHasOtherKeysTakesNothingOver) {
  const auto environment_of_first = member("a");
  {
    Service first(environment_of_first);
    first.start();
    ASSERT_TRUE(await([&] { return all(first, "live"); }));
    ASSERT_TRUE(await([&] { return environment_of_first->read_model->applied(1) >= 1; }));
    first.stop();
  }
  const auto stranger = member("b");
  const SigningKey key = generate_signing_key();
  stranger->journal_public_key = key.public_hex;
  stranger->journal_secret_key = key.secret_hex;
  stranger->shard_keys = {key.public_hex};
  Settings own = settings;
  own.keys = {{"journal", "shard", key.public_hex}};
  stranger->settings = settings_text(own);
  const Offset end = log->range({stranger->topics.journal, 0})->end;
  {
    Service second(stranger);
    second.start();
    ASSERT_TRUE(await([&] { return all(second, "parked"); }));
    EXPECT_THAT(second.shards()[0].reason, testing::HasSubstr("trusts other journal keys"));
    EXPECT_FALSE(second.ready());
    second.stop();
  }
  EXPECT_EQ(log->range({stranger->topics.journal, 0})->end, end);
  // Whom the journal trusts goes on where it was left.
  Service third(member("c"));
  third.start();
  EXPECT_TRUE(await([&] { return all(third, "live"); }));
  third.stop();
}

TEST_F(ClusterTest, ASnapshotThatAnotherKeySignedIsNotRestored) {
  // Both may own the journal; the second believes no snapshot but its own.
  const SigningKey own = generate_signing_key();
  const auto environment_of_first = member("a");
  const auto second_environment = member("b");
  settings.keys.push_back({"second", "shard", own.public_hex});
  environment_of_first->settings = second_environment->settings = settings_text(settings);
  second_environment->journal_public_key = own.public_hex;
  second_environment->journal_secret_key = own.secret_hex;
  second_environment->forward_key_id = "second";
  second_environment->shard_keys = {own.public_hex};
  {
    environment_of_first->snapshot_interval_ms = 1;
    Service first(environment_of_first);
    first.start();
    ASSERT_TRUE(await([&] { return all(first, "live"); }));
    for (int number = 0; number < 20; ++number) emit(number);
    ASSERT_TRUE(
        await([&] { return series(*environment_of_first) == 20 && all_have_snapshots(first); }));
    first.stop();
  }
  Service second(second_environment);
  second.start();
  // From the journal and its inputs instead: slower, and the same.
  ASSERT_TRUE(await([&] { return all(second, "live"); }));
  EXPECT_TRUE(await([&] { return series(*second_environment) == 20; }));
  EXPECT_FALSE(shown_by(*second_environment, "self_heal_restores_total{source=\"snapshot"));
  second.stop();
}

// Whoever can write to the journal's topic can append a claim, but not sign it.
TEST_F(ClusterTest, AForgedClaimTakesNothingOver) {
  const auto owner = member("a");
  Service service(owner);
  service.start();
  ASSERT_TRUE(await([&] { return all(service, "live"); }));
  const SigningKey forger = generate_signing_key();
  JournalRecord claim;
  claim.kind = JournalKind::claim;
  claim.shard = 0;
  claim.epoch = 2;
  claim.owner = "forger";
  claim.build = "none";
  claim.fold_version = fold_version;
  claim.partitions = 2;
  // Its own key, and then the owner's, which it cannot sign with.
  for (const std::string& named : {forger.public_hex, owner->journal_public_key}) {
    claim.public_key = named;
    const std::string body = encode_body(claim);
    log->append({owner->topics.journal, 0},
                {.value = wrap_body(*sign(forger.secret_hex, body), body)},
                [](const Result<Offset>& stored) { EXPECT_TRUE(stored); });
  }
  for (const std::string reason : {"unknown_key", "bad_signature"}) {
    EXPECT_TRUE(await([&] {
      return shown_by(*owner, "self_heal_journal_ignored_total{reason=\"" + reason + "\"} 1");
    })) << reason;
  }
  for (int number = 0; number < 20; ++number) emit(number);
  EXPECT_TRUE(await([&] { return series(*owner) == 20; }));
  EXPECT_TRUE(all(service, "live"));
  EXPECT_FALSE(shown_by(*owner, "self_heal_shard_restarts_total{"));
  service.stop();
}

// As after an error of the disk or of a build: nobody may decide on from it, and it is said.
TEST_F(ClusterTest, StateThatNoStageKnowsParksItsShard) {
  const auto owner = member("a");
  owner->alone = true;
  {
    Service service(owner);
    service.start();
    ASSERT_TRUE(await([&] { return all(service, "live"); }));
    for (int number = 0; number < 20; ++number) emit(number);
    ASSERT_TRUE(await([&] { return series(*owner) == 20; }));
    service.stop();
  }
  const Result<SavedShard> saved = owner->store->load(0);
  ASSERT_TRUE(saved && saved->found);
  ASSERT_TRUE(owner->store->write({.shard = 0,
                                   .chain = saved->chain,
                                   .last_offset = saved->last_offset,
                                   .last_record_hash = saved->last_record_hash,
                                   .puts = {{"nobody/1", "{}"}}}));
  const Offset end = log->range({owner->topics.journal, 0})->end;
  Service service(owner);
  service.start();
  ASSERT_TRUE(await([&] { return state_of(service, 0) == "parked"; }));
  EXPECT_THAT(service.shards()[0].reason, testing::HasSubstr("nobody/1"));
  EXPECT_TRUE(await([&] { return state_of(service, 1) == "live"; }));
  EXPECT_EQ(log->range({owner->topics.journal, 0})->end, end);
  service.stop();
}

// One journal loses its last record, and gets another one in its place, at the worst moment.
class RewrittenLog : public MemoryLog {
 public:
  explicit RewrittenLog(TopicPartition journal) : journal_(std::move(journal)) {}
  // On this thread, the next question after it is the one that the claim is preceded by.
  static void claim_begins() { claiming_ = true; }

  Result<OffsetRange> range(const TopicPartition& where) override {
    if (std::exchange(claiming_, false) && where == journal_ && !rewritten_.exchange(true)) {
      truncate(where, MemoryLog::range(where)->end - 1);
      append(where, {.value = "of another history"}, [](const Result<Offset>&) {});
    }
    return MemoryLog::range(where);
  }
  bool is_rewritten() const { return rewritten_; }

 private:
  static inline thread_local bool claiming_ = false;
  const TopicPartition journal_;
  std::atomic<bool> rewritten_ = false;
};

// A claim names no record before it: nobody who reads it later would notice.
TEST_F(ClusterTest, WhoHasFollowedAnotherHistoryTakesNothingOver) {
  const TopicPartition journal{environment->topics.journal, 0};
  const auto rewritten = std::make_shared<RewrittenLog>(journal);
  ASSERT_TRUE(rewritten->create_topics(topic_specs("t", 2)));
  stop_clock();
  log = rewritten;
  start_clock();
  {
    const auto first_environment = member("a");
    Service first(first_environment);
    first.start();
    ASSERT_TRUE(await([&] { return all(first, "live"); }));
    for (int number = 0; number < 20; ++number) emit(number);
    ASSERT_TRUE(await([&] { return series(*first_environment) == 20; }));
    first.stop();
  }
  const Offset end = log->range(journal)->end;
  const auto follower = member("b");
  follower->failpoint = [](const char* point) {
    if (std::string_view(point) == "before_claim") RewrittenLog::claim_begins();
  };
  Service second(follower);
  second.start();
  ASSERT_TRUE(await([&] {
    return state_of(second, 0) == "parked" && state_of(second, 1) == "live" &&
           state_of(second, 2) == "live";
  }));
  EXPECT_TRUE(rewritten->is_rewritten());
  EXPECT_THAT(second.shards()[0].reason, testing::HasSubstr("was rewritten"));
  EXPECT_EQ(log->range(journal)->end, end);
  second.stop();
}

}  // namespace
}  // namespace selfheal
