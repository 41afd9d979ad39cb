#include "cli/demo_scenarios.hpp"

#include <algorithm>

#include "cli/demo_incident.hpp"

namespace selfheal {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Seconds of watching after which the rise rule knows level and spread of a series.
constexpr double learning_seconds = 30;
constexpr auto sight_limit = seconds(15);
constexpr auto effect_limit = seconds(20);

std::string milliseconds_text(double in_seconds) {
  return decimals(in_seconds * 1000, 0) + " ms";
}

std::int64_t instances_of(const DemoWorld& world, const std::string& name) {
  return world.patient_metrics(name).value("instances", std::int64_t{0});
}

std::int64_t process_of(const DemoWorld& world, const std::string& name) {
  return world.patient_metrics(name).value("process", std::int64_t{0});
}

bool check_prediction(DemoWorld& world, DemoTeller& teller) {
  const Result<Json> list = world.get("/api/audit?type=prediction&service=catalog&limit=1000");
  Json found = nullptr;
  for (const Json& each : list ? *list : Json::array()) {
    if (each["data"].value("code", "") == "latency_spike") found = each["data"];
  }
  const double likelihood = found.is_null() ? 0 : found.value("likelihood", 0.0);
  return teller.check(likelihood >= 0.8, "predicted: latency_spike, likelihood " +
                                             decimals(likelihood, 2) +
                                             " (a prediction acts from 0.8 on)");
}

// Exactly one effect, and it stays at one.
bool await_one_effect(DemoWorld& world, DemoTeller& teller, const std::string& service,
                      const std::string& effect, const std::string& text) {
  const auto count = [&] { return world.count_effects(service, effect); };
  teller.wait_until(effect_limit, [&] { return count() > 0; });
  const std::int64_t found = count();
  return teller.check(found == 1, text + " (effects log: " + std::to_string(found) + ")");
}

void play_latency(DemoWorld& world, DemoTeller& teller, ScenarioResult& result) {
  teller.say(
      "catalog: 2 instances share 40 requests/s; shop depends on it; its users notice from " +
      milliseconds_text(latency_limit_seconds) + " on");
  teller.say("the service learns what is usual: " + decimals(learning_seconds, 0) +
             " s (20 min with the default settings)");
  const bool learnt =
      teller.wait_until(seconds(60), [&] { return world.seconds_watched() >= learning_seconds; });
  if (!learnt) return;
  const double usual = world.sighting("catalog").latency_p99_seconds;
  world.forget_peak("catalog");
  DemoIncident incident(world, teller, result);
  const Result<void> loaded = world.ask_patient("catalog", "/admin/load?rps=60");
  if (!teller.check(loaded.has_value(), "load rises to 60 requests/s")) return;
  const auto risen = [&] { return world.sighting("catalog").latency_p99_seconds > 1.4 * usual; };
  if (!teller.await(sight_limit, "latency rises by half", risen)) return;
  teller.detail("p99 " + milliseconds_text(usual) + " before, " +
                milliseconds_text(world.sighting("catalog").latency_p99_seconds) + " now");
  if (!incident.await_opened("catalog", "latency_spike")) return;
  if (!check_prediction(world, teller)) return;
  if (!incident.await_proposal("scale_up_instances")) return;
  if (!incident.await_verdict("approved")) return;
  teller.check(result.auto_approved, "nobody was asked: approved by policy");
  const std::string action = incident.event("verdict").value("action", "");
  teller.check(action == "self_heal_execute_proactive", "action: " + action);
  if (!await_one_effect(world, teller, "catalog", "instances", "one instance more")) return;
  const auto fallen = [&] {
    const double now = world.sighting("catalog").latency_p99_seconds;
    return now > 0 && now < healed_latency_seconds;
  };
  if (!teller.await(sight_limit, "latency falls", fallen)) return;
  teller.detail("p99 " + milliseconds_text(world.sighting("catalog").latency_p99_seconds));
  incident.await_recovery();
  teller.check(
      world.count_effects("catalog", "instances") == 1 && instances_of(world, "catalog") == 3,
      "exactly one instance more: 3");
  const double peak = world.sighting("catalog").latency_max_seconds;
  teller.check(peak < latency_limit_seconds, "the slowest request took " + milliseconds_text(peak) +
                                                 ", below the limit of " +
                                                 milliseconds_text(latency_limit_seconds));
}

void play_errors(DemoWorld& world, DemoTeller& teller, ScenarioResult& result) {
  teller.say("payments calls three dependencies; checkout, invoices and refunds need it");
  DemoIncident incident(world, teller, result);
  const Result<void> ill = world.ask_patient("payments", "/admin/fail?dependencies=2&seconds=3");
  if (!teller.check(ill.has_value(), "two of the dependencies fail for 3 s")) return;
  const auto opened = [&] {
    return world.patient_metrics("payments").value("circuit_breakers_open", 0) == 2 &&
           world.sighting("payments").error_rate > 0.3;
  };
  if (!teller.await(sight_limit, "errors rise, two circuit breakers open", opened)) return;
  teller.detail("error rate " + decimals(world.sighting("payments").error_rate, 2));
  if (!incident.await_opened("payments", "circuit_breaker_open")) return;
  if (!incident.await_proposal("flush_circuit_breakers")) return;
  if (!incident.await_verdict("held_for_person")) return;
  const Json radius = incident.event("proposal")["blast_radius"];
  teller.check(radius.value("count", 0) == 3, "three services depend on it");
  const auto well = [&] {
    return world.patient_metrics("payments").value("ill_dependencies", 1) == 0;
  };
  if (!teller.await(sight_limit, "the dependencies are well again; the breakers stay open", well)) {
    return;
  }
  const auto untouched = [&] { return world.effects("payments").empty() && !incident.has_run(); };
  if (!teller.holds_for(seconds(2), "while it is held nothing is touched", untouched)) return;
  if (!incident.approve("the dependencies are well again")) return;
  if (!await_one_effect(world, teller, "payments", "flush", "breakers flushed")) return;
  const auto normal = [&] { return world.sighting("payments").error_rate < 0.05; };
  if (!teller.await(sight_limit, "error rate back to normal", normal)) return;
  incident.await_recovery();
  teller.check(world.count_effects("payments", "flush") == 1, "flushed exactly once");
  const Json answered = incident.event("approval_answered");
  const std::string by = answered.is_null() ? "nobody" : answered.value("by", "");
  teller.check(by == "operator", "the audit names who approved: " + by);
}

// Kills a patient and follows its incident until a person has let the restart run.
bool kill_and_approve(DemoWorld& world, DemoTeller& teller, DemoIncident& incident,
                      const std::string& name) {
  const std::int64_t process = process_of(world, name);
  world.kill_patient(name);
  const auto down = [&] { return !world.sighting(name).up; };
  const std::string text = name + " is killed (kill -9 " + std::to_string(process) + ")";
  if (!teller.await(sight_limit, text + " and answers nobody", down)) return false;
  if (!incident.await_opened(name, "service_down")) return false;
  if (!incident.await_proposal("restart_service")) return false;
  if (!incident.await_verdict("held_for_person")) return false;
  teller.check(world.effects(name).empty(), "while it is held nothing is touched");
  return incident.approve("it is gone; start it again");
}

void play_crash(DemoWorld& world, DemoTeller& teller, ScenarioResult& result) {
  DemoIncident incident(world, teller, result);
  const std::int64_t before = process_of(world, "mailer");
  if (!kill_and_approve(world, teller, incident, "mailer")) return;
  const auto alive = [&] { return process_of(world, "mailer") > 0; };
  if (!teller.await(effect_limit, "mailer answers again", alive)) return;
  const std::int64_t now = process_of(world, "mailer");
  teller.check(now != before, "another process than before: " + std::to_string(now));
  incident.await_recovery();
  await_one_effect(world, teller, "mailer", "restart", "restarted exactly once");
}

void play_service_crash(DemoWorld& world, DemoTeller& teller, ScenarioResult& result) {
  DemoIncident incident(world, teller, result);
  if (!kill_and_approve(world, teller, incident, "search")) return;
  const auto in_step = [&] {
    return world.count_effects("search", "restart") == 1 &&
           !incident.event("run_started").is_null();
  };
  if (!teller.await(effect_limit, "the restart has begun; search takes 3 s to boot", in_step)) {
    return;
  }
  const bool in_middle = incident.steps_finished() == 0 && process_of(world, "search") == 0;
  world.kill_service();
  if (!teller.check(in_middle,
                    "in the middle of the step the service itself is killed (kill -9)")) {
    return;
  }
  const Result<std::string> ready = world.start_service(teller);
  if (!teller.check(ready.has_value(), "it is started again on the same data")) {
    teller.detail(ready ? "" : ready.error().context);
    return;
  }
  teller.detail(*ready);
  incident.await_recovery();
  const auto up = [&] { return process_of(world, "search") > 0 && world.sighting("search").up; };
  teller.await(sight_limit, "search answers again", up);
  const std::int64_t restarts = world.count_effects("search", "restart");
  teller.check(restarts == 1, "the step was not run twice (effects log: " +
                                  std::to_string(restarts) + " restart)");
  const std::int64_t steps = incident.steps_finished();
  teller.check(steps == 1, "its end was found, and recorded once");
}

}  // namespace

const std::vector<Scenario>& scenarios() {
  static const std::vector<Scenario> list = {
      {"s-01", "S-01  A rise of latency is healed before anybody notices", play_latency},
      {"s-02", "S-02  Circuit breakers stay open; a person is asked", play_errors},
      {"crash", "crash  A service is killed and restarted", play_crash},
      {"crash-service", "crash-service  The healer itself is killed while it heals",
       play_service_crash}};
  return list;
}

ScenarioResult play(const Scenario& scenario, DemoWorld& world, DemoTeller& teller) {
  ScenarioResult result{.name = scenario.name};
  const double began = teller.seconds();
  const int failures = teller.failures();
  teller.title(scenario.title);
  scenario.play(world, teller, result);
  result.seconds = teller.seconds() - began;
  result.passed = teller.failures() == failures && result.outcome == "recovered";
  teller.say(result.name + (result.passed ? " passed" : " FAILED") + " in " +
             decimals(result.seconds, 1) + " s");
  return result;
}

}  // namespace selfheal
