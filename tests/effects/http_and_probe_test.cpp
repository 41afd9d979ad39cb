#include <gmock/gmock.h>
#include <httplib.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <future>
#include <map>
#include <mutex>

#include "effects/posix_file.hpp"
#include "effects_fixture.hpp"

namespace selfheal {
namespace {

using testing::HasSubstr;
using testing::Not;

class HttpTest : public EffectsTest {
 protected:
  void SetUp() override {
    EffectsTest::SetUp();
    const auto echo = [this](const httplib::Request& request, httplib::Response& response) {
      ++requests_;
      response.status = request.path == "/broken" ? 503 : 201;
      response.set_content(request.get_header_value("Idempotency-Key") + "|" +
                               request.get_header_value("X-Label") + "|" + request.body,
                           "text/plain");
    };
    server_.Get("/echo", echo);
    server_.Post("/echo", echo);
    server_.Get("/broken", echo);
    server_.Get("/redirect", [](const httplib::Request&, httplib::Response& response) {
      response.set_redirect("/echo");
    });
    server_.Get("/hang", [this](const httplib::Request&, httplib::Response&) {
      ++requests_;
      released_.get_future().wait();
    });
    server_.Get("/api/v1/query", [](const httplib::Request& request, httplib::Response& response) {
      response.set_content(request.get_param_value("query"), "application/json");
    });
    port_ = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    ASSERT_TRUE(eventually([this] { return server_.is_running(); }));
  }
  void TearDown() override {
    server_.stop();
    thread_.join();
    EffectsTest::TearDown();
  }
  std::string url(const std::string& target) const {
    return "http://127.0.0.1:" + std::to_string(port_) + target;
  }
  StepOrder call_order(const std::string& target) {
    StepOrder made = order();
    made.what.http = {HttpCall{.url = url(target)}};
    return made;
  }
  ProbeAnswer promql(const std::string& answer) {
    Condition condition;
    condition.promql = {PromqlQuery{.query = answer, .url = url("/")}};
    return look(condition, context_);
  }

