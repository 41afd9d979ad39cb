// What can be wrong with settings beyond their form. Each message names the place, so that it can
// be mended without knowing the code.
#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <set>

#include "base/parse_number.hpp"
#include "decision/approver/policies.hpp"
#include "decision/graph.hpp"
#include "decision/settings.hpp"
#include "topics/json_codec.hpp"

namespace selfheal {
namespace {

using Names = std::vector<std::string>;

Error invalid(std::string context) {
  return {ErrorCode::invalid, std::move(context)};
}

Result<void> check_one_of(const std::string& subject, const std::string& value,
                          const Names& allowed) {
  if (std::ranges::find(allowed, value) != allowed.end()) return {};
  std::string list;
  for (std::size_t i = 0; i < allowed.size(); ++i) {
    if (i > 0) list += i + 1 == allowed.size() ? " or " : ", ";
    list += allowed[i];
  }
  return invalid(subject + " must be " + list + ", not '" + value + "'");
}

// Runs checks until one fails.
class Checks {
 public:
  Checks& that(bool fine, const std::string& problem) {
    if (done_ && !fine) done_ = invalid(problem);
    return *this;
  }
  Checks& one_of(const std::string& subject, const std::string& value, const Names& allowed) {
    if (done_) done_ = check_one_of(subject, value, allowed);
    return *this;
  }
  Checks& positive(const std::string& subject, std::int64_t value) {
    return that(value > 0, subject + " must be above 0, not " + std::to_string(value));
  }
  Checks& positive(const std::string& subject, Duration value) {
    return that(value.ms > 0, subject + " must be above 0s");
  }
  Checks& share(const std::string& subject, double value) {
    return that(value >= 0 && value <= 1, subject + " must be from 0 to 1, not " + text(value));
  }
  const Result<void>& done() const { return done_; }

