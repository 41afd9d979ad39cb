// Two services of one cluster in this process, on one log: takeover, snapshots, an empty disk.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

TEST_F(ClusterTest, AChangedSnapshotIsNotRestored) {
  {
    const auto environment_of_first = member("a");
    environment_of_first->snapshot_interval_ms = 1;
    Service first(environment_of_first);
    first.start();
    ASSERT_TRUE(await([&] { return all(first, "live") && all_have_snapshots(first); }));
    first.stop();
  }
  // Another key's word does not count.
  const auto stranger = member("b");
  stranger->shard_keys = {generate_signing_key().public_hex};
  Service second(stranger);
  second.start();
  EXPECT_TRUE(await([&] { return !second.shards().empty(); }));
  EXPECT_EQ(stranger->metrics->render(wall_ms()).find("restores_total{"), std::string::npos);
  second.stop();
}

}  // namespace
}  // namespace selfheal
