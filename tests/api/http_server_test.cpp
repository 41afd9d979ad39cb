// The server on real sockets.
#include <httplib.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "support.hpp"

namespace selfheal {
namespace {

using std::chrono::steady_clock;

class HttpServerTest : public ApiTest {
 protected:
  void SetUp() override {
    ApiTest::SetUp();
    server = std::make_unique<HttpServer>(options);
    const Result<std::string> started = server->start();
    ASSERT_TRUE(started) << started.error().context;
    address = *started;
  }
  httplib::Client client() const {
    httplib::Client made("http://" + address);
    made.set_read_timeout(std::chrono::seconds(8));
    return made;
  }

  std::unique_ptr<HttpServer> server;
  std::string address;
};

TEST_F(HttpServerTest, AnswersOnTheFreePortThatItNames) {
  EXPECT_NE(address, "127.0.0.1:0");
  const auto health = client().Get("/healthz");
  ASSERT_TRUE(health);
  EXPECT_EQ(health->status, 200);
  EXPECT_EQ(health->body, "{\"status\":\"ok\"}\n");
  EXPECT_EQ(client().Get("/metrics")->status, 200);
  const auto posted = client().Post(
      "/api/signals", R"({"type":"metric","service":"a","metric":"m","value":1})", "text/plain");
  ASSERT_TRUE(posted);
  EXPECT_EQ(posted->status, 202);
  EXPECT_EQ(client().Post("/api/signals", std::string(request_bytes_max + 9, 'x'), "a/b")->status,
            413);
}

TEST_F(HttpServerTest, ASecondServerOnThePortSaysWhatToDo) {
  options.listen = address;
  const Result<std::string> second = HttpServer(options).start();
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::unavailable);
  EXPECT_NE(second.error().context.find(address), std::string::npos);
  options.listen = "nonsense";
  EXPECT_EQ(HttpServer(options).start().error().code, ErrorCode::invalid);
}

TEST_F(HttpServerTest, AnAnswerWaitsForThePlaceThatWasAskedFor) {
  std::thread later([this] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    hold_proposal(7);
  });
  const auto answer = client().Get("/api/incidents?after=0:7");
  later.join();
  ASSERT_TRUE(answer);
  EXPECT_EQ(parse_json(answer->body)->size(), 1u);
}

TEST_F(HttpServerTest, AStreamTellsDecisionsAsTheyCome) {
  const std::string last_decision = "id: 0/1/2\ndata: {";
  std::string seen;
  bool held = false;
  client().Get("/api/audit", {{"Accept", "text/event-stream"}},
               [&](const char* bytes, std::size_t size) {
                 seen.append(bytes, size);
                 // The stream is open from its first words on; it tells what comes after them.
                 if (!held && seen.find("\n\n") != std::string::npos) {
                   held = true;
                   hold_proposal(1);
                 }
                 return seen.find(last_decision) == std::string::npos;
               });
  EXPECT_NE(seen.find("id: 0/1/0\ndata: {"), std::string::npos) << seen;
  EXPECT_NE(seen.find(last_decision), std::string::npos) << seen;
}

// 120 clients ask for streams; a hundred get one, the others are told, and nobody who asks for
// health or metrics waits for any of them.
TEST_F(HttpServerTest, ManyStreamsNeverDelayHealth) {
  constexpr int clients = 120;
  std::atomic<int> open{0};
  std::atomic<int> refused{0};
  std::atomic<bool> end{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < clients; ++i) {
    threads.emplace_back([&] {
      bool first = true;
      const auto answer = client().Get(
          "/api/audit", {{"Accept", "text/event-stream"}},
          [&](const httplib::Response& response) {
            if (response.status == 503) ++refused;
            return response.status == 200;
          },
          [&](const char* /*bytes*/, std::size_t /*size*/) {
            if (first) ++open;
            first = false;
            return !end;
          });
    });
  }
  const auto deadline = steady_clock::now() + std::chrono::seconds(10);
  while (open + refused < clients && steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(open, 100);
  EXPECT_EQ(refused, 20);
  for (std::int64_t i = 0; i < 50; ++i) {
    hold_proposal(i + 1);
    const auto begin = steady_clock::now();
    const auto health = client().Get(i % 2 == 0 ? "/healthz" : "/metrics");
    ASSERT_TRUE(health);
    EXPECT_EQ(health->status, 200);
    EXPECT_LT(steady_clock::now() - begin, std::chrono::seconds(1));
  }
  end = true;
  server->stop();
  for (std::thread& thread : threads) thread.join();
}

TEST_F(HttpServerTest, ALateAnswerOfTheBusFindsNoServer) {
  log->set_fates([](const auto&, const auto&) { return AppendFate::delay; });
  std::thread asking([this] {
    client().Post("/api/signals", R"({"type":"metric","service":"a","metric":"m","value":1})",
                  "text/plain");
  });
  while (log->pending() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  server.reset();
  EXPECT_TRUE(log->deliver_next());
  asking.join();
}

}  // namespace
}  // namespace selfheal
