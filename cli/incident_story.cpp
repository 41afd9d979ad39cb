#include "cli/incident_story.hpp"

#include <array>
#include <cstdio>
#include <map>

namespace selfheal {
namespace {

std::string text(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || found->is_null()) return {};
  if (found->is_string()) return found->get<std::string>();
  return dump(*found);
}

// At most three digits behind the point: people compare, they do not compute.
std::string number(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_number()) return "-";
  std::array<char, 32> digits{};
  const int size = std::snprintf(digits.data(), digits.size(), "%.3g", found->get<double>());
  return {digits.data(), static_cast<std::size_t>(size)};
}

bool flag(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_boolean() && found->get<bool>();
}

std::string behind_colon(const std::string& reason) {
  return reason.empty() ? reason : ": " + reason;
}

const Json& list(const Json& object, const char* name) {
  static const Json none = Json::array();
  const auto found = object.find(name);
  return found != object.end() && found->is_array() ? *found : none;
}

constexpr const char* indent = "\n      ";

std::string seen(const Json& data) {
  return std::string(flag(data, "proactive") ? "predicted " : "seen      ") + text(data, "code") +
         " on " + text(data, "service") + ", severity " + text(data, "severity") + ", confidence " +
         number(data, "confidence") + behind_colon(text(data, "evidence"));
}

std::string chosen(const Json& data) {
  std::string story = "chosen    " + text(data, "playbook") + ", risk " + text(data, "risk") +
                      ", impact " + text(data, "impact");
  const auto radius = data.find("blast_radius");
  if (radius != data.end()) {
    story += ", blast radius " + (flag(*radius, "known") ? text(*radius, "count") : "unknown");
  }
  if (flag(data, "explored")) story += ", as an exploration";
  for (const Json& each : list(data, "candidates")) {
    story += indent + text(each, "playbook");
    const std::string excluded = text(each, "excluded");
    if (!excluded.empty()) {
      story += "  left out: " + excluded;
      continue;
    }
    story += "  draw " + number(each, "draw") + "  propensity " + number(each, "propensity") +
             "  mean " + number(each, "mean") + "  of Beta(" + number(each, "alpha") + ", " +
             number(each, "beta") + ")";
  }
  return story;
}

std::string checks(const Json& data, const char* name) {
  std::string story;
  for (const Json& each : list(data, name)) {
    story += indent + std::string(flag(each, "passed") ? "[ok] " : "[no] ") + text(each, "name");
    const std::string value = text(each, "value");
    const std::string limit = text(each, "limit");
    if (!value.empty()) story += "  " + value;
    if (!limit.empty()) story += "  (limit " + limit + ")";
  }
  return story;
}

std::string judged(const Json& data) {
  std::string story = "checked   " + text(data, "verdict");
  const std::string by = text(data, "approved_by");
  if (!by.empty()) story += " by " + by;
  const std::string mode = text(data, "mode");
  if (text(data, "verdict") == "approved" && mode == "observe") story += ", only observed: no run";
  return story + behind_colon(text(data, "reason")) + checks(data, "checks");
}

std::string step_done(const Json& data) {
  std::string story = std::string("step      ") + (flag(data, "rollback") ? "undone: " : "") +
                      text(data, "step_name") + ", try " + text(data, "attempt") + ": " +
                      text(data, "status") + ", exit code " + text(data, "exit_code") + ", " +
                      text(data, "took_ms") + " ms";
  const std::string output = text(data, "output");
  return output.empty() ? story : story + indent + output.substr(0, output.find('\n'));
}

std::string ended(const Json& data) {
  std::string story = "outcome   " + text(data, "result") + behind_colon(text(data, "reason"));
  if (text(data, "result") == "recovered") {
    story += ", " + number(data, "seconds_to_recover") + " s after the first signal";
  }
  return story + checks(data, "conditions");
}

using Tell = std::string (*)(const Json& data);

