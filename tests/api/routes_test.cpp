#include <gmock/gmock.h>

#include "api/access.hpp"
#include "api/signal_intake.hpp"
#include "base/hash.hpp"
#include "support.hpp"
#include "topics/control.hpp"
#include "topics/frame_codec.hpp"
#include "topics/routing.hpp"

namespace selfheal {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

const std::string good = R"({"type":"metric","service":"a","metric":"m","value":1,"unit":"s"})";

TEST_F(ApiTest, ASignalIsOnItsShardWithItsBytesBeforeItIsAnswered) {
  const ApiResponse answer = post("/api/signals", good);
  EXPECT_EQ(answer.status, 202);
  EXPECT_EQ(json_of(answer), Json::parse(R"({"taken":1,"refused":[]})"));
  const std::string shard = std::to_string(shard_of("a", test_partitions));
  EXPECT_THAT(records("t.signals"), testing::ElementsAre(shard + " a " + good));
}

TEST_F(ApiTest, ABadLineCostsItselfAndIsNamed) {
  const ApiResponse answer = post("/api/signals", good + "\n\nnot json\n" + good + "\n");
  EXPECT_EQ(answer.status, 202);
  EXPECT_EQ(json_of(answer)["taken"], 2);
  ASSERT_EQ(json_of(answer)["refused"].size(), 1u);
  EXPECT_EQ(json_of(answer)["refused"][0]["line"], 3);
  EXPECT_THAT(records("t.signals"), SizeIs(2));
}

TEST_F(ApiTest, AnObjectOverSeveralLinesIsOneSignal) {
  const std::string laid_out =
      "{\n \"type\": \"metric\",\n \"service\": \"a\",\n \"metric\": \"m\", \"value\": 1\n}";
  EXPECT_EQ(json_of(post("/api/signals", laid_out + "\n"))["taken"], 1);
  EXPECT_THAT(records("t.signals")[0], HasSubstr(laid_out));
}

TEST_F(ApiTest, AFrameIsTakenRowByRow) {
  const std::vector<Signal> signals = {
      {.time_ms = test_time_ms, .service = "a", .metric = "m", .value = 1},
      {.time_ms = test_time_ms, .service = "b", .metric = "m", .value = 2}};
  EXPECT_EQ(json_of(post("/api/signals", *encode_frame(signals)))["taken"], 2);
}

TEST_F(ApiTest, ALongBodyIsTakenInPieces) {
  std::string body;
  for (int i = 0; i < 20'000; ++i) body += i == 12'345 ? "bad\n" : good + "\n";
  const Json answer = json_of(post("/api/signals", body));
  EXPECT_EQ(answer["taken"], 19'999);
  ASSERT_EQ(answer["refused"].size(), 1u);
  EXPECT_EQ(answer["refused"][0]["line"], 12'346);
}

TEST_F(ApiTest, OfManyBadLinesSomeAreNamedAndAllAreCounted) {
  std::string body = good + "\n";
  for (int i = 0; i < 12'000; ++i) body += "{}\n";
  const Json answer = json_of(post("/api/signals", body));
  EXPECT_EQ(answer["taken"], 1);
  EXPECT_EQ(answer["refused"].size(), refused_listed_max);
  EXPECT_EQ(answer["refused_more"], 12'000 - refused_listed_max);
}

TEST_F(ApiTest, NothingGoodIsTheCallersFault) {
  for (const char* body : {"", "nonsense", "{}", "[1]"}) {
    const ApiResponse answer = post("/api/signals", body);
    EXPECT_EQ(answer.status, 400) << body;
    EXPECT_EQ(answer.content_type, "application/problem+json");
    EXPECT_EQ(json_of(answer)["taken"], 0);
    EXPECT_EQ(json_of(answer)["refused"].size(), 1u);
  }
  EXPECT_EQ(post("/api/signals", std::string(request_bytes_max + 1, ' ')).status, 413);
}

TEST_F(ApiTest, ABusThatIsAwayIsSaidAtOnceAndWhenItFails) {
  trouble = "no broker answers";
  const ApiResponse away = post("/api/signals", good);
  EXPECT_EQ(away.status, 503);
  EXPECT_THAT(json_of(away)["reason"], HasSubstr("no broker"));
  EXPECT_EQ(json_of(get("/readyz"))["status"], "degraded");
  EXPECT_EQ(get("/readyz").status, 503);
  trouble.clear();
  log->set_fates([](const auto&, const auto&) { return AppendFate::refuse; });
  EXPECT_EQ(post("/api/signals", good).status, 503);
  EXPECT_EQ(get("/healthz").status, 200);
}

TEST_F(ApiTest, SomeLinesStoredAndSomeNotAreToldApart) {
  int appends = 0;
  log->set_fates([&](const auto&, const auto&) {
    return ++appends == 2 ? AppendFate::refuse : AppendFate::deliver;
  });
  const ApiResponse answer = post("/api/signals", good + "\n" + good + "\n" + good);
  EXPECT_EQ(answer.status, 202);
  EXPECT_EQ(json_of(answer)["taken"], 2);
  EXPECT_EQ(json_of(answer)["refused"][0]["line"], 2);
}

TEST_F(ApiTest, AnAlertmanagerWebhookBecomesAlerts) {
  const ApiResponse answer = post("/webhooks/alertmanager", R"({"version":"4","alerts":[
    {"status":"firing","labels":{"alertname":"InstanceDown","job":"web","instance":"h:1",
     "severity":"critical"},"startsAt":"2027-01-15T07:00:00Z","fingerprint":"ab"},
    {"status":"resolved","labels":{"alertname":"X","service":"core.db"},
     "startsAt":"2027-01-15T07:00:00Z","endsAt":"2027-01-15T07:30:00Z"}]})");
  EXPECT_EQ(answer.status, 202) << answer.body;
  EXPECT_EQ(json_of(answer)["taken"], 2);
  EXPECT_THAT(records("t.signals"),
              testing::UnorderedElementsAre(HasSubstr(" web {"), HasSubstr(" core.db {")));
  EXPECT_EQ(post("/webhooks/alertmanager", "{}").status, 400);
}

TEST_F(ApiTest, AnAlertOfAResourceIsOfTheServiceThatRunsOnIt) {
  post("/webhooks/alertmanager", R"({"alerts":[
    {"status":"firing","labels":{"alertname":"A","job":"node","resource_id":"inst-1"}},
    {"status":"firing","labels":{"alertname":"B","job":"node","instance":"inst-1"}},
    {"status":"firing","labels":{"alertname":"C","job":"node","resource_id":"inst-2"}},
    {"status":"firing","labels":{"alertname":"D","service":"edge","resource_id":"inst-1"}}]})");
  EXPECT_THAT(records("t.signals"),
              testing::UnorderedElementsAre(
                  testing::AllOf(HasSubstr(" core.db {"), HasSubstr(R"("alertname":"A")")),
                  testing::AllOf(HasSubstr(" core.db {"), HasSubstr(R"("alertname":"B")")),
                  testing::AllOf(HasSubstr(" node {"), HasSubstr(R"("alertname":"C")")),
                  testing::AllOf(HasSubstr(" edge {"), HasSubstr(R"("alertname":"D")"))));
}

TEST_F(ApiTest, ReadsShowTheReadModelAndTheSettings) {
  hold_proposal();
  EXPECT_EQ(json_of(get("/api/incidents")).size(), 1u);
  EXPECT_EQ(json_of(get("/api/incidents?state=closed")).size(), 0u);
  EXPECT_EQ(json_of(get("/api/incidents/inc-0-1-0"))["timeline"].size(), 3u);
  EXPECT_EQ(get("/api/incidents/none").status, 404);
  EXPECT_EQ(json_of(get("/api/proposals?state=held&service=core.web"))[0]["id"], "prop-0-1-1");
  EXPECT_EQ(json_of(get("/api/runs")).size(), 0u);
  EXPECT_EQ(json_of(get("/api/playbooks/restart_service"))["learned"].size(), 0u);
  EXPECT_EQ(json_of(get("/api/policies"))[0]["decision"], "allow");
  EXPECT_EQ(json_of(get("/api/audit?type=proposal")).size(), 1u);
  EXPECT_EQ(json_of(get("/api/audit?type=self_heal.proposal")).size(), 1u);
  EXPECT_EQ(get("/nowhere").status, 404);
  EXPECT_EQ(ask({.method = "DELETE", .target = "/api/incidents"}).status, 405);
  EXPECT_THAT(get("/").body, HasSubstr("<!doctype html>"));
}

TEST_F(ApiTest, ReadsShowTheSettingsInForceAndNotThoseOfTheStart) {
  EXPECT_EQ(json_of(get("/readyz"))["mode"], "observe");
  Settings other;
  other.mode = "execute";
  other.playbooks.push_back({.name = "warm_cache"});
  other.policies.push_back({.action = "self_heal_execute", .decision = "deny"});
  other.graph.services = {{.name = "core.new"}};
  JournalRecord record;
  record.kind = JournalKind::config;
  record.seq = 7;
  record.content = settings_text(other);
  environment->read_model->apply(record);
  EXPECT_EQ(json_of(get("/readyz"))["mode"], "execute");
  EXPECT_EQ(json_of(get("/api/policies"))[0]["decision"], "deny");
  ASSERT_EQ(json_of(get("/api/playbooks")).size(), 1u);
  EXPECT_EQ(json_of(get("/api/playbooks"))[0]["name"], "warm_cache");
  EXPECT_EQ(get("/api/playbooks/restart_service").status, 404);
  EXPECT_EQ(json_of(get("/api/health/state?service=core"))["nodes"][0]["service"], "core.new");
  // A record that is read again changes nothing.
  record.content = settings_text(Settings{});
  environment->read_model->apply(record);
  EXPECT_EQ(json_of(get("/readyz"))["mode"], "execute");
}

TEST_F(ApiTest, BreakersShowWhatWasLastToldOfEach) {
  EXPECT_EQ(json_of(get("/api/breakers")).size(), 0u);
  JournalRecord record;
  record.shard = 2;
  record.seq = 1;
  record.cut.tick_ms = test_time_ms;
  const auto tell = [&](const std::string& playbook, const std::string& state) {
    BreakerChanged changed{.playbook = playbook, .resource_kind = "Instance", .state = state};
    changed.failures = 5;
    changed.open_until_ms = test_time_ms + 300'000;
    record.events = {{"", "", "timer", changed}};
    environment->read_model->apply(record);
    ++record.seq;
  };
  tell("restart_service", "closed");
  tell("restart_service", "open");
  tell("warm_cache", "half_open");
  const Json all = json_of(get("/api/breakers"));
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0]["id"], "2/restart_service/Instance");
  EXPECT_EQ(all[0]["state"], "open");
  EXPECT_EQ(all[0]["failures"], 5);
  EXPECT_EQ(all[0]["shard"], 2);
  EXPECT_EQ(json_of(get("/api/breakers?state=half_open"))[0]["playbook"], "warm_cache");
  EXPECT_THAT(get("/metrics").body, HasSubstr("self_heal_breakers{state=\"open\"} 1"));
  // A stopped service shows the same from its saved rows.
  ASSERT_TRUE(environment->read_model->save());
  ReadModel loaded(environment->store);
  ASSERT_TRUE(loaded.load());
  EXPECT_EQ(Json(loaded.breakers()), all);
}

