#include "cli/demo_incident.hpp"

#include <algorithm>

#include "base/percent_encoding.hpp"
#include "cli/assembly.hpp"

namespace selfheal {
namespace {

constexpr auto decision_limit = std::chrono::seconds(20);
constexpr auto recovery_limit = std::chrono::seconds(75);

std::string text_of(const Json& json, const char* name) {
  return json.is_object() ? json.value(name, "") : std::string();
}

double number_of(const Json& json, const char* name) {
  return json.is_object() ? json.value(name, 0.0) : 0.0;
}

std::string candidate_text(const Json& candidate) {
  const std::string belief = "Beta(" + decimals(number_of(candidate, "alpha"), 1) + ", " +
                             decimals(number_of(candidate, "beta"), 1) + "), mean " +
                             decimals(number_of(candidate, "mean"), 2);
  const std::string excluded = text_of(candidate, "excluded");
  if (!excluded.empty()) {
    return text_of(candidate, "playbook") + ": " + belief + ", not drawn: " + excluded;
  }
  return text_of(candidate, "playbook") + ": " + belief + ", drew " +
         decimals(number_of(candidate, "draw"), 2) + ", chosen with probability " +
         decimals(number_of(candidate, "propensity"), 2);
}

}  // namespace

DemoIncident::DemoIncident(DemoWorld& world, DemoTeller& teller, ScenarioResult& result)
    : world_(world), teller_(teller), result_(result), since_ms_(wall_clock_ms()) {}

Json DemoIncident::read() const {
  const Result<Json> incident = world_.get("/api/incidents/" + percent_encoded(result_.incident));
  return incident ? *incident : Json::object();
}

Json DemoIncident::event(const std::string& type) const {
  const Json incident = read();
  if (!incident.contains("timeline")) return nullptr;
  Json found = nullptr;
  for (const Json& entry : incident["timeline"]) {
    if (entry.value("type", "") == type) found = entry["data"];
  }
  return found;
}

Json DemoIncident::await_event(const std::string& type) {
  Json found = nullptr;
  teller_.wait_until(decision_limit, [&] {
    found = event(type);
    return !found.is_null();
  });
  return found;
}

bool DemoIncident::has_run() const {
  return !event("run_intent").is_null();
}

std::int64_t DemoIncident::steps_finished() const {
  const Json incident = read();
  if (!incident.contains("timeline")) return 0;
  return std::ranges::count_if(incident["timeline"], [](const Json& entry) {
    return entry.value("type", "") == "step_finished";
  });
}

bool DemoIncident::await_opened(const std::string& service, const std::string& code) {
  service_ = service;
  Json opened;
  teller_.wait_until(decision_limit, [&] {
    const Result<Json> list = world_.get("/api/incidents?service=" + service);
    if (!list || !list->is_array()) return false;
    for (const Json& incident : *list) {
      if (incident.value("opened_ms", TimeMs{0}) >= since_ms_) opened = incident;
    }
    return !opened.is_null();
  });
  result_.incident = text_of(opened, "id");
  const bool right = text_of(opened, "code") == code;
  const std::string found = opened.is_null() ? "no incident opened" : text_of(opened, "code");
  if (!teller_.check(right, "incident " + result_.incident + " on " + service + ": " + found)) {
    return false;
  }
  teller_.detail(text_of(opened, "evidence"));
  return true;
}

bool DemoIncident::await_proposal(const std::string& playbook) {
  proposal_ = await_event("proposal");
  result_.playbook = text_of(proposal_, "playbook");
  const bool right = result_.playbook == playbook;
  const std::string chosen = proposal_.is_null() ? "nothing" : result_.playbook;
  if (!teller_.check(right, "proposed: " + chosen)) return false;
  for (const Json& candidate : proposal_["candidates"]) teller_.detail(candidate_text(candidate));
  std::string dependents;
  for (const Json& each : proposal_["blast_radius"]["services"]) {
    dependents += (dependents.empty() ? " (" : ", ") + each.get<std::string>();
  }
  teller_.detail("blast radius " + dump(proposal_["blast_radius"]["count"]) +
                 (dependents.empty() ? "" : dependents + ")") + ", impact " +
                 text_of(proposal_, "impact"));
  return true;
}

bool DemoIncident::await_verdict(const std::string& verdict) {
  const Json found = await_event("verdict");
  const std::string said = found.is_null() ? "no verdict" : text_of(found, "verdict");
  result_.auto_approved = said == "approved" && text_of(found, "approved_by") == "policy";
  if (!teller_.check(said == verdict, "verdict: " + said + " (" + text_of(found, "reason") + ")")) {
    return false;
  }
  for (const Json& check : found["checks"]) {
    teller_.detail((check.value("passed", false) ? "passed  " : "not     ") +
                   text_of(check, "name") + ": " + text_of(check, "value") + " (limit " +
                   text_of(check, "limit") + ")");
  }
  return true;
}

bool DemoIncident::approve(const std::string& reason) {
  const std::string id = text_of(proposal_, "proposal_id");
  teller_.say("you would be asked now; the demo answers for you: selfheal approve " + id);
  const Result<ProgramAnswer> answer =
      world_.run_selfheal({"approve", id, "--reason", reason, "--json"});
  const bool done = answer && answer->exit_code == 0;
  if (!teller_.check(done, "approved with the operator's signature")) {
    teller_.detail(answer ? answer->log : answer.error().context);
    return false;
  }
  return true;
}

bool DemoIncident::await_recovery() {
  Json outcome = nullptr;
  teller_.wait_until(recovery_limit, [&] {
    outcome = event("outcome");
    return !outcome.is_null();
  });
  result_.outcome = text_of(outcome, "result");
  const std::string took = decimals(number_of(outcome, "seconds_to_recover"), 1);
  if (!teller_.check(result_.outcome == "recovered",
                     outcome.is_null()
                         ? "no outcome"
                         : "verified: " + result_.outcome + " after " + took + " s, approved by " +
                               text_of(outcome, "approved_by"))) {
    teller_.detail(text_of(outcome, "reason"));
    return false;
  }
  for (const Json& condition : outcome["conditions"]) {
    teller_.detail(text_of(condition, "name") + ", " + text_of(condition, "limit") + ": " +
                   text_of(condition, "value"));
  }
  double mean_before = 0;
  for (const Json& candidate : proposal_["candidates"]) {
    if (text_of(candidate, "playbook") == result_.playbook) {
      mean_before = number_of(candidate, "mean");
    }
  }
  const Json learned = await_event("learned");
  const double mean_after = number_of(learned, "mean");
  teller_.check(mean_after > mean_before, "learnt: the belief in " + result_.playbook +
                                              " rose from " + decimals(mean_before, 3) + " to " +
                                              decimals(mean_after, 3));
  const Json closed = await_event("incident_closed");
  return teller_.check(text_of(closed, "reason") == "recovered",
                       "closed: " + (closed.is_null() ? "not yet" : text_of(closed, "reason")));
}

}  // namespace selfheal
