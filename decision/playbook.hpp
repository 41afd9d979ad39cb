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
    return std::tuple{field("url", &HttpCall::url),         field("method", &HttpCall::method),
                      field("headers", &HttpCall::headers), field("body", &HttpCall::body),
                      field("status", &HttpCall::status),   field("contains", &HttpCall::contains),
                      field("timeout", &HttpCall::timeout)};
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
    return std::tuple{field("argv", &Program::argv), field("shell", &Program::shell),
                      field("environment", &Program::environment),
                      field("directory", &Program::directory), field("timeout", &Program::timeout)};
  }
  bool operator==(const Program&) const = default;
};

struct PromqlQuery {
  std::string query;
  std::string url;
  static constexpr auto fields() {
    return std::tuple{field("query", &PromqlQuery::query), field("url", &PromqlQuery::url)};
  }
  bool operator==(const PromqlQuery&) const = default;
};

struct TcpTarget {
  std::string host;
  std::int64_t port = 0;
  static constexpr auto fields() {
    return std::tuple{field("host", &TcpTarget::host), field("port", &TcpTarget::port)};
  }
  bool operator==(const TcpTarget&) const = default;
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
    return std::tuple{field("metric", &Condition::metric), field("service", &Condition::service),
                      field("op", &Condition::op),         field("value", &Condition::value),
                      field("http", &Condition::http),     field("promql", &Condition::promql),
                      field("tcp", &Condition::tcp),       field("run", &Condition::run),
                      field("for", &Condition::hold),      field("within", &Condition::within)};
  }
  bool operator==(const Condition&) const = default;
};

// "metric latency_p99_seconds lt 0.5", "http http://…", for checks and reports.
std::string describe(const Condition& condition);

// What undoes a step, or does it: exactly one of run, http, wait and wait_for is set.
struct Step {
  std::string name;
  std::vector<Program> run;
  std::vector<HttpCall> http;
  Duration wait{0};
  std::vector<Condition> wait_for;
  std::int64_t retries = 0;
  Duration backoff{1000};  // before the first retry; doubled for each further one, at most 60 s
  std::vector<Step> rollback;
  static constexpr auto fields() {
    return std::tuple{field("name", &Step::name),         field("run", &Step::run),
                      field("http", &Step::http),         field("wait", &Step::wait),
                      field("wait_for", &Step::wait_for), field("retries", &Step::retries),
                      field("backoff", &Step::backoff),   field("rollback", &Step::rollback)};
  }
  bool operator==(const Step&) const = default;
};

// run, http, wait or wait_for.
const char* kind_of(const Step& step);

struct Scope {
  std::vector<std::string> services = {"*"};  // names, or prefixes that end in *
  std::vector<std::string> resource_kinds;    // empty: any
  static constexpr auto fields() {
    return std::tuple{field("services", &Scope::services),
                      field("resource_kinds", &Scope::resource_kinds)};
  }
  bool operator==(const Scope&) const = default;
};

struct PlaybookPrior {
  double mean = 0;  // 0: by auto_approve, 0.9 or 0.6
  double weight = 8;
  static constexpr auto fields() {
    return std::tuple{field("mean", &PlaybookPrior::mean), field("weight", &PlaybookPrior::weight)};
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
    return std::tuple{field("name", &Playbook::name),
                      field("title", &Playbook::title),
                      field("description", &Playbook::description),
                      field("risk", &Playbook::risk),
                      field("auto_approve", &Playbook::auto_approve),
                      field("triggers", &Playbook::triggers),
                      field("scope", &Playbook::scope),
                      field("preconditions", &Playbook::preconditions),
                      field("effect", &Playbook::effect),
                      field("probe", &Playbook::probe),
                      field("steps", &Playbook::steps),
                      field("verify", &Playbook::verify),
                      field("secrets", &Playbook::secrets),
                      field("derived_from", &Playbook::derived_from),
                      field("model_tier", &Playbook::model_tier),
                      field("requires_elevation", &Playbook::requires_elevation),
                      field("prior", &Playbook::prior)};
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
// argument.
Result<Step> expand_step(const Step& step, const Variables& variables);
Result<Condition> expand_condition(const Condition& condition, const Variables& variables);

}  // namespace selfheal