TEST_F(ApiTest, HealthOfAPrefixNamesEveryServiceBelowIt) {
  hold_proposal();
  const Json core = json_of(get("/api/health/state?service=core"));
  EXPECT_EQ(core["state"], "ill");
  EXPECT_EQ(core["nodes"].size(), 2u);
  EXPECT_EQ(json_of(get("/api/health/state?service=edge"))["state"], "healthy");
  EXPECT_EQ(json_of(get("/api/health/state?service=other"))["state"], "unknown");
}

TEST_F(ApiTest, AnAnswerNeedsConfirmationATokenAndTheRole) {
  hold_proposal();
  const std::string path = "/api/proposals/prop-0-1-1/approve";
  EXPECT_EQ(json_of(post(path, ""))["code"], "CONFIRMATION_REQUIRED");
  EXPECT_EQ(json_of(post(path, "", {{"authorization", bearer("operator")}}))["code"],
            "CONFIRMATION_REQUIRED");
  EXPECT_EQ(post(path, "", {{"x-confirmed", "yes"}}).status, 401);
  EXPECT_EQ(post(path, "", {{"x-confirmed", "yes"}, {"authorization", "Bearer no"}}).status, 401);
  EXPECT_EQ(post(path, "", {{"x-confirmed", "yes"}, {"authorization", bearer("watcher")}}).status,
            403);
  EXPECT_THAT(records("t.control"), SizeIs(0));
}

