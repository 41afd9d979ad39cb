// A service whose disk has no room for a while: it goes on, says so, and saves by itself later.
#include <gtest/gtest.h>

#include <atomic>

#include "service_fixture.hpp"
#include "storage/embedded_log.hpp"

namespace selfheal {
namespace {

class FullDiskTest : public ServiceTest {
 protected:
  void SetUp() override {
    ServiceTest::SetUp();
    environment->save_interval_ms = 20;
    Result<std::unique_ptr<EmbeddedLog>> log = EmbeddedLog::open({folder / "bus", wall_ms});
    ASSERT_TRUE(log);
    ASSERT_TRUE((*log)->create_topics(topic_specs("t", 1)));
    environment->log = std::move(*log);
    open_store();
  }

  // As a process that starts on the same disk.
  void open_store() {
    environment->read_model = nullptr;
    environment->store = nullptr;
    Result<std::unique_ptr<PageStore>> store =
        open_page_store(folder / "state", [this] { return room_bytes.load(); });
    ASSERT_TRUE(store) << store.error().context;
    environment->store = std::move(*store);
    environment->read_model = std::make_shared<ReadModel>(environment->store);
    environment->metrics = std::make_shared<Metrics>();
  }

  void emit(const std::string& metric) {
    environment->log->append(
        {environment->topics.signals, 0},
        {.value = R"({"type":"metric","service":"a","metric":")" + metric + R"(","value":1})"},
        [](const Result<Offset>& stored) { ASSERT_TRUE(stored); });
  }

  static bool says_unsaved(const Service& service, bool wanted) {
    for (const ShardStatus& shard : service.shards()) {
      if (shard.unsaved.empty() == wanted) return false;
    }
    return true;
  }

  // Of shard 0, on disk.
  std::int64_t saved_seq() { return environment->store->load(0)->chain.seq; }

  std::atomic<std::uint64_t> room_bytes = page_store_room_bytes;
};

TEST_F(FullDiskTest, WhatThereWasNoRoomForIsSavedOnceThereIs) {
  {
    Service service(environment);
    service.start();
    ASSERT_TRUE(await([&] { return service.ready(); }));
    emit("before");
    ASSERT_TRUE(await([&] { return saved_seq() > 0; }));
    room_bytes = 0;
    emit("meanwhile");
    ASSERT_TRUE(await([&] { return says_unsaved(service, true); }));
    EXPECT_TRUE(await([&] { return shows("self_heal_series{shard=\"0\"} 2\n"); }));
    const std::int64_t seq = saved_seq();
    room_bytes = page_store_room_bytes;
    // Nothing more is sent: the shard has nothing of its own to save.
    EXPECT_TRUE(await([&] { return says_unsaved(service, false); }));
    EXPECT_GT(saved_seq(), seq);
    service.stop();
  }
  open_store();
  EXPECT_GT(saved_seq(), 0);
  Service service(environment);
  service.start();
  ASSERT_TRUE(await([&] { return service.ready(); }));
  EXPECT_TRUE(await([&] { return shows("self_heal_series{shard=\"0\"} 2\n"); }));
  service.stop();
}

TEST_F(FullDiskTest, AServiceStopsWhileItWaitsForRoom) {
  {
    Service service(environment);
    service.start();
    ASSERT_TRUE(await([&] { return service.ready(); }));
    room_bytes = 0;
    emit("meanwhile");
    ASSERT_TRUE(await([&] { return says_unsaved(service, true); }));
    service.stop();
  }
  // The journal has it.
  room_bytes = page_store_room_bytes;
  open_store();
  Service service(environment);
  service.start();
  ASSERT_TRUE(await([&] { return service.ready(); }));
  EXPECT_TRUE(await([&] { return shows("self_heal_series{shard=\"0\"} 1\n"); }));
  service.stop();
}

}  // namespace
}  // namespace selfheal
