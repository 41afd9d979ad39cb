#pragma once
// Everything that decisions depend on beside the inputs. It is journaled whole, as canonical JSON,
// and takes effect at a cut: a replay and a second owner decide with exactly the same settings.
// What only the process around the decisions needs (brokers, folders, addresses) is in config/.
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "base/fields.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "decision/playbook.hpp"
#include "topics/control.hpp"

namespace selfheal {

// A threshold that has to be crossed for a while before it is trouble.
struct TroubleRule {
  std::string code;
  std::string metric;
  std::string op;
  double value = 0;
  Duration hold{0};  // how long without a break
  double confidence = 0.9;
  static constexpr auto fields() {
    return std::tuple{
        field("code", &TroubleRule::code, "diagnosis that the rule raises"),
        field("metric", &TroubleRule::metric, "name of the metric"),
        field("op", &TroubleRule::op, "lt, lte, gt, gte, eq or ne"),
        field("value", &TroubleRule::value, "limit"),
        field("for", &TroubleRule::hold, "how long the limit must be crossed without a break"),
        field("confidence", &TroubleRule::confidence, "0 to 1, of the diagnosis")};
  }
  bool operator==(const TroubleRule&) const = default;
};

struct PredictorSettings {
  std::vector<std::string> latency_metrics = {"latency_p99_seconds"};
  double latency_rise = 0.5;
  std::vector<std::string> error_metrics = {"error_rate"};
  Duration bucket{60000};
  Duration warm_up{1200000};
  std::int64_t series_max = 1000000;
  std::vector<TroubleRule> rules;
  Duration scoring_window{3600000};
  Duration lead_time{300000};
  Duration repeat_after{60000};
  std::map<std::string, std::string> alert_codes = {{"InstanceDown", "service_down"}};
  static constexpr auto fields() {
    return std::tuple{
        field("latency_metrics", &PredictorSettings::latency_metrics,
              "metrics that the latency rule watches"),
        field("latency_rise", &PredictorSettings::latency_rise,
              "rise above the seasonal level that predicts latency_spike; 0.5 is 50 %"),
        field("error_metrics", &PredictorSettings::error_metrics,
              "ratios between 0 and 1 that the error-rate rule watches"),
        field("bucket", &PredictorSettings::bucket,
              "samples are averaged over this time before the rules see them; at least 1s"),
        field("warm_up", &PredictorSettings::warm_up,
              "a series predicts nothing before it has been seen for this long"),
        field("series_max", &PredictorSettings::series_max,
              "series a shard keeps; further ones are counted and not learnt"),
        field("rules", &PredictorSettings::rules,
              "present-trouble rules; the first that holds wins"),
        field("scoring_window", &PredictorSettings::scoring_window,
              "a prediction that has not come true by then is a false positive"),
        field("lead_time", &PredictorSettings::lead_time,
              "how long a predicted rise leaves for acting"),
        field("repeat_after", &PredictorSettings::repeat_after,
              "trouble that goes on without an incident is said again after this time"),
        field("alert_codes", &PredictorSettings::alert_codes,
              "diagnosis of an alert without an issue_type label, by its name")};
  }
  bool operator==(const PredictorSettings&) const = default;
};

struct ApprovalSettings {
  bool auto_approve_low_risk = true;
  std::int64_t blast_radius_max = 2;
  double confidence_min = 0.7;
  double likelihood_min = 0.8;
  Duration request_expires{3600000};
  std::vector<std::string> impacts = {"low", "medium"};
  static constexpr auto fields() {
    return std::tuple{
        field("auto_approve_low_risk", &ApprovalSettings::auto_approve_low_risk,
              "low-risk playbooks that allow it may run without a person"),
        field("blast_radius_max", &ApprovalSettings::blast_radius_max,
              "more dependents than this need a person"),
        field("confidence_min", &ApprovalSettings::confidence_min,
              "least confidence for a reactive run without a person"),
        field("likelihood_min", &ApprovalSettings::likelihood_min,
              "least likelihood for a proactive run without a person"),
        field("request_expires", &ApprovalSettings::request_expires,
              "an unanswered request escalates after this time"),
        field("impacts", &ApprovalSettings::impacts, "impacts that may run without a person")};
  }
  bool operator==(const ApprovalSettings&) const = default;
};

// A change window, by the clock on the wall of its zone: an hour that the clock skips has none, one
// that it repeats has two. No window at all means that changes are always allowed.
struct ChangeWindow {
  std::vector<std::string> days;  // mon … sun; empty: every day
  std::string from = "00:00";
  std::string to = "24:00";
  std::string time_zone = "UTC";
  static constexpr auto fields() {
    return std::tuple{
        field("days", &ChangeWindow::days, "mon, tue, wed, thu, fri, sat, sun"),
        field("from", &ChangeWindow::from, "hh:mm in the time zone"),
        field("to", &ChangeWindow::to, "hh:mm in the time zone; 24:00 is the end of the day"),
        field("time_zone", &ChangeWindow::time_zone, "IANA name, for example Europe/Berlin")};
  }
  bool operator==(const ChangeWindow&) const = default;
};

// From that moment on a zone's clock is ahead of UTC by so much.
struct ZoneChange {
  TimeMs from_ms = 0;
  std::int64_t offset_seconds = 0;
  static constexpr auto fields() {
    return std::tuple{field("from_ms", &ZoneChange::from_ms),
                      field("offset_seconds", &ZoneChange::offset_seconds)};
  }
  bool operator==(const ZoneChange&) const = default;
};

// A time zone as the machine knew it that read the configuration. Journaled with the settings, so
// that decisions do not depend on whose time zone data is newer.
struct TimeZone {
  std::string name;
  std::vector<ZoneChange> changes;  // in order; before the first its offset holds as well
  static constexpr auto fields() {
    return std::tuple{field("name", &TimeZone::name), field("changes", &TimeZone::changes)};
  }
  bool operator==(const TimeZone&) const = default;
};

struct LimitSettings {
  std::int64_t proposals_per_hour_per_service = 3;
  std::int64_t attempts_per_incident = 3;
  std::int64_t fleet_concurrent = 10;
  std::int64_t fleet_starts_per_minute = 30;
  Duration fleet_wait{60000};
  Duration backoff_base{60000};
  double backoff_factor = 2;
  Duration backoff_cap{3600000};
  Duration backoff_reset{86400000};
  static constexpr auto fields() {
    return std::tuple{
        field("proposals_per_hour_per_service", &LimitSettings::proposals_per_hour_per_service,
              "further proposals within the hour are denied"),
        field("attempts_per_incident", &LimitSettings::attempts_per_incident,
              "runs within one incident before it escalates"),
        field("fleet_concurrent", &LimitSettings::fleet_concurrent,
              "runs at once in the whole fleet; further ones wait"),
        field("fleet_starts_per_minute", &LimitSettings::fleet_starts_per_minute,
              "runs begun within a minute in the whole fleet; further ones wait"),
        field("fleet_wait", &LimitSettings::fleet_wait,
              "how long a run waits for its target's lock and a place in the fleet"),
        field("backoff_base", &LimitSettings::backoff_base,
              "wait before an issue that comes back on a service may be healed again"),
        field("backoff_factor", &LimitSettings::backoff_factor, "growth of that wait"),
        field("backoff_cap", &LimitSettings::backoff_cap, "longest such wait"),
        field("backoff_reset", &LimitSettings::backoff_reset,
              "an issue that stayed away this long starts afresh")};
  }
  bool operator==(const LimitSettings&) const = default;
};

struct BreakerSettings {
  std::int64_t failures = 5;
  Duration reset{300000};
  static constexpr auto fields() {
    return std::tuple{field("failures", &BreakerSettings::failures,
                            "failed runs in a row that open the breaker of a playbook and kind"),
                      field("reset", &BreakerSettings::reset,
                            "an open breaker lets one run through after this time")};
  }
  bool operator==(const BreakerSettings&) const = default;
};

struct ChoiceSettings {
  double exploration = 0.02;
  double gate = 0.7;
  static constexpr auto fields() {
    return std::tuple{
        field("exploration", &ChoiceSettings::exploration,
              "share of choices drawn uniformly, so that rivals can be valued later"),
        field("gate", &ChoiceSettings::gate, "posterior mean that an unattended run needs")};
  }
  bool operator==(const ChoiceSettings&) const = default;
};

struct RunSettings {
  Duration start_valid{5000};
  Duration probe_interval{1000};
  Duration signal_age_max{600000};
  static constexpr auto fields() {
    return std::tuple{field("start_valid", &RunSettings::start_valid,
                            "a committed start may touch its target only within this time"),
                      field("probe_interval", &RunSettings::probe_interval,
                            "pause between two looks at a condition"),
                      field("signal_age_max", &RunSettings::signal_age_max,
                            "an older signal teaches and never causes an action")};
  }
  bool operator==(const RunSettings&) const = default;
};

struct SilenceSettings {
  Duration after{30000};
  Duration window{120000};
  double share = 0.5;
  std::int64_t services_min = 10;
  Duration hold_max{3600000};
  static constexpr auto fields() {
    return std::tuple{
        field("after", &SilenceSettings::after,
              "a service is not silent before this, nor before four times its usual pause"),
        field("window", &SilenceSettings::window, "falling silent within this time is at once"),
        field("share", &SilenceSettings::share,
              "share of a shard's services that, silent at once, makes their way suspected: then "
              "every run needs a person until half of the silent speak again"),
        field("services_min", &SilenceSettings::services_min, "fewer are no crowd"),
        field("hold_max", &SilenceSettings::hold_max,
              "after this time those that stayed silent are taken for gone")};
  }
  bool operator==(const SilenceSettings&) const = default;
};

// "conditions: {impact: [low, medium], blast_radius: {lte: 2}}": field, comparison, operands as
// text.
struct PolicyCondition {
  std::string field_name;
  std::string op;  // in, eq, ne, lt, lte, gt, gte
  std::vector<std::string> operands;
  static constexpr auto fields() {
    return std::tuple{
        field("field", &PolicyCondition::field_name,
              "impact, blast_radius, confidence, change_window, proactive, service, code, "
              "playbook, risk, tier or resource_kind"),
        field("op", &PolicyCondition::op, "in, eq, ne, lt, lte, gt or gte"),
        field("operands", &PolicyCondition::operands, "what it is compared with; one but for in")};
  }
  bool operator==(const PolicyCondition&) const = default;
};

struct Policy {
  std::string action;
  std::string decision;  // allow, deny or require_approval
  std::vector<PolicyCondition> conditions;
  static constexpr auto fields() {
    return std::tuple{
        field("action", &Policy::action, "self_heal_execute or self_heal_execute_proactive"),
        field("decision", &Policy::decision, "allow, deny or require_approval"),
        field("conditions", &Policy::conditions,
              "a list means in, a bare value eq, a mapping names the comparison; all must hold")};
  }
  bool operator==(const Policy&) const = default;
};

std::string policy_hash(const Policy& policy);

struct ServiceEntry {
  std::string name;
  std::string risk_tier = "medium";
  std::vector<std::string> depends_on;
  std::int64_t replicas = 1;
  std::string profile = "low_risk";
  static constexpr auto fields() {
    return std::tuple{field("name", &ServiceEntry::name, "unique"),
                      field("risk_tier", &ServiceEntry::risk_tier, "low, medium, high or critical"),
                      field("depends_on", &ServiceEntry::depends_on, "services that it fails with"),
                      field("replicas", &ServiceEntry::replicas, "instances that are meant to run"),
                      field("profile", &ServiceEntry::profile,
                            "what healing it may do by itself: low_risk, moderate_risk or full; "
                            "else a person is asked")};
  }
  bool operator==(const ServiceEntry&) const = default;
};

struct ResourceEntry {
  std::string kind;
  std::string id;
  std::string service;
  static constexpr auto fields() {
    return std::tuple{field("kind", &ResourceEntry::kind, "for example Instance"),
                      field("id", &ResourceEntry::id, "unique within its kind"),
                      field("service", &ResourceEntry::service, "the service that runs on it")};
  }
  bool operator==(const ResourceEntry&) const = default;
};

struct GraphSettings {
  std::vector<ServiceEntry> services;
  std::vector<ResourceEntry> resources;
  static constexpr auto fields() {
    return std::tuple{field("services", &GraphSettings::services, "what the fleet consists of"),
                      field("resources", &GraphSettings::resources, "what the services run on")};
  }
  bool operator==(const GraphSettings&) const = default;
};

// A key that may sign control messages. Only the public half is ever here.
struct KeyEntry {
  std::string name;
  std::string role;  // viewer, operator, admin; shard for forwards between shards
  std::string public_key;
  static constexpr auto fields() {
    return std::tuple{field("name", &KeyEntry::name), field("role", &KeyEntry::role),
                      field("public_key", &KeyEntry::public_key)};
  }
  bool operator==(const KeyEntry&) const = default;
};

struct Settings {
  std::string mode = "observe";
  bool predictive_shadow = false;
  PredictorSettings predictor;
  ChoiceSettings choice;
  ApprovalSettings approval;
  std::vector<ChangeWindow> change_windows;
  LimitSettings limits;
  BreakerSettings breaker;
  SilenceSettings silence;
  RunSettings run;
  std::vector<Playbook> playbooks;
  std::vector<Policy> policies;
  GraphSettings graph;
  std::vector<KeyEntry> keys;
  std::vector<TimeZone> time_zones;
  static constexpr auto fields() {
    return std::tuple{
        field("mode", &Settings::mode, "observe, dry_run or execute"),
        field("predictive_shadow", &Settings::predictive_shadow,
              "predictions are recorded and scored, never acted on"),
        field("predictor", &Settings::predictor, "what becomes a diagnosis"),
        field("choice", &Settings::choice, "how a playbook is chosen"),
        field("approval", &Settings::approval, "what may run without a person"),
        field("change_windows", &Settings::change_windows, "when changes are allowed"),
        field("limits", &Settings::limits, "how much may run"),
        field("breaker", &Settings::breaker, "when a playbook that fails is left alone"),
        field("silence", &Settings::silence, "when the way of the signals is suspected"),
        field("run", &Settings::run, "how a run is carried out"),
        field("playbooks", &Settings::playbooks, "what can be done"),
        field("policies", &Settings::policies, "first match decides"),
        field("graph", &Settings::graph, "services and what they run on"),
        field("keys", &Settings::keys, "who may sign control messages"),
        field("time_zones", &Settings::time_zones, "of the change windows that name one")};
  }
  bool operator==(const Settings&) const = default;
};

// Everything that can be wrong with settings beyond their form: unknown codes and operators, bad
// limits, policies over unknown fields. Names the place; the first problem wins.
Result<void> validate(const Settings& settings);

// The parts of validate(), for a loader that knows which file a part came from.
Result<void> validate_playbook(const Playbook& playbook);
// Apart, because only the configuration knows the prefix of selfheal's topics.
Result<void> validate_publish_topics(const Playbook& playbook, const std::string& prefix);
Result<void> validate_policies(const std::vector<Policy>& policies);
Result<void> validate_graph(const GraphSettings& graph);

std::string settings_text(const Settings& settings);  // canonical JSON
Result<Settings> settings_from_text(const std::string& text);
const Playbook* find_playbook(const Settings& settings, std::string_view name);
const ServiceEntry* find_service(const Settings& settings, std::string_view name);
const KeyEntry* find_key(const Settings& settings, std::string_view name);
// What one shard says to another is signed with a key of role shard.
bool is_signed_by_shard(const Settings& settings, const ControlMessage& message);
// Null for UTC, which needs no table.
const TimeZone* find_time_zone(const Settings& settings, std::string_view name);

}  // namespace selfheal