TEST_F(ApiTest, TrustedAutomationNeedsNoConfirmationButATokenAllTheSame) {
  context.options.automation = {.models = {"ft:healer"},
                                .headers = {"x-selfheal-automation", "x-robot"},
                                .secret_sha256 = to_hex(sha256("correct horse battery"))};
  hold_proposal();
  const std::string path = "/api/proposals/prop-0-1-1/approve";
  const std::map<std::string, std::string> doubtful[] = {
      {},
      {{"x-gpt-id", ""}},
      {{"x-gpt-id", "ft:other"}},
      {{"x-selfheal-automation", ""}},
      {{"x-selfheal-automation", "correct horse batter"}},
      {{"x-other", "correct horse battery"}}};
  for (std::map<std::string, std::string> headers : doubtful) {
    headers["authorization"] = bearer("operator");
    EXPECT_EQ(json_of(post(path, "", headers))["code"], "CONFIRMATION_REQUIRED");
  }
  const std::map<std::string, std::string> trusted[] = {
      {{"x-gpt-id", "ft:healer"}},
      {{"x-selfheal-automation", "correct horse battery"}},
      {{"x-robot", "correct horse battery"}}};
  std::size_t answers = 0;
  for (std::map<std::string, std::string> headers : trusted) {
    EXPECT_EQ(post(path, "", headers).status, 401);
    headers["authorization"] = bearer("watcher");
    EXPECT_EQ(json_of(post(path, "", headers))["code"], "ROLE_REQUIRED");
    headers["authorization"] = bearer("operator");
    EXPECT_EQ(post(path, "", headers).status, 202);
    EXPECT_THAT(records("t.control"), SizeIs(++answers));
  }
  // Nothing listed and no secret: nobody is trusted.
  context.options.automation = {.headers = {"x-selfheal-automation"}};
  EXPECT_EQ(
      post(path, "", {{"x-selfheal-automation", ""}, {"authorization", bearer("operator")}}).status,
      403);
}

