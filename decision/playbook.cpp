#include "decision/playbook.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "base/hash.hpp"
#include "base/percent_encoding.hpp"
#include "topics/json_codec.hpp"

namespace selfheal {
namespace {

constexpr std::array<std::string_view, 6> comparison_names = {"lt", "lte", "gt", "gte", "eq", "ne"};
constexpr std::string_view label_prefix = "labels.";

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

// Calls take(literal, name) for each stretch of text and the variable behind it; name is empty at
// the end.
template <class Take>
void for_each_part(std::string_view text, Take&& take) {
  while (true) {
    const std::size_t open = text.find("{{");
    const std::size_t close = open == std::string_view::npos ? open : text.find("}}", open);
    if (close == std::string_view::npos) break;
    take(text.substr(0, open), trimmed(text.substr(open + 2, close - open - 2)));
    text.remove_prefix(close + 2);
  }
  take(text, std::string_view());
}

const std::string* lookup(std::string_view name, const Variables& variables) {
  if (name == "service") return &variables.service;
  if (name == "resource.kind") return &variables.resource_kind;
  if (name == "resource.id") return &variables.resource_id;
  if (name == "incident.id") return &variables.incident_id;
  if (!name.starts_with(label_prefix)) return nullptr;
  const auto found = variables.labels.find(std::string(name.substr(label_prefix.size())));
  return found == variables.labels.end() ? nullptr : &found->second;
}

using Spelling = std::string (*)(std::string_view value);

Result<std::string> expand_spelt(std::string_view text, const Variables& variables,
                                 Spelling spell) {
  std::string expanded;
  std::string missing;
  for_each_part(text, [&](std::string_view literal, std::string_view name) {
    expanded += literal;
    if (name.empty()) return;
    const std::string* value = lookup(name, variables);
    if (value == nullptr) missing = name;
    if (value != nullptr) expanded += spell(*value);
  });
  if (!missing.empty()) {
    return Error{ErrorCode::not_found, "the incident has no value for {{" + missing + "}}"};
  }
  return expanded;
}

std::string as_it_is(std::string_view value) {
  return std::string(value);
}

// Quotes end a text of a query; escapes by number mean the same within either kind of quotes.
std::string escaped_for_promql(std::string_view value) {
  std::string escaped;
  for (const char each : value) {
    const auto byte = static_cast<unsigned char>(each);
    const bool plain = byte >= 0x20 && std::string_view("\"'`\\").find(each) == std::string::npos;
    escaped += plain ? std::string(1, each) : "\\x" + to_hex(std::string_view(&each, 1));
  }
  return escaped;
}

// Inside the quotes of a JSON text.
std::string escaped_for_json(std::string_view value) {
  std::string escaped;
  for (const char each : value) {
    const auto byte = static_cast<unsigned char>(each);
    if (each == '"' || each == '\\') escaped += '\\';
    escaped += byte < 0x20 ? "\\u00" + to_hex(std::string_view(&each, 1)) : std::string(1, each);
  }
  return escaped;
}

// Whether what follows `literal` stands within quotes.
bool quoted_after(std::string_view literal, bool quoted) {
  for (std::size_t i = 0; i < literal.size(); ++i) {
    if (quoted && literal[i] == '\\') {
      ++i;
    } else if (literal[i] == '"') {
      quoted = !quoted;
    }
  }
  return quoted;
}

bool is_json_scalar(std::string_view value) {
  const Result<Json> json = parse_json(value);
  return json && (json->is_number() || json->is_boolean() || json->is_null());
}

// A body that is JSON stays the document that was written: a value fills a text or stands for a
// number, and never adds members.
Result<std::string> expand_json(std::string_view text, const Variables& variables) {
  std::string expanded;
  std::optional<Error> wrong;
  bool quoted = false;
  for_each_part(text, [&](std::string_view literal, std::string_view name) {
    expanded += literal;
    quoted = quoted_after(literal, quoted);
    if (name.empty() || wrong) return;
    const std::string place = "{{" + std::string(name) + "}}";
    const std::string* value = lookup(name, variables);
    if (value == nullptr) {
      wrong = Error{ErrorCode::not_found, "the incident has no value for " + place};
    } else if (quoted) {
      expanded += escaped_for_json(*value);
    } else if (is_json_scalar(*value)) {
      expanded += *value;
    } else {
      wrong = Error{ErrorCode::invalid,
                    place + " stands outside quotes in the JSON body and is no number; quote it"};
    }
  });
  if (wrong) return *wrong;
  return expanded;
}

// "{{" begins a variable and never a JSON object.
bool is_json_body(std::string_view text) {
  const std::string_view body = trimmed(text);
  return body.starts_with('[') || (body.starts_with('{') && !body.starts_with("{{"));
}

std::string_view path_of(std::string_view url) {
  const std::size_t scheme = url.find("://");
  const std::size_t host = scheme == std::string_view::npos ? url.size() : scheme + 3;
  const std::string_view rest = url.substr(std::min(url.find_first_of("/?#", host), url.size()));
  return rest.substr(0, rest.find_first_of("?#"));
}

// The next segment of a path, which is shortened by it.
std::string_view take_segment(std::string_view& path) {
  path.remove_prefix(1);
  const std::string_view segment = path.substr(0, path.find('/'));
  path.remove_prefix(segment.size());
  return segment;
}

// What others send must not choose another host, path or query than the playbook's author did. A
// segment of dots cannot be escaped, and an empty one would name something else: both are refused.
Result<std::string> expand_url(std::string_view url, const Variables& variables) {
  Result<std::string> expanded = expand_spelt(url, variables, percent_encoded);
  if (!expanded) return expanded;
  // The same URL with a harmless value everywhere: its segments are the ones that were meant.
  const Result<std::string> meant =
      expand_spelt(url, variables, [](std::string_view) { return std::string("x"); });
  std::string_view path = path_of(*expanded);
  std::string_view meant_path = path_of(*meant);
  while (!path.empty() && !meant_path.empty()) {
    const std::string_view segment = take_segment(path);
    const std::string_view meant_segment = take_segment(meant_path);
    const bool special = segment.empty() || segment == "." || segment == "..";
    if (special && segment != meant_segment) {
      return Error{ErrorCode::invalid, "a value would turn a segment of " + std::string(url) +
                                           " into '" + std::string(segment) + "'"};
    }
  }
  return expanded;
}

// How a variable's value is written into that field.
template <class T>
Result<std::string> expand_field(const char* name, std::string_view text,
                                 const Variables& variables) {
  const std::string_view field_name = name;
  constexpr bool has_url = std::is_same_v<T, HttpCall> || std::is_same_v<T, PromqlQuery>;
  if (has_url && field_name == "url") return expand_url(text, variables);
  const bool is_body = (std::is_same_v<T, HttpCall> && field_name == "body") ||
                       (std::is_same_v<T, PublishCall> && field_name == "value");
  if (is_body && is_json_body(text)) return expand_json(text, variables);
  if (std::is_same_v<T, PromqlQuery>) return expand_spelt(text, variables, escaped_for_promql);
  return expand(text, variables);
}

// Walks every string of a struct with a field list; stops at the first error.
template <class T>
Result<void> expand_all(T& value, const Variables& variables) {
  if constexpr (std::is_same_v<T, std::string>) {
    Result<std::string> text = expand(value, variables);
    if (!text) return text.error();
    value = std::move(*text);
  } else if constexpr (HasFields<T>) {
    Result<void> done;
    for_each_field<T>([&](const auto& each) {
      if (!done) return;
      auto& member = value.*each.member;
      if constexpr (std::is_same_v<std::remove_cvref_t<decltype(member)>, std::string>) {
        Result<std::string> text = expand_field<T>(each.name, member, variables);
        if (text) member = std::move(*text);
        if (!text) done = text.error();
      } else {
        done = expand_all(member, variables);
      }
    });
    return done;
  } else if constexpr (json_detail::is_vector<T>::value) {
    for (auto& item : value) {
      Result<void> done = expand_all(item, variables);
      if (!done) return done;
    }
  } else if constexpr (json_detail::is_map<T>::value) {
    for (auto& [key, item] : value) {
      Result<void> done = expand_all(item, variables);
      if (!done) return done;
    }
  }
  return {};
}

}  // namespace

Result<Comparison> parse_comparison(std::string_view text) {
  const auto* const found = std::find(comparison_names.begin(), comparison_names.end(), text);
  if (found == comparison_names.end()) {
    return Error{ErrorCode::invalid,
                 "'" + std::string(text) + "' is not one of lt, lte, gt, gte, eq, ne"};
  }
  return static_cast<Comparison>(found - comparison_names.begin());
}

bool holds(Comparison comparison, double left, double right) {
  switch (comparison) {
    case Comparison::lt:
      return left < right;
    case Comparison::lte:
      return left <= right;
    case Comparison::gt:
      return left > right;
    case Comparison::gte:
      return left >= right;
    case Comparison::eq:
      return left == right;
    case Comparison::ne:
      return left != right;
  }
  return false;
}

std::string describe(const Condition& condition) {
  if (!condition.http.empty()) return "http " + condition.http[0].url;
  if (!condition.promql.empty()) return "promql " + condition.promql[0].query;
  if (!condition.tcp.empty()) {
    return "tcp " + condition.tcp[0].host + ":" + std::to_string(condition.tcp[0].port);
  }
  if (!condition.run.empty() && !condition.run[0].argv.empty()) {
    return "run " + condition.run[0].argv[0];
  }
  return "metric " + condition.metric + " " + condition.op + " " + dump(Json(condition.value));
}

const char* kind_of(const Step& step) {
  if (!step.run.empty()) return "run";
  if (!step.http.empty()) return "http";
  if (!step.publish.empty()) return "publish";
  if (!step.wait_for.empty()) return "wait_for";
  return "wait";
}

bool touches_outside(const Step& step) {
  return !step.run.empty() || !step.http.empty() || !step.publish.empty();
}

Result<void> check_publish_topic(const PublishCall& record, const std::string& prefix) {
  const bool is_ours = record.topic == prefix || record.topic.starts_with(prefix + ".");
  if (!is_ours || record.topic == prefix + ".signals") return {};
  return Error{ErrorCode::invalid, "publish.topic '" + record.topic +
                                       "' is selfheal's own; of these only " + prefix +
                                       ".signals may be written to"};
}

std::string playbook_hash(const Playbook& playbook) {
  return to_hex(sha256(to_json_text(playbook)));
}

PlaybookPrior effective_prior(const Playbook& playbook) {
  // An auto-approvable playbook starts trusted, others start as proposals to a person.
  constexpr double trusted_mean = 0.90;
  constexpr double proposed_mean = 0.60;
  PlaybookPrior prior = playbook.prior;
  if (prior.mean <= 0) prior.mean = playbook.auto_approve ? trusted_mean : proposed_mean;
  return prior;
}

bool in_scope(const Scope& scope, std::string_view service, std::string_view resource_kind) {
  const auto matches = [&](const std::string& pattern) {
    if (pattern.ends_with('*')) {
      return service.starts_with(std::string_view(pattern).substr(0, pattern.size() - 1));
    }
    return service == pattern;
  };
  const std::string_view subject = resource_kind.empty() ? "service" : resource_kind;
  const bool kind = scope.resource_kinds.empty() ||
                    std::find(scope.resource_kinds.begin(), scope.resource_kinds.end(), subject) !=
                        scope.resource_kinds.end();
  return kind && std::any_of(scope.services.begin(), scope.services.end(), matches);
}

Result<std::string> expand(std::string_view text, const Variables& variables) {
  return expand_spelt(text, variables, as_it_is);
}

std::string unknown_variable(std::string_view text) {
  std::string unknown;
  for_each_part(text, [&](std::string_view, std::string_view name) {
    const bool label = name.starts_with(label_prefix) && name.size() > label_prefix.size();
    if (!name.empty() && !label && lookup(name, {}) == nullptr) unknown = name;
  });
  return unknown;
}

Result<Step> expand_step(const Step& step, const Variables& variables) {
  Step expanded = step;
  const Result<void> done = expand_all(expanded, variables);
  if (!done) return done.error().within("step '" + step.name + "'");
  return expanded;
}

Result<Condition> expand_condition(const Condition& condition, const Variables& variables) {
  Condition expanded = condition;
  const Result<void> done = expand_all(expanded, variables);
  if (!done) return done.error().within(describe(condition));
  return expanded;
}

}  // namespace selfheal
