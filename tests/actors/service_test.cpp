// The whole service on a log in a folder of its own, seen through its metrics and its read model.
#include <gtest/gtest.h>

#include <caf/all.hpp>

#include "actors/bus_reader_actor.hpp"
#include "actors/inputs_end_actor.hpp"
#include "service_fixture.hpp"
#include "storage/embedded_log.hpp"
#include "topics/memory_log.hpp"

namespace selfheal {
namespace {

TEST_F(ServiceTest, ShowsItsSeriesAndTheSettingsInForce) {
  Result<std::unique_ptr<EmbeddedLog>> log = EmbeddedLog::open({folder / "bus", wall_ms});
  ASSERT_TRUE(log);
  ASSERT_TRUE((*log)->create_topics(topic_specs("t", 1)));
  environment->log = std::move(*log);
  const auto emit = [&](const std::string& metric) {
    environment->log->append(
        {environment->topics.signals, 0},
        {.value = R"({"type":"metric","service":"a","metric":")" + metric + R"(","value":1})"},
        [](const Result<Offset>& stored) { ASSERT_TRUE(stored); });
  };
  const std::string wanted = environment->settings;
  {
    Service service(environment);
    service.start();
    ASSERT_TRUE(await([&] { return service.ready(); }));
    // What the process wants was put into the chain before its first cut.
    EXPECT_TRUE(await([&] { return environment->read_model->settings() == wanted; }));
    EXPECT_TRUE(await([&] { return shows("self_heal_series{shard=\"0\"} 0\n"); }));
    emit("x");
    emit("y");
    EXPECT_TRUE(await([&] { return shows("self_heal_series{shard=\"0\"} 2\n"); }));
    settings.mode = "dry_run";
    service.activate(settings_text(settings));
    EXPECT_TRUE(
        await([&] { return environment->read_model->settings() == settings_text(settings); }));
    service.stop();
  }
  // Another process wants what the first one began with: that is in force again.
  environment->read_model = std::make_shared<ReadModel>(environment->store);
  environment->metrics = std::make_shared<Metrics>();
  Service service(environment);
  service.start();
  ASSERT_TRUE(await([&] { return service.ready(); }));
  EXPECT_TRUE(await([&] { return environment->read_model->settings() == wanted; }));
  EXPECT_TRUE(await([&] { return shows("self_heal_series{shard=\"0\"} 2\n"); }));
  service.stop();
}

TEST_F(ServiceTest, AShardThatIsBehindShowsHowManyRecordsWait) {
  auto log = std::make_shared<MemoryLog>();
  ASSERT_TRUE(log->create_topics(topic_specs("t", 1)));
  log->set_time_ms(wall_ms() - 60'000);
  for (int i = 0; i < 10; ++i) {
    log->append({environment->topics.signals, 0}, {.value = "{}"}, [](const Result<Offset>&) {});
  }
  environment->log = log;
  caf::actor_system_config config;
  caf::actor_system system(config);
  {
    const bus_reader_actor bus = system.spawn(bus_reader, EnvironmentPtr(environment));
    caf::scoped_actor self(system);
    const auto fetch = [&](std::uint64_t records) {
      self->request(bus, caf::infinite, FetchInputs{0, 7, records, 1 << 20, 10})
          .receive([](const SupplyPtr&) {},
                   [&](const caf::error& error) { FAIL() << system.render(error); });
    };
    self->request(bus, caf::infinite, OpenInputs{0, 7, 0, 0})
        .receive([](const Opened& opened) { EXPECT_EQ(opened.error, ""); },
                 [&](const caf::error& error) { FAIL() << system.render(error); });
    // An owner that is ending asks once more: what it got the next one would never see.
    self->request(bus, caf::infinite, FetchInputs{0, 6, 3, 1 << 20, 10})
        .receive([](const SupplyPtr&) { FAIL() << "these inputs are another owner's"; },
                 [](const caf::error&) {});
    fetch(3);
    EXPECT_TRUE(shows("self_heal_lag_records{shard=\"0\"} 7\n"));
    EXPECT_TRUE(shows("self_heal_lag_seconds{shard=\"0\"} 6"));
    fetch(7);
    EXPECT_TRUE(shows("self_heal_lag_records{shard=\"0\"} 0\n"));
    self->send_exit(bus, caf::exit_reason::user_shutdown);
  }
}

// A log that can be away: then nobody learns where it ends.
class AwayLog : public MemoryLog {
 public:
  Result<OffsetRange> range(const TopicPartition& where) override {
    if (away) return Error{ErrorCode::unavailable, "away"};
    return MemoryLog::range(where);
  }
  std::atomic<bool> away = false;
};

TEST_F(ServiceTest, OnlyTheLogItselfSaysThatEverythingWasTaken) {
  auto log = std::make_shared<AwayLog>();
  ASSERT_TRUE(log->create_topics(topic_specs("t", 1)));
  log->set_time_ms(wall_ms());
  environment->log = log;
  caf::actor_system_config config;
  caf::actor_system system(config);
  {
    const bus_reader_actor bus = system.spawn(bus_reader, EnvironmentPtr(environment));
    const inputs_end_actor end = system.spawn(inputs_end, EnvironmentPtr(environment), bus);
    caf::scoped_actor self(system);
    const auto all_taken = [&] {
      bool taken = false;
      self->request(end, caf::infinite, AskInputsEnd{0})
          .receive([&](bool answer) { taken = answer; },
                   [&](const caf::error& error) { ADD_FAILURE() << system.render(error); });
      return taken;
    };
    EXPECT_FALSE(all_taken()) << "no reader is open";
    self->request(bus, caf::infinite, OpenInputs{0, 7, 0, 0})
        .receive([](const Opened& opened) { EXPECT_EQ(opened.error, ""); },
                 [&](const caf::error& error) { FAIL() << system.render(error); });
    EXPECT_TRUE(all_taken());
    for (const std::string& topic : {environment->topics.signals, environment->topics.control}) {
      log->append({topic, 0}, {.value = "{}"}, [](const Result<Offset>&) {});
      EXPECT_FALSE(all_taken()) << topic;
      self->request(bus, caf::infinite, FetchInputs{0, 7, 10, 1 << 20, 10})
          .receive([](const SupplyPtr&) {},
                   [&](const caf::error& error) { FAIL() << system.render(error); });
      EXPECT_TRUE(all_taken()) << topic;
    }
    log->away = true;
    EXPECT_FALSE(all_taken());
    self->send_exit(end, caf::exit_reason::user_shutdown);
    self->send_exit(bus, caf::exit_reason::user_shutdown);
  }
}

}  // namespace
}  // namespace selfheal