const std::map<std::string, Tell>& tellers() {
  static const std::map<std::string, Tell> all = {
      {"incident_opened", seen},
      {"proposal", chosen},
      {"verdict", judged},
      {"step_finished", step_done},
      {"outcome", ended},
      {"incident_noted",
       [](const Json& data) {
         return std::string("noted     ") + text(data, "code") +
                (flag(data, "now_present") ? ", which was predicted and has come" : "") +
                behind_colon(text(data, "note"));
       }},
      {"probe_requested",
       [](const Json& data) {
         return "probed    condition " + text(data, "condition") + ", for " + text(data, "purpose");
       }},
      {"approval_requested",
       [](const Json& data) {
         return "asked     a person" + behind_colon(text(data, "reason")) + ", until " +
                readable_time(data.value("expires_ms", Json()));
       }},
      {"approval_answered",
       [](const Json& data) {
         return "answered  " + text(data, "answer") + " by " + text(data, "by") +
                behind_colon(text(data, "reason"));
       }},
      {"run_intent",
       [](const Json& data) {
         return "run       " + text(data, "action_id") + " of " + text(data, "playbook") +
                ", mode " + text(data, "mode");
       }},
      {"lock_requested",
       [](const Json& data) {
         const bool first = data.value("number", std::int64_t{1}) == 1;
         return std::string("lock      ") + (first ? "asked for: " : "asked for more time: ") +
                text(data, "target");
       }},
      {"lock_awaited",
       [](const Json& data) { return "lock      waits" + behind_colon(text(data, "reason")); }},
      {"lock_acquired",
       [](const Json& data) {
         return "lock      held on " + text(data, "target") + " until " +
                readable_time(data.value("until_ms", Json()));
       }},
      {"run_started",
       [](const Json& data) {
         return std::string("step      ") + (flag(data, "rollback") ? "undoing: " : "") +
                text(data, "step_name") + ", try " + text(data, "attempt") + " starts";
       }},
      {"run_finished",
       [](const Json& data) {
         return "run       " + text(data, "result") + behind_colon(text(data, "reason"));
       }},
      {"doubt_resolved",
       [](const Json& data) {
         return "answered  " + text(data, "action_id") + " " + text(data, "answer") + ", says " +
                text(data, "by") + behind_colon(text(data, "reason"));
       }},
      {"rollback_requested",
       [](const Json& data) {
         return "undo      asked for" + behind_colon(text(data, "reason")) +
                checks(data, "conditions");
       }},
      {"rolled_back",
       [](const Json& data) {
         return "undo      " + text(data, "result") + behind_colon(text(data, "reason"));
       }},
      {"learned",
       [](const Json& data) {
         return "learnt    " + text(data, "playbook") + " for " + text(data, "code") +
                ": now Beta(" + number(data, "alpha") + ", " + number(data, "beta") + ")";
       }},
      {"escalated",
       [](const Json& data) { return "escalated" + behind_colon(text(data, "reason")); }},
      {"incident_closed",
       [](const Json& data) { return "closed" + behind_colon(text(data, "reason")); }},
  };
  return all;
}

}  // namespace

std::string readable_time(const Json& time) {
  std::string written;
  if (time.is_string()) written = time.get<std::string>();
  if (time.is_number_integer() && time.get<TimeMs>() > 0) {
    written = format_rfc3339(time.get<TimeMs>());
  }
  constexpr std::size_t to_seconds = 19;
  if (written.size() < to_seconds) return {};
  written.resize(to_seconds);
  written[10] = ' ';
  return written;
}

std::string incident_story(const Json& incident) {
  std::string story = text(incident, "id") + "  " + text(incident, "service") + "  " +
                      text(incident, "code") + "  " + text(incident, "state");
  const std::string outcome = text(incident, "outcome");
  if (!outcome.empty()) story += ", " + outcome;
  story += "\n";
  for (const Json& entry : list(incident, "timeline")) {
    const auto data = entry.find("data");
    if (data == entry.end() || !data->is_object()) continue;
    const std::string type = text(entry, "type");
    const auto teller = tellers().find(type);
    const std::string told =
        teller == tellers().end() ? type + "  " + dump(*data) : teller->second(*data);
    story += "  " + readable_time(entry.value("time", Json())) + "  " + told + "\n";
  }
  return story;
}

}  // namespace selfheal