TEST_F(ApiTest, TheTimeOfACloudEventInBinaryModeGoesWithTheRecord) {
  const std::map<std::string, std::string> headers = {{"ce-specversion", "1.0"},
                                                      {"ce-time", "2027-01-15T07:59:00Z"}};
  EXPECT_EQ(post("/api/signals", good, headers).status, 202);
  const auto reader = log->open({"t.signals", shard_of("a", test_partitions)}, 0, nullptr);
  RecordBatch batch;
  ASSERT_TRUE((*reader)->poll(batch, {}));
  ASSERT_EQ(batch.records.size(), 1u);
  EXPECT_EQ(batch.records[0].event_time, "2027-01-15T07:59:00Z");
  const ApiResponse bad =
      post("/api/signals", good, {{"ce-specversion", "1.0"}, {"ce-time", "yesterday"}});
  EXPECT_EQ(bad.status, 400);
  EXPECT_THAT(bad.body, HasSubstr("bad_time: "));
  // Without the version it is no CloudEvent.
  EXPECT_EQ(post("/api/signals", good, {{"ce-time", "yesterday"}}).status, 202);
}

TEST_F(ApiTest, AnApprovalIsSignedForExactlyWhatWasProposed) {
  hold_proposal();
  const std::map<std::string, std::string> headers = {{"x-confirmed", "yes"},
                                                      {"authorization", bearer("operator")}};
  const ApiResponse answer =
      post("/api/proposals/prop-0-1-1/approve", R"({"reason":"go"})", headers);
  ASSERT_EQ(answer.status, 202) << answer.body;
  EXPECT_EQ(json_of(answer)["shard"], shard_of("core.web", test_partitions));
  EXPECT_EQ(json_of(answer)["control_offset"], 0);
  const std::string record = records("t.control").at(0);
  const auto message = decode_control(record.substr(record.find('{')));
  ASSERT_TRUE(message);
  EXPECT_EQ(message->kind, "approve");
  EXPECT_EQ(message->content_hash, "feed");
  EXPECT_EQ(message->reason, "go");
  EXPECT_EQ(message->time_ms, test_time_ms);
  EXPECT_TRUE(verify(load_secret(keys_dir, "operator")->public_key, message->signed_text(),
                     message->signature));
  EXPECT_EQ(post("/api/proposals/none/approve", "", headers).status, 404);
  EXPECT_EQ(post("/api/proposals/prop-0-1-1/deny", "", headers).status, 400);
}

