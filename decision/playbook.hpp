#pragma once
// A playbook: what it may be used for, its steps, how success is judged, how it is undone. Loaded
// from YAML by config/; the same field lists give the canonical JSON whose hash an approval covers.
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "base/fields.hpp"
#include "base/result.hpp"
#include "base/time.hpp"

namespace selfheal {

// The comparison of a metric condition.
enum class Comparison : std::uint8_t { lt, lte, gt, gte, eq, ne };
Result<Comparison> parse_comparison(std::string_view text);
bool holds(Comparison comparison, double left, double right);

struct HttpCall {
  std::string url;
  std::string method = "GET";
  std::map<std::string, std::string> headers;
  std::string body;
  std::int64_t status = 0;  // expected; 0: any 2xx
  std::string contains;     // a text the answer's body must hold
  Duration timeout{10000};
  static constexpr auto fields() {
    return std::tuple{
        field("url", &HttpCall::url, "http:// or https://"),
        field("method", &HttpCall::method, "GET, HEAD, POST, PUT, PATCH or DELETE"),
        field("headers", &HttpCall::headers, "sent beside Idempotency-Key"),
        field("body", &HttpCall::body, "sent as it is; in JSON a value stays within its quotes"),
        field("status", &HttpCall::status, "expected status; 0: any 2xx"),
        field("contains", &HttpCall::contains, "a text that the answer's body must hold"),
        field("timeout", &HttpCall::timeout, "for the whole call; at most 1h")};
  }
  bool operator==(const HttpCall&) const = default;
};

struct Program {
  std::vector<std::string> argv;
  bool shell = false;  // argv[0] is handed to /bin/sh -c, with the rest as $1 …
  std::map<std::string, std::string> environment;
  std::string directory;
  Duration timeout{60000};
  static constexpr auto fields() {
    return std::tuple{
        field("argv", &Program::argv,
              "the program and its arguments; a variable never becomes more than one argument"),
        field("shell", &Program::shell,
              "argv[0] is handed to /bin/sh -c, with the rest as $1 and so on; it must hold no "
              "variables"),
        field("environment", &Program::environment, "added to the environment"),
        field("directory", &Program::directory, "working directory"),
        field("timeout", &Program::timeout, "the program is killed after this time; at most 1h")};
  }
  bool operator==(const Program&) const = default;
};

struct PromqlQuery {
  std::string query;
  std::string url;
  static constexpr auto fields() {
    return std::tuple{field("query", &PromqlQuery::query,
                            "instant query; the condition compares its value by op and value, or "
                            "wants any result where op is not given"),
                      field("url", &PromqlQuery::url, "of the Prometheus server")};
  }
  bool operator==(const PromqlQuery&) const = default;
};

struct TcpTarget {
  std::string host;
  std::int64_t port = 0;
  static constexpr auto fields() {
    return std::tuple{field("host", &TcpTarget::host, "name or address"),
                      field("port", &TcpTarget::port,
                            "1 to 65535; the condition holds when it accepts a connection")};
  }
  bool operator==(const TcpTarget&) const = default;
};

// A record for another service, written with the action id in its headers. Kafka delivers it at
// least once: its readers leave out what they have seen by the header Idempotency-Key.
struct PublishCall {
  std::string topic;
  std::string key;
  std::string value;
  std::map<std::string, std::string> headers;
  static constexpr auto fields() {
    return std::tuple{
        field("topic", &PublishCall::topic,
              "full name of a topic that exists; of selfheal's own only the one for signals"),
        field("key", &PublishCall::key, "key of the record; it chooses the partition"),
        field("value", &PublishCall::value,
              "the record as it is; in JSON a value stays within its quotes"),
        field("headers", &PublishCall::headers, "sent beside Idempotency-Key")};
  }
  bool operator==(const PublishCall&) const = default;
};

// Exactly one of metric, http, promql, tcp and run is set; the vectors hold at most one.
struct Condition {
  std::string metric;
  std::string service;  // of the metric; empty: the subject's
  std::string op;
  double value = 0;
  std::vector<HttpCall> http;
  std::vector<PromqlQuery> promql;
  std::vector<TcpTarget> tcp;
  std::vector<Program> run;
  Duration hold{0};        // `for`: must hold without a break this long
  Duration within{60000};  // must have held by then
  static constexpr auto fields() {
    return std::tuple{
        field("metric", &Condition::metric, "name of a metric on the signal stream"),
        field("service", &Condition::service, "whose metric; empty: the subject's"),
        field("op", &Condition::op, "lt, lte, gt, gte, eq or ne"),
        field("value", &Condition::value, "limit"),
        field("http", &Condition::http, "a call that must succeed"),
        field("promql", &Condition::promql, "a query that must hold"),
        field("tcp", &Condition::tcp, "a port that must accept"),
        field("run", &Condition::run, "a program that must exit with 0"),
        field("for", &Condition::hold, "must hold without a break for this long; at most within"),
        field("within", &Condition::within, "must have held by then; at most 1h")};
  }
  bool operator==(const Condition&) const = default;
};

// "metric latency_p99_seconds lt 0.5", "http http://…", for checks and reports.
std::string describe(const Condition& condition);

// What undoes a step, or does it: exactly one of run, http, publish, wait and wait_for is set; the
// vectors hold at most one.
struct Step {
  std::string name;
  std::vector<Program> run;
  std::vector<HttpCall> http;
  std::vector<PublishCall> publish;
  Duration wait{0};
  std::vector<Condition> wait_for;
  std::int64_t retries = 0;
  Duration backoff{1000};  // before the first retry; doubled for each further one, at most 60 s
  std::vector<Step> rollback;
  static constexpr auto fields() {
    return std::tuple{
        field("name", &Step::name, "for reports; by default the kind of the step"),
        field("run", &Step::run, "runs a program"),
        field("http", &Step::http, "makes a call"),
        field("publish", &Step::publish, "writes a record to a topic"),
        field("wait", &Step::wait, "waits; at most 1h"),
        field("wait_for", &Step::wait_for, "waits until a condition holds"),
        field("retries", &Step::retries, "further tries after a failure; at most 100"),
        field("backoff", &Step::backoff,
              "before the first retry; doubled for each further one, at most 60s"),
        field("rollback", &Step::rollback, "the step that undoes this one")};
  }
  bool operator==(const Step&) const = default;
};

// run, http, publish, wait or wait_for.
const char* kind_of(const Step& step);

// Whether the step has an effect outside, which the effect gateway carries out once its start is
// committed. All others are timers and probes of the runner.
bool touches_outside(const Step& step);

// For a record to be on the bus for good, and for the question where it goes; beyond the time after
// which the bus gives a record up, so that what was begun is known to have ended.
constexpr DurationMs publish_limit_ms = 30 * one_second_ms;

// What keeps a publish step from writing where only selfheal may: nobody publishes into a journal.
// `prefix` is that of selfheal's topics.
Result<void> check_publish_topic(const PublishCall& record, const std::string& prefix);

struct Scope {
  std::vector<std::string> services = {"*"};  // names, or prefixes that end in *
  std::vector<std::string> resource_kinds;    // empty: any
  static constexpr auto fields() {
    return std::tuple{field("services", &Scope::services, "names, or prefixes that end in *"),
                      field("resource_kinds", &Scope::resource_kinds, "empty: any")};
  }
  bool operator==(const Scope&) const = default;
};

struct PlaybookPrior {
  double mean = 0;  // 0: by auto_approve, 0.9 or 0.6
  double weight = 8;
  static constexpr auto fields() {
    return std::tuple{
        field("mean", &PlaybookPrior::mean, "above 0, at most 1; 0: by auto_approve, 0.9 or 0.6"),
        field("weight", &PlaybookPrior::weight, "in trials; above 0")};
  }
  bool operator==(const PlaybookPrior&) const = default;
};

struct Playbook {
  std::string name;
  std::string title;
  std::string description;
  std::string risk = "moderate";
  bool auto_approve = false;
  std::vector<std::string> triggers;
  Scope scope;
  std::vector<Condition> preconditions;
  std::string effect = "neither";
  std::vector<Condition> probe;  // of a verifiable effect: holds when the effect has happened
  std::vector<Step> steps;
  std::vector<Condition> verify;
  std::vector<std::string> secrets;
  std::string derived_from;
  std::string model_tier;
  bool requires_elevation = false;
  PlaybookPrior prior;
  static constexpr auto fields() {
    return std::tuple{
        field("name", &Playbook::name, "the name of its file without .yaml"),
        field("title", &Playbook::title, "one line for people"),
        field("description", &Playbook::description, "when to use it, and what it does"),
        field("risk", &Playbook::risk, "low, moderate, high or critical"),
        field("auto_approve", &Playbook::auto_approve,
              "may run without a person if its risk is low and the limits and policies allow it"),
        field("triggers", &Playbook::triggers, "diagnosis codes that it is for"),
        field("scope", &Playbook::scope, "what it may be used on"),
        field("preconditions", &Playbook::preconditions,
              "must hold before the start; those on metrics before the approval as well"),
        field("effect", &Playbook::effect,
              "what recovery may do after a crash in mid-step: idempotent (again), verifiable (ask "
              "the probe), neither (in doubt)"),
        field("probe", &Playbook::probe,
              "of a verifiable effect: holds when the effect has happened"),
        field("steps", &Playbook::steps, "done in this order"),
        field("verify", &Playbook::verify, "must hold afterwards, or the steps are rolled back"),
        field("secrets", &Playbook::secrets, "names of credentials that the steps are given"),
        field("derived_from", &Playbook::derived_from, "the proposal that it came from"),
        field("model_tier", &Playbook::model_tier, "of the model that may draft for it"),
        field("requires_elevation", &Playbook::requires_elevation,
              "needs elevated rights: never runs without a person's approval"),
        field("prior", &Playbook::prior, "the belief in it before any outcome")};
  }
  bool operator==(const Playbook&) const = default;
};

// SHA-256 of the canonical JSON, hex.
std::string playbook_hash(const Playbook& playbook);

// The mean and weight of the belief before any outcome.
PlaybookPrior effective_prior(const Playbook& playbook);

bool in_scope(const Scope& scope, std::string_view service, std::string_view resource_kind);

// What {{…}} may name in a playbook's strings.
struct Variables {
  std::string service;
  std::string resource_kind;
  std::string resource_id;
  std::string incident_id;
  std::map<std::string, std::string> labels;
};

// Replaces every {{name}}. A label that the incident does not carry is an error that names it.
Result<std::string> expand(std::string_view text, const Variables& variables);

// The first name in {{…}} that no variable can ever have, or empty: checked at load.
std::string unknown_variable(std::string_view text);

// Every string of a step or condition with its variables replaced. Each argument stays one
// argument; in a URL a value stays within its segment or parameter, in a PromQL query within its
// quotes.
Result<Step> expand_step(const Step& step, const Variables& variables);
Result<Condition> expand_condition(const Condition& condition, const Variables& variables);

}  // namespace selfheal