  httplib::Server server_;
  int port_ = 0;
  std::thread thread_;
  std::atomic<int> requests_{0};
  std::promise<void> released_;
};

// A port on which nobody listens.
int closed_port() {
  const Descriptor socket(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  EXPECT_EQ(bind(socket.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  return ntohs(address.sin_port);
}

TEST_F(HttpTest, a_call_carries_its_key_and_runs_once) {
  StepOrder order = call_order("/echo");
  order.step = 2;
  order.what.http[0].method = "POST";
  order.what.http[0].body = "payload";
  order.what.http[0].headers = {{"X-Label", "a"}, {"Idempotency-Key", "forged"}};
  order.what.http[0].contains = "payload";
  const StepResult result = carry(order);
  EXPECT_EQ(result.status, "ok") << result.output;
  EXPECT_EQ(result.output, "action-1|a|payload");
  EXPECT_EQ(carry(order), result);
  EXPECT_EQ(requests_, 1);
}

// A target that knows a key it has seen, and one that does not; the shim dies once the call has
// been answered, and the runner's next attempt of an idempotent step comes.
TEST_F(HttpTest, effects_counted_by_key_after_a_crash_in_the_middle) {
  std::map<std::string, int> calls;
  std::map<std::string, int> effects;
  std::mutex guard;
  server_.Post("/dedupes", [&](const httplib::Request& request, httplib::Response&) {
    const std::lock_guard lock(guard);
    const std::string key = request.get_header_value("Idempotency-Key");
    if (++calls[key] == 1) ++effects[key];
  });
  server_.Post("/counts", [&](const httplib::Request& request, httplib::Response&) {
    const std::lock_guard lock(guard);
    const std::string key = request.get_header_value("Idempotency-Key");
    ++calls[key];
    ++effects[key];
  });
  for (const char* target : {"/dedupes", "/counts"}) {
    StepOrder order = call_order(target);
    order.what.http[0].method = "POST";
    setenv("SELF_HEAL_SHIM_FAILPOINT", "after_effect", 1);
    EXPECT_EQ(carry(order).status, "in_doubt");
    unsetenv("SELF_HEAL_SHIM_FAILPOINT");
    EXPECT_EQ(carry(order).status, "in_doubt") << "the same start never calls again";
    order.attempt = 2;
    EXPECT_EQ(carry(order).status, "ok");
  }
  const std::map<std::string, int> two_calls = {{"action-1", 2}, {"action-2", 2}};
  EXPECT_EQ(calls, two_calls) << "attempts share the key of their action";
  // Why a target that cannot tell is to be called `neither`: then nothing is repeated.
  const std::map<std::string, int> once_where_it_can_tell = {{"action-1", 1}, {"action-2", 2}};
  EXPECT_EQ(effects, once_where_it_can_tell);
}

TEST_F(HttpTest, the_wrong_answer_is_a_failure) {
  const StepResult broken = carry(call_order("/broken"));
  EXPECT_EQ(broken.status, "failed");
  EXPECT_EQ(broken.exit_code, 503);
  EXPECT_THAT(broken.output, HasSubstr("status 503, expected 2xx"));
  StepOrder order = call_order("/echo");
  order.what.http[0].status = 200;
  EXPECT_EQ(carry(order).status, "failed");
  order = call_order("/echo");
  order.what.http[0].contains = "elsewhere";
  EXPECT_EQ(carry(order).status, "failed");
  order = call_order("/redirect");
  EXPECT_EQ(carry(order).exit_code, 302);
}

TEST_F(HttpTest, a_late_answer_is_in_doubt) {
  StepOrder order = call_order("/hang");
  order.what.http[0].timeout = {300};
  const StepResult result = carry(order);
  EXPECT_EQ(result.status, "in_doubt") << result.output;
  EXPECT_EQ(carry(order), result);
  EXPECT_EQ(requests_, 1);
  released_.set_value();
}

TEST_F(HttpTest, a_lost_connection_is_in_doubt) {
  const Descriptor listener(socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(listener.get(), 1), 0);
  ASSERT_EQ(getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  std::thread server([&] {
    const Descriptor connection(accept(listener.get(), nullptr, nullptr));
    char byte = 0;
    EXPECT_EQ(read(connection.get(), &byte, 1), 1);
  });
  StepOrder order = this->order();
  order.what.http = {
      HttpCall{.url = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port))}};
  EXPECT_EQ(carry(order).status, "in_doubt");
  server.join();
}

TEST_F(HttpTest, a_refused_connection_failed_for_sure) {
  StepOrder order = this->order();
  order.what.http = {HttpCall{.url = "http://127.0.0.1:" + std::to_string(closed_port()) + "/"}};
  const StepResult result = carry(order);
  EXPECT_EQ(result.status, "failed");
  EXPECT_THAT(result.output, HasSubstr("refused"));
}

TEST_F(HttpTest, what_would_change_the_request_is_refused) {
  StepOrder header = call_order("/echo");
  header.what.http[0].headers = {{"X-Label", "a\r\nX-Admin: yes"}};
  EXPECT_EQ(carry(header).status, "failed");
  for (const char* target : {"/echo HTTP/1.1\r\nX: y", "/a b"}) {
    EXPECT_EQ(carry(call_order(target)).status, "failed");
  }
  for (const char* url : {"", "ftp://x/", "http://", "http://user:word@127.0.0.1/", "http:///x"}) {
    StepOrder order = this->order();
    order.what.http = {HttpCall{.url = url}};
    EXPECT_EQ(carry(order).status, "failed") << url;
  }
  StepOrder method = call_order("/echo");
  method.what.http[0].method = "GET /x";
  EXPECT_EQ(carry(method).status, "failed");
  EXPECT_EQ(requests_, 0);
}

TEST_F(HttpTest, looks_at_an_answer) {
  Condition condition;
  condition.http = {HttpCall{.url = url("/echo"), .status = 201}};
  EXPECT_TRUE(look(condition, context_).holds);
  condition.http[0].url = url("/broken");
  EXPECT_FALSE(look(condition, context_).holds);
  condition.http[0] = HttpCall{.url = url("/hang"), .timeout = {100}};
  EXPECT_FALSE(look(condition, context_).holds);
  released_.set_value();
}

TEST_F(HttpTest, looks_at_a_port) {
  Condition condition;
  condition.tcp = {TcpTarget{"127.0.0.1", port_}};
  EXPECT_TRUE(look(condition, context_).holds);
  condition.tcp[0].port = closed_port();
  const ProbeAnswer refused = look(condition, context_);
  EXPECT_FALSE(refused.holds);
  EXPECT_THAT(refused.detail, HasSubstr("refused"));
}

TEST_F(HttpTest, looks_at_a_program) {
  write_secret("token", "Zq9-secret-value");
  Condition condition;
  condition.run = {Program{.argv = {"true"}}};
  EXPECT_TRUE(look(condition, context_).holds);
  condition.run[0] = {.argv = {"echo Zq9-secret-value; exit 3"}, .shell = true};
  const ProbeAnswer failed = look(condition, context_);
  EXPECT_FALSE(failed.holds);
  EXPECT_EQ(failed.detail, "exit 3\n***");
  condition.run[0] = {.argv = {"sleep", "1000"}, .timeout = {100}};
  EXPECT_THAT(look(condition, context_).detail, HasSubstr("no end within 100ms"));
  condition.run[0] = {.argv = {"no-such-program"}};
  EXPECT_FALSE(look(condition, context_).holds);
  condition.run[0] = {.argv = {"head -c 9999 /dev/zero | tr '\\0' x"}, .shell = true};
  EXPECT_LE(look(condition, context_).detail.size(), 512U);
  EXPECT_FALSE(std::filesystem::exists(path("actions")));
}

TEST_F(HttpTest, looks_at_a_query) {
  const auto answer = [](const std::string& kind, const std::string& result) {
    return R"({"status":"success","data":{"resultType":")" + kind + R"(","result":)" + result +
           "}}";
  };
  EXPECT_TRUE(promql(answer("scalar", R"([1.5,"2"])")).holds);
  EXPECT_FALSE(promql(answer("scalar", R"([1.5,"0"])")).holds);
  EXPECT_FALSE(promql(answer("scalar", R"([1.5,"NaN"])")).holds);
  EXPECT_TRUE(promql(answer("vector", R"([{"metric":{"a b":"c&d"},"value":[1,"1"]}])")).holds);
  EXPECT_FALSE(promql(answer("vector", R"([{"metric":{},"value":[1,"0"]}])")).holds);
  EXPECT_FALSE(promql(answer("vector", "[]")).holds);
  EXPECT_FALSE(promql(answer("vector", "[1]")).holds);
  EXPECT_FALSE(promql(answer("matrix", "[]")).holds);
  for (const char* broken : {"", "[]", "{}", "{\"data\":1}", R"({"data":{"result":[]}})"}) {
    EXPECT_FALSE(promql(broken).holds) << broken;
  }
}

TEST_F(HttpTest, a_metric_is_not_looked_at_from_here) {
  EXPECT_FALSE(look(Condition{.metric = "up"}, context_).holds);
}

}  // namespace
}  // namespace selfheal