TEST_F(ApiTest, ASignedAnswerNeedsNoTokenButAGoodSignature) {
  hold_proposal();
  const SecretKey key = *load_secret(keys_dir, "operator");
  ControlMessage message{.kind = "deny", .target = "prop-0-1-1", .content_hash = "feed"};
  message.key_id = key.name;
  message.nonce = random_hex(16);
  message.time_ms = test_time_ms;
  EXPECT_EQ(post("/api/control", encode_control(message)).status, 401);
  message.signature = *sign(key.secret_key, message.signed_text());
  EXPECT_EQ(post("/api/control", encode_control(message)).status, 202);
  EXPECT_THAT(records("t.control"), SizeIs(1));
  const SecretKey viewer = *load_secret(keys_dir, "watcher");
  message.key_id = viewer.name;
  message.signature = *sign(viewer.secret_key, message.signed_text());
  EXPECT_EQ(post("/api/control", encode_control(message)).status, 403);
  message.kind = "reload";
  EXPECT_EQ(post("/api/control", encode_control(message)).status, 400);
}

TEST_F(ApiTest, ARunInDoubtIsListedAndTakesASignedAnswer) {
  JournalRecord record;
  record.seq = 1;
  record.cut.tick_ms = test_time_ms;
  const auto add = [&](EventBody body) {
    record.events.push_back({"core.web", "inc-0-1-0", "timer", std::move(body)});
  };
  add(RunIntent{.action_id = "act-0-1-3",
                .proposal_id = "prop-0-1-1",
                .playbook = "restart_service",
                .service = "core.web",
                .effect = "neither"});
  add(RunStarted{.action_id = "act-0-1-3", .attempt = 1, .step_name = "restart"});
  environment->read_model->apply(record);
  const std::string path = "/api/runs/act-0-1-3/resolve";
  const std::map<std::string, std::string> headers = {{"x-confirmed", "yes"},
                                                      {"authorization", bearer("operator")}};
  EXPECT_EQ(json_of(post(path, R"({"outcome":"happened"})", headers))["code"], "NOT_IN_DOUBT");
  record.seq = 2;
  record.events.clear();
  add(RunFinished{.action_id = "act-0-1-3",
                  .proposal_id = "prop-0-1-1",
                  .result = "in_doubt",
                  .reason = "nobody saw it end",
                  .awaits_answer = true});
  environment->read_model->apply(record);
  const Json listed = json_of(get("/api/runs?state=in_doubt"));
  ASSERT_EQ(listed.size(), 1u);
  EXPECT_EQ(listed[0]["in_doubt_since_ms"], test_time_ms);
  EXPECT_EQ(listed[0]["effect"], "neither");
  const Json shown = json_of(get("/api/runs/act-0-1-3"));
  EXPECT_THAT(shown["look_at"].get<std::string>(),
              HasSubstr("step 'restart' of playbook restart_service had its effect on core.web"));
  EXPECT_EQ(get("/api/runs/none").status, 404);
  EXPECT_EQ(json_of(post(path, "{}"))["code"], "CONFIRMATION_REQUIRED");
  EXPECT_EQ(post(path, R"({"outcome":"perhaps"})", headers).status, 400);
  EXPECT_EQ(post("/api/runs/none/resolve", R"({"outcome":"happened"})", headers).status, 404);
  EXPECT_EQ(post(path, R"({"outcome":"happened"})",
                 {{"x-confirmed", "yes"}, {"authorization", bearer("watcher")}})
                .status,
            403);
  EXPECT_THAT(records("t.control"), SizeIs(0));
  ASSERT_EQ(post(path, R"({"outcome":"happened","reason":"it is up"})", headers).status, 202);
  const std::string text = records("t.control").at(0);
  const auto message = decode_control(text.substr(text.find('{')));
  ASSERT_TRUE(message);
  EXPECT_EQ(message->kind, "resolve");
  EXPECT_EQ(message->target, "act-0-1-3");
  EXPECT_EQ(message->body, "happened");
  EXPECT_EQ(message->reason, "it is up");
  EXPECT_TRUE(verify(load_secret(keys_dir, "operator")->public_key, message->signed_text(),
                     message->signature));
  // The same message as the command line would send it.
  EXPECT_EQ(post("/api/control", encode_control(*message)).status, 202);
  record.seq = 3;
  record.events.clear();
  add(DoubtResolved{.action_id = "act-0-1-3",
                    .proposal_id = "prop-0-1-1",
                    .answer = "happened",
                    .by = "operator",
                    .reason = "it is up"});
  environment->read_model->apply(record);
  EXPECT_EQ(json_of(get("/api/runs/act-0-1-3"))["answered_by"], "operator");
  EXPECT_EQ(post(path, R"({"outcome":"happened"})", headers).status, 409);
}

