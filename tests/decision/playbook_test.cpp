// What others send stays a value, wherever a playbook puts it.
#include "decision/playbook.hpp"

#include <gtest/gtest.h>

#include "topics/json_codec.hpp"

namespace selfheal {
namespace {

Step call_to(const std::string& url) {
  Step step;
  step.name = "call";
  step.http = {{.url = url, .headers = {{"X-Zone", "{{labels.zone}}"}}}};
  return step;
}

std::string expanded_url(const std::string& url, const std::string& zone) {
  const Result<Step> step =
      expand_step(call_to(url), {.service = "shop", .labels = {{"zone", zone}}});
  return step ? step->http[0].url : "refused: " + step.error().context;
}

TEST(Variables, StayWithinTheirSegmentOrParameterOfAUrl) {
  const std::pair<const char*, const char*> cases[] = {
      {"eu-1.b_c~d", "http://a/eu-1.b_c~d/restart?zone=eu-1.b_c~d"},
      {"../admin", "http://a/..%2Fadmin/restart?zone=..%2Fadmin"},
      {"x?force=1", "http://a/x%3Fforce%3D1/restart?zone=x%3Fforce%3D1"},
      {"x#", "http://a/x%23/restart?zone=x%23"},
      {"a b&c=d", "http://a/a%20b%26c%3Dd/restart?zone=a%20b%26c%3Dd"},
      {"a\r\nHost: evil", "http://a/a%0D%0AHost%3A%20evil/restart?zone=a%0D%0AHost%3A%20evil"},
      {"%2e%2e", "http://a/%252e%252e/restart?zone=%252e%252e"},
      {"größe", "http://a/gr%C3%B6%C3%9Fe/restart?zone=gr%C3%B6%C3%9Fe"},
  };
  for (const auto& [zone, url] : cases) {
    EXPECT_EQ(expanded_url("http://a/{{labels.zone}}/restart?zone={{labels.zone}}", zone), url);
  }
}

TEST(Variables, CannotChooseAnotherHost) {
  EXPECT_EQ(expanded_url("http://{{labels.zone}}.internal/x", "evil.example/?"),
            "http://evil.example%2F%3F.internal/x");
  EXPECT_EQ(expanded_url("http://{{labels.zone}}@internal/x", "a:b"), "http://a%3Ab@internal/x");
}

TEST(Variables, ThatWouldChangeThePathAreRefused) {
  for (const char* zone : {"", ".", ".."}) {
    for (const char* url : {"http://a/{{labels.zone}}/restart", "http://a/nodes/{{labels.zone}}"}) {
      EXPECT_EQ(expanded_url(url, zone), std::string("refused: step 'call': a value would turn a "
                                                     "segment of ") +
                                             url + " into '" + zone + "'");
    }
  }
  EXPECT_TRUE(expanded_url("http://a/x.{{labels.zone}}", ".").starts_with("http://a/x.."));
  EXPECT_TRUE(expanded_url("http://a/.{{labels.zone}}", ".").starts_with("refused: "));
  EXPECT_EQ(expanded_url("http://a/x?zone={{labels.zone}}", ""), "http://a/x?zone=");
  // A label's name may hold a slash; what the author wrote stays as it is.
  const Result<Step> step = expand_step(call_to("http://a//x/../{{labels.k8s.io/name}}/"),
                                        {.labels = {{"zone", "z"}, {"k8s.io/name", "web"}}});
  ASSERT_TRUE(step);
  EXPECT_EQ(step->http[0].url, "http://a//x/../web/");
}

TEST(Variables, AreTextEverywhereElse) {
  const Result<Step> step = expand_step(call_to("http://a/"), {.labels = {{"zone", "a/b c"}}});
  ASSERT_TRUE(step);
  EXPECT_EQ(step->http[0].headers.at("X-Zone"), "a/b c");
}

TEST(Variables, StayWithinTheirQuotesOfAQuery) {
  Condition condition;
  condition.promql = {{.query = "up{zone=\"{{labels.zone}}\"} > 0", .url = "http://p/{{service}}"}};
  const Result<Condition> expanded =
      expand_condition(condition, {.service = "a b", .labels = {{"zone", "x\"} or up{a=\"\\"}}});
  ASSERT_TRUE(expanded);
  EXPECT_EQ(expanded->promql[0].query, "up{zone=\"x\\x22} or up{a=\\x22\\x5c\"} > 0");
  EXPECT_EQ(expanded->promql[0].url, "http://p/a%20b");
}

TEST(Variables, StayWithinTheirQuotesOfAJsonBody) {
  Step step = call_to("http://a/");
  step.http[0].body =
      R"({"service": "{{service}}", "note": "a \" {{labels.zone}}", "n": {{labels.n}}})";
  const std::string hostile = "x\", \"admin\": true, \"y\\\n";
  const Result<Step> expanded =
      expand_step(step, {.service = hostile, .labels = {{"zone", hostile}, {"n", "7"}}});
  ASSERT_TRUE(expanded) << expanded.error().context;
  const Result<Json> body = parse_json(expanded->http[0].body);
  ASSERT_TRUE(body) << expanded->http[0].body;
  EXPECT_EQ(body->size(), 3u);
  EXPECT_EQ(body->at("service"), hostile);
  EXPECT_EQ(body->at("note"), "a \" " + hostile);
  EXPECT_EQ(body->at("n"), 7);

  const Result<Step> injected =
      expand_step(step, {.labels = {{"zone", "z"}, {"n", "7, \"admin\": true"}}});
  ASSERT_FALSE(injected);
  EXPECT_NE(injected.error().context.find("{{labels.n}}"), std::string::npos);
  // A text that is no JSON is sent as it is.
  step.http[0].body = "{{service}} is \"down\"";
  const Result<Step> plain = expand_step(step, {.service = "a\"b", .labels = {{"zone", "z"}}});
  ASSERT_TRUE(plain) << plain.error().context;
  EXPECT_EQ(plain->http[0].body, "a\"b is \"down\"");
}

}  // namespace
}  // namespace selfheal