 private:
  static std::string text(double value) { return dump(Json(value)); }
  Result<void> done_;
};

// Compared as text, which five characters of fixed form allow.
bool is_minute(const std::string& text, bool end_of_day) {
  const auto digit = [&](std::size_t at) { return text[at] >= '0' && text[at] <= '9'; };
  if (text.size() != 5 || text[2] != ':') return false;
  if (!digit(0) || !digit(1) || !digit(3) || !digit(4)) return false;
  return (text <= "23:59" && text[3] <= '5') || (end_of_day && text == "24:00");
}

bool is_hex(const std::string& text, std::size_t digits) {
  return text.size() == digits && std::ranges::all_of(text, [](char each) {
           return (each >= '0' && each <= '9') || (each >= 'a' && each <= 'f');
         });
}

bool is_number(const std::string& text) {
  const std::optional<double> value = parse_number<double>(text);
  return value && std::isfinite(*value);
}

// A bucket below a second would hold less than one sample of most probes.
Result<void> validate_predictor(const PredictorSettings& predictor) {
  Checks checks;
  checks.that(predictor.bucket.ms >= one_second_ms, "predictor.bucket must be at least 1s")
      .that(predictor.latency_rise > 0, "predictor.latency_rise must be above 0")
      .positive("predictor.series_max", predictor.series_max)
      .positive("predictor.scoring_window", predictor.scoring_window)
      .positive("predictor.lead_time", predictor.lead_time)
      .positive("predictor.repeat_after", predictor.repeat_after);
  for (std::size_t i = 0; i < predictor.rules.size(); ++i) {
    const TroubleRule& rule = predictor.rules[i];
    const std::string place = "predictor.rules[" + std::to_string(i) + "]";
    checks.that(!rule.code.empty(), place + " has no code")
        .that(!rule.metric.empty(), place + " has no metric")
        .one_of(place + ".op", rule.op, {"lt", "lte", "gt", "gte", "eq", "ne"})
        .that(std::isfinite(rule.value), place + ".value must be finite")
        .share(place + ".confidence", rule.confidence);
  }
  return checks.done();
}

// A window that ends before it begins would never be open, and hold everything in silence.
Result<void> validate_approval(const Settings& settings) {
  const ApprovalSettings& approval = settings.approval;
  Checks checks;
  checks.that(approval.blast_radius_max >= 0, "approval.blast_radius_max must not be negative")
      .share("approval.confidence_min", approval.confidence_min)
      .share("approval.likelihood_min", approval.likelihood_min)
      .positive("approval.request_expires", approval.request_expires);
  for (const std::string& impact : approval.impacts) {
    checks.one_of("approval.impacts", impact, {"low", "medium", "high", "critical"});
  }
  for (std::size_t i = 0; i < settings.change_windows.size(); ++i) {
    const ChangeWindow& window = settings.change_windows[i];
    const std::string place = "change_windows[" + std::to_string(i) + "]";
    for (const std::string& day : window.days) {
      checks.one_of(place + ".days", day, {"mon", "tue", "wed", "thu", "fri", "sat", "sun"});
    }
    checks
        .that(is_minute(window.from, false),
              place + ".from must be hh:mm, not '" + window.from + "'")
        .that(is_minute(window.to, true), place + ".to must be hh:mm, not '" + window.to + "'")
        .that(window.from < window.to,
              place + ".from must be before its to; write two windows around midnight");
    const TimeZone* zone = find_time_zone(settings, window.time_zone);
    const bool known = zone != nullptr && !zone->changes.empty();
    checks.that(window.time_zone == "UTC" || known,
                place + ".time_zone must be UTC or an IANA name, not '" + window.time_zone + "'");
  }
  return checks.done();
}

// A limit of 0 would look like "none" to one reader and like "nothing may run" to another.
Result<void> validate_limits(const Settings& settings) {
  const LimitSettings& limits = settings.limits;
  Checks checks;
  checks.positive("limits.proposals_per_hour_per_service", limits.proposals_per_hour_per_service)
      .positive("limits.attempts_per_incident", limits.attempts_per_incident)
      .positive("limits.fleet_concurrent", limits.fleet_concurrent)
      .positive("limits.fleet_starts_per_minute", limits.fleet_starts_per_minute)
      .positive("limits.backoff_base", limits.backoff_base)
      .that(limits.backoff_factor >= 1 && limits.backoff_factor <= 100,
            "limits.backoff_factor must be from 1 to 100")
      .that(limits.backoff_cap >= limits.backoff_base,
            "limits.backoff_cap must not be below limits.backoff_base")
      .positive("limits.backoff_reset", limits.backoff_reset)
      .positive("breaker.failures", settings.breaker.failures)
      .positive("breaker.reset", settings.breaker.reset)
      .positive("silence.after", settings.silence.after)
      .positive("silence.window", settings.silence.window)
      .positive("silence.services_min", settings.silence.services_min)
      .share("silence.share", settings.silence.share)
      .that(settings.silence.share > 0, "silence.share must be above 0")
      .that(settings.silence.hold_max >= settings.silence.window,
            "silence.hold_max must not be below silence.window")
      .share("choice.exploration", settings.choice.exploration)
      .share("choice.gate", settings.choice.gate)
      .positive("run.start_valid", settings.run.start_valid)
      .positive("run.probe_interval", settings.run.probe_interval)
      .positive("run.signal_age_max", settings.run.signal_age_max);
  return checks.done();
}

// A name that two keys share would make an approval's author open to doubt.
Result<void> validate_keys(const std::vector<KeyEntry>& keys) {
  Checks checks;
  std::set<std::string> names;
  for (const KeyEntry& key : keys) {
    const std::string subject = "key '" + key.name + "'";
    checks.that(!key.name.empty(), "a key has no name")
        .that(names.insert(key.name).second, subject + " is given twice")
        .one_of(subject + ": role", key.role, {"viewer", "operator", "admin", "shard"})
        .that(is_hex(key.public_key, 64), subject + ": public_key must be 64 hex digits");
  }
  return checks.done();
}

// An ordering over text never holds: such a policy would be dead, and nobody would know.
Result<void> validate_policy_condition(const PolicyCondition& condition) {
  const std::string subject = "condition '" + condition.field_name + "'";
  const std::string& op = condition.op;
  Checks checks;
  checks.one_of("condition", condition.field_name, policy_fields())
      .one_of(subject + ": comparison", op, {"in", "eq", "ne", "lt", "lte", "gt", "gte"});
  if (op == "in") {
    checks.that(!condition.operands.empty(), subject + ": the list is empty");
  } else {
    checks.that(condition.operands.size() == 1, subject + ": " + op + " takes one value");
  }
  const bool ordered = op != "in" && op != "eq" && op != "ne";
  for (const std::string& operand : condition.operands) {
    checks.that(!ordered || is_number(operand),
                subject + ": " + op + " needs a number, not '" + operand + "'");
  }
  return checks.done();
}

}  // namespace

Result<void> validate_policies(const std::vector<Policy>& policies) {
  for (std::size_t i = 0; i < policies.size(); ++i) {
    const Policy& policy = policies[i];
    const std::string place = "policy " + std::to_string(i + 1);
    Checks checks;
    checks
        .one_of(place + ": action", policy.action,
                {"self_heal_execute", "self_heal_execute_proactive"})
        .one_of(place + ": decision", policy.decision, {"allow", "deny", "require_approval"});
    if (!checks.done()) return checks.done();
    for (const PolicyCondition& condition : policy.conditions) {
      const Result<void> done = validate_policy_condition(condition);
      if (!done) return done.error().within(place);
    }
  }
  return {};
}

Result<void> validate_graph(const GraphSettings& graph) {
  std::vector<ServiceNode> services;
  for (const ServiceEntry& entry : graph.services) {
    const Result<RiskTier> tier = parse_risk_tier(entry.risk_tier);
    if (!tier) return tier.error().within("service '" + entry.name + "'");
    if (entry.replicas < 0) {
      return invalid("service '" + entry.name + "': replicas must not be negative");
    }
    services.push_back({entry.name, *tier, entry.depends_on, entry.replicas, entry.profile});
  }
  std::vector<ResourceNode> resources;
  for (const ResourceEntry& entry : graph.resources) {
    resources.push_back({entry.kind, entry.id, entry.service});
  }
  const Result<Graph> built = Graph::build(std::move(services), std::move(resources));
  if (!built) return built.error();
  return {};
}

Result<void> validate(const Settings& settings) {
  Checks mode;
  mode.one_of("mode", settings.mode, {"observe", "dry_run", "execute"});
  for (const Result<void>& done :
       {mode.done(), validate_predictor(settings.predictor), validate_approval(settings),
        validate_limits(settings), validate_keys(settings.keys)}) {
    if (!done) return done;
  }
  std::set<std::string> names;
  for (const Playbook& playbook : settings.playbooks) {
    Result<void> done = validate_playbook(playbook);
    if (!done) return done;
    if (!names.insert(playbook.name).second) {
      return invalid("playbook '" + playbook.name + "' is given twice");
    }
  }
  const Result<void> policies = validate_policies(settings.policies);
  if (!policies) return policies.error().within("policies");
  const Result<void> graph = validate_graph(settings.graph);
  if (!graph) return graph.error().within("graph");
  return {};
}

}  // namespace selfheal