TEST_F(ApiTest, AnUndoInDoubtIsListedAndTakesAnAnswer) {
  JournalRecord record;
  record.cut.tick_ms = test_time_ms;
  const auto apply = [&](EventBody body) {
    ++record.seq;
    record.events = {{"core.web", "inc-0-1-0", "timer", std::move(body)}};
    environment->read_model->apply(record);
    return json_of(get("/api/runs/act-0-1-3"));
  };
  apply(RunIntent{.action_id = "act-0-1-3",
                  .proposal_id = "prop-0-1-1",
                  .playbook = "restart_service",
                  .service = "core.web",
                  .effect = "neither"});
  apply(RunFinished{.action_id = "act-0-1-3", .proposal_id = "prop-0-1-1", .result = "succeeded"});
  apply(RunStarted{.action_id = "act-0-1-3", .attempt = 1, .step_name = "back", .rollback = true});
  Json run = apply(Outcome{.action_id = "act-0-1-3", .result = "in_doubt", .awaits_answer = true});
  EXPECT_EQ(run["state"], "in_doubt");
  EXPECT_EQ(run["in_doubt_since_ms"], test_time_ms);
  EXPECT_THAT(run["look_at"].get<std::string>(), HasSubstr("whether the undo by step 'back' of"));
  EXPECT_EQ(post("/api/runs/act-0-1-3/resolve", R"({"outcome":"happened"})",
                 {{"x-confirmed", "yes"}, {"authorization", bearer("operator")}})
                .status,
            202);
  run = apply(DoubtResolved{
      .action_id = "act-0-1-3", .proposal_id = "prop-0-1-1", .answer = "undone", .by = "operator"});
  EXPECT_EQ(run["awaits_answer"], false);
  EXPECT_FALSE(run.contains("look_at"));
  run = apply(Outcome{.action_id = "act-0-1-3", .result = "rolled_back", .answer = "undone"});
  EXPECT_EQ(run["state"], "rolled_back");
  EXPECT_FALSE(run.contains("look_at"));
}

