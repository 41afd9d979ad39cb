// Whether a playbook can be carried out as it is written. A mistake found here costs a message; the
// same mistake found in the middle of a run costs an incident.
#include <algorithm>
#include <cmath>
#include <set>

#include "decision/settings.hpp"
#include "topics/json_codec.hpp"

namespace selfheal {
namespace {

using Checked = Result<void>;

constexpr std::size_t name_bytes_max = 128;
// More is a mistyped number.
constexpr std::int64_t retries_max = 100;

Error invalid(std::string context) {
  return {ErrorCode::invalid, std::move(context)};
}

bool is_one_of(std::string_view value, std::initializer_list<std::string_view> allowed) {
  return std::ranges::find(allowed, value) != allowed.end();
}

// Letters, digits, '_', '-' and '.', as names of files and of topics are made of.
bool is_plain_name(const std::string& name, std::size_t bytes_max) {
  return !name.empty() && name.size() <= bytes_max && name.front() != '.' &&
         std::ranges::all_of(name, [](char each) {
           return (each >= 'a' && each <= 'z') || (each >= 'A' && each <= 'Z') ||
                  (each >= '0' && each <= '9') || each == '_' || each == '-' || each == '.';
         });
}

// Also the name of a file, so no separators.
bool is_name(const std::string& name) {
  return is_plain_name(name, name_bytes_max);
}

// A step without an end would hold its target for ever; an hour is longer than any repair.
Checked check_timeout(const char* name, Duration timeout) {
  if (timeout.ms > 0 && timeout.ms <= one_hour_ms) return {};
  return invalid(std::string(name) + " must be above 0s and at most 1h, not " +
                 format_duration(timeout.ms));
}

Checked check_text(const std::string& text) {
  const std::string unknown = unknown_variable(text);
  if (!unknown.empty()) {
    return invalid("unknown variable {{" + unknown +
                   "}}; there are service, resource.kind, resource.id, incident.id and labels.X");
  }
  const std::size_t open = text.rfind("{{");
  if (open != std::string::npos && text.find("}}", open) == std::string::npos) {
    return invalid("'{{' without '}}' in '" + text + "'");
  }
  return {};
}

// Every string of a struct with a field list. A rollback is a step of its own and names itself.
template <class T>
Checked check_variables(const T& value) {
  Checked done;
  if constexpr (std::is_same_v<T, std::string>) {
    return check_text(value);
  } else if constexpr (HasFields<T>) {
    for_each_field<T>([&](const auto& each) {
      if (done && std::string_view(each.name) != "rollback") {
        done = check_variables(value.*each.member);
      }
    });
  } else if constexpr (json_detail::is_vector<T>::value) {
    for (const auto& item : value) {
      if (done) done = check_variables(item);
    }
  } else if constexpr (json_detail::is_map<T>::value) {
    for (const auto& [key, item] : value) {
      if (done) done = check_variables(item);
    }
  }
  return done;
}

// Other schemes (file:, ftp:) are not calls to a service. Nor may a variable stand for the scheme:
// within a URL its value is escaped.
Checked check_url(const std::string& url) {
  if (url.starts_with("http://") || url.starts_with("https://")) return {};
  return invalid("url must start with http:// or https://, not '" + url + "'");
}

// A line break in a header would begin another header.
Checked check_http(const HttpCall& call) {
  const auto breaks_line = [](const std::string& text) {
    return text.find_first_of("\r\n") != std::string::npos;
  };
  if (Checked done = check_url(call.url); !done) return done;
  if (!is_one_of(call.method, {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})) {
    return invalid("method must be GET, HEAD, POST, PUT, PATCH or DELETE, not '" + call.method +
                   "'");
  }
  if (call.status != 0 && (call.status < 100 || call.status > 599)) {
    return invalid("status must be from 100 to 599, not " + std::to_string(call.status));
  }
  for (const auto& [name, value] : call.headers) {
    if (name.empty() || name.find_first_of(": \t") != std::string::npos || breaks_line(name) ||
        breaks_line(value)) {
      return invalid("header '" + name + "' is not a header");
    }
  }
  return check_timeout("timeout", call.timeout);
}

Checked check_program(const Program& program) {
  if (program.argv.empty() || program.argv[0].empty()) return invalid("argv has no program");
  // The shell would run what a signal says.
  if (program.shell && program.argv[0].find("{{") != std::string::npos) {
    return invalid("a shell text must hold no variables; give them as further arguments, $1 …");
  }
  for (const auto& [name, value] : program.environment) {
    if (name.empty() || name.find('=') != std::string::npos) {
      return invalid("environment: '" + name + "' is not a name");
    }
  }
  return check_timeout("timeout", program.timeout);
}

// A comparison with NaN never holds.
Checked check_comparison(const Condition& condition) {
  const Result<Comparison> comparison = parse_comparison(condition.op);
  if (!comparison) return comparison.error().within("op");
  if (!std::isfinite(condition.value)) return invalid("value must be finite");
  return {};
}

Checked check_condition_kind(const Condition& condition) {
  if (!condition.http.empty()) return check_http(condition.http[0]);
  if (!condition.run.empty()) return check_program(condition.run[0]);
  if (!condition.promql.empty()) {
    const PromqlQuery& promql = condition.promql[0];
    if (promql.query.empty()) return invalid("promql has no query");
    if (Checked done = check_url(promql.url); !done) return done;
    return condition.op.empty() ? Checked{} : check_comparison(condition);
  }
  if (!condition.tcp.empty()) {
    const TcpTarget& tcp = condition.tcp[0];
    if (tcp.host.empty()) return invalid("tcp has no host");
    if (tcp.port < 1 || tcp.port > 65535) {
      return invalid("tcp.port must be from 1 to 65535, not " + std::to_string(tcp.port));
    }
    return {};
  }
  return check_comparison(condition);
}

// Two kinds in one condition would leave it open whether both must hold.
Checked check_condition(const Condition& condition) {
  const std::size_t kinds = (condition.metric.empty() ? 0 : 1) + condition.http.size() +
                            condition.promql.size() + condition.tcp.size() + condition.run.size();
  if (kinds != 1) {
    return invalid("a condition has exactly one of metric, promql, http, tcp and run; this has " +
                   std::to_string(kinds));
  }
  if (Checked done = check_condition_kind(condition); !done) return done;
  if (Checked done = check_timeout("within", condition.within); !done) return done;
  if (condition.hold.ms < 0 || condition.hold > condition.within) {
    return invalid("for must not be longer than within (" + format_duration(condition.within.ms) +
                   ")");
  }
  return check_variables(condition);
}

Checked check_conditions(const std::vector<Condition>& conditions, const char* list) {
  for (std::size_t i = 0; i < conditions.size(); ++i) {
    const Checked done = check_condition(conditions[i]);
    if (!done) return done.error().within(std::string(list) + "[" + std::to_string(i) + "]");
  }
  return {};
}

// A variable would let whoever sends a signal choose what is written to.
Checked check_publish(const PublishCall& record) {
  constexpr std::size_t topic_bytes_max = 249;  // Kafka's own limit
  if (!is_plain_name(record.topic, topic_bytes_max)) {
    return invalid("publish.topic must be a topic's full name without variables, not '" +
                   record.topic + "'");
  }
  for (const auto& [name, value] : record.headers) {
    std::string lower = name;
    std::ranges::transform(lower, lower.begin(), [](char each) {
      return each >= 'A' && each <= 'Z' ? static_cast<char>(each - 'A' + 'a') : each;
    });
    if (name.empty() || lower == "idempotency-key") {
      return invalid("publish.headers: '" + name + "' cannot be given; selfheal sets the key");
    }
  }
  return {};
}

Checked check_step_kind(const Step& step) {
  if (!step.run.empty()) return check_program(step.run[0]);
  if (!step.http.empty()) return check_http(step.http[0]);
  if (!step.wait_for.empty()) {
    const Checked done = check_condition(step.wait_for[0]);
    return done ? done : done.error().within("wait_for");
  }
  if (!step.publish.empty()) return check_publish(step.publish[0]);
  return check_timeout("wait", step.wait);
}

// One effect a step: what a crash leaves in doubt must be one thing.
Checked check_step(const Step& step) {
  const std::size_t kinds = step.run.size() + step.http.size() + step.publish.size() +
                            step.wait_for.size() + (step.wait.ms != 0 ? 1 : 0);
  if (kinds != 1) {
    return invalid(
        "a step has exactly one of run, http, publish, systemd, wait and wait_for; this has " +
        std::to_string(kinds));
  }
  if (Checked done = check_step_kind(step); !done) return done;
  if (step.retries < 0 || step.retries > retries_max) {
    return invalid("retries must be from 0 to " + std::to_string(retries_max) + ", not " +
                   std::to_string(step.retries));
  }
  if (step.backoff.ms < 0 || step.backoff.ms > one_hour_ms) {
    return invalid("backoff must be at most 1h");
  }
  if (Checked done = check_variables(step); !done) return done;
  if (step.rollback.empty()) return {};
  if (step.rollback.size() > 1) return invalid("rollback is one step");
  if (!step.rollback[0].rollback.empty()) return invalid("a rollback has no rollback of its own");
  const Checked done = check_step(step.rollback[0]);
  return done ? done : done.error().within("rollback");
}

// The steps of a run share its key, so a reader would take the second record for the first again.
Checked check_publish_twice(const Playbook& playbook) {
  std::set<std::string> topics;
  std::set<std::string> rollback_topics;
  const auto is_second = [](const Step& step, std::set<std::string>& seen) {
    return !step.publish.empty() && !seen.insert(step.publish[0].topic).second;
  };
  for (const Step& step : playbook.steps) {
    const bool undoes = !step.rollback.empty();
    if (is_second(step, topics) || (undoes && is_second(step.rollback[0], rollback_topics))) {
      return invalid("two steps publish to one topic; they would carry the same Idempotency-Key");
    }
  }
  return {};
}

Checked check_parts(const Playbook& playbook) {
  for (std::size_t i = 0; i < playbook.steps.size(); ++i) {
    const Step& step = playbook.steps[i];
    const Checked done = check_step(step);
    if (done) continue;
    return done.error().within(step.name.empty() ? "step " + std::to_string(i + 1)
                                                 : "step '" + step.name + "'");
  }
  if (Checked done = check_publish_twice(playbook); !done) return done;
  if (Checked done = check_conditions(playbook.preconditions, "preconditions"); !done) return done;
  if (Checked done = check_conditions(playbook.probe, "probe"); !done) return done;
  return check_conditions(playbook.verify, "verify");
}

// What the approval and the recovery after a crash rest on.
Checked check_header(const Playbook& playbook) {
  if (!is_one_of(playbook.risk, {"low", "moderate", "high", "critical"})) {
    return invalid("risk must be low, moderate, high or critical, not '" + playbook.risk + "'");
  }
  if (!is_one_of(playbook.effect, {"idempotent", "verifiable", "neither"})) {
    return invalid("effect must be idempotent, verifiable or neither, not '" + playbook.effect +
                   "'");
  }
  if ((playbook.effect == "verifiable") != (playbook.probe.size() == 1)) {
    return invalid("effect verifiable goes with one probe, and a probe with effect verifiable");
  }
  for (const std::string& service : playbook.scope.services) {
    const std::size_t star = service.find('*');
    if (service.empty() || (star != std::string::npos && star + 1 != service.size())) {
      return invalid("scope.services: '" + service +
                     "' is neither a name nor a prefix that ends in *");
    }
  }
  const PlaybookPrior& prior = playbook.prior;
  // 0 stands for the default.
  if (!(prior.mean >= 0 && prior.mean <= 1)) {
    return invalid("prior.mean must be above 0 and at most 1");
  }
  if (!(prior.weight > 0 && prior.weight <= 1e6)) return invalid("prior.weight must be above 0");
  if (playbook.steps.empty()) return invalid("there are no steps");
  return {};
}

}  // namespace

Result<void> validate_playbook(const Playbook& playbook) {
  if (!is_name(playbook.name)) {
    return invalid("playbook '" + playbook.name +
                   "': name must be letters, digits, '_', '-' and '.'");
  }
  Checked done = check_header(playbook);
  if (done) done = check_parts(playbook);
  return done ? done : done.error().within("playbook '" + playbook.name + "'");
}

Result<void> validate_publish_topics(const Playbook& playbook, const std::string& prefix) {
  Checked done;
  const auto take = [&](const Step& step) {
    if (done && !step.publish.empty()) done = check_publish_topic(step.publish[0], prefix);
  };
  for (const Step& step : playbook.steps) {
    take(step);
    if (!step.rollback.empty()) take(step.rollback[0]);
  }
  return done ? done : done.error().within("playbook '" + playbook.name + "'");
}

}  // namespace selfheal