TEST_F(ApiTest, OffLoopbackEveryCallNeedsAToken) {
  context.loopback = false;
  for (const char* path : {"/api/incidents", "/api/audit", "/api/playbooks"}) {
    EXPECT_EQ(get(path).status, 401) << path;
    EXPECT_EQ(ask({.target = path, .headers = {{"authorization", bearer("watcher")}}}).status, 200);
  }
  EXPECT_EQ(post("/api/signals", good).status, 401);
  for (const char* path : {"/metrics", "/healthz", "/readyz"}) EXPECT_EQ(get(path).status, 200);
}

TEST_F(ApiTest, PagesOfOtherSitesAreTurnedAway) {
  const auto from = [&](const std::string& host, const std::string& origin) {
    return post("/api/signals", good, {{"host", host}, {"origin", origin}}).status;
  };
  EXPECT_EQ(from("127.0.0.1:8000", "http://evil.example"), 403);
  EXPECT_EQ(from("evil.example:8000", "http://evil.example:8000"), 403);
  EXPECT_EQ(from("127.0.0.1:8000", "http://127.0.0.1:8000"), 202);
  EXPECT_TRUE(is_loopback("localhost:1") && is_loopback("[::1]:1") && is_loopback("::1"));
  EXPECT_TRUE(is_loopback("127.0.0.1") && is_loopback("127.10.200.3:80"));
  // Names that begin like the address, and that somebody may let point to it.
  for (const char* host : {"127.0.0.1.evil.example", "127.evil.example:80", "127.0.0.1.5",
                           "127.0.0", "127.0.0.", "127.0..1", "127.0.0.1a"}) {
    EXPECT_FALSE(is_loopback(host)) << host;
  }
  EXPECT_FALSE(is_loopback("0.0.0.0:1") || is_loopback("10.0.0.1:80") || is_loopback("[::]:1"));
}

TEST_F(ApiTest, OpenApiNamesEveryRoute) {
  const Json document = json_of(get("/api/openapi.json"));
  EXPECT_EQ(document["openapi"], "3.1.0");
  std::size_t operations = 0;
  for (const auto& [path, methods] : document["paths"].items()) operations += methods.size();
  EXPECT_EQ(operations, routes().size());
}

TEST_F(ApiTest, APlaceToWaitForIsReadExactly) {
  EXPECT_FALSE(after_place({.target = "/api/runs"}));
  EXPECT_FALSE(after_place({.target = "/api/runs?after=1"}));
  EXPECT_FALSE(after_place({.target = "/api/runs?after=1:2x"}));
  const auto place = after_place({.target = "/api/runs?after=0%3A1"});
  ASSERT_TRUE(place);
  EXPECT_FALSE(has_reached(context, *place));
  hold_proposal();
  EXPECT_TRUE(has_reached(context, *place));
}

TEST_F(ApiTest, AStreamBeginsBehindWhatItsClientSawLast) {
  hold_proposal();
  ApiRequest request{.target = "/api/audit", .headers = {{"accept", "text/event-stream"}}};
  EXPECT_EQ(ask(request).body, "");
  request.headers["last-event-id"] = "0/1/1";
  const ApiResponse stream = ask(request);
  EXPECT_TRUE(stream.event_stream);
  EXPECT_TRUE(stream.body.starts_with("id: 0/1/2\ndata: {")) << stream.body;
}

}  // namespace
}  // namespace selfheal
