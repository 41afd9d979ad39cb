#include "config/yaml_reader.hpp"

#include <numeric>
#include <optional>

#include "base/parse_number.hpp"
#include "config/time_zones.hpp"
#include "decision/approver/policies.hpp"
#include "decision/systemd_unit.hpp"

namespace selfheal {
namespace {

constexpr std::size_t shown_text_max = 60;

// Levenshtein: letters added, left out or changed. Row by row, since only the last one counts.
std::size_t edit_distance(std::string_view left, std::string_view right) {
  std::vector<std::size_t> row(right.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= left.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= right.size(); ++j) {
      const std::size_t replaced = diagonal + (left[i - 1] == right[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[right.size()];
}

// What was found, for a message: short enough for one line of a log.
std::string shown(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::null:
      return "empty";
    case YamlNode::Kind::list:
      return "a list";
    case YamlNode::Kind::map:
      return "a mapping";
    case YamlNode::Kind::scalar:
      break;
  }
  if (node.text.size() <= shown_text_max) return "'" + node.text + "'";
  std::size_t end = shown_text_max;
  // Not in the middle of a character.
  while (end > 0 && (static_cast<unsigned char>(node.text[end]) & 0xc0) == 0x80) --end;
  return "'" + node.text.substr(0, end) + "…'";
}

// A quoted "5" is text and no number.
bool is_plain(const YamlNode& node) {
  return node.kind == YamlNode::Kind::scalar && !node.quoted;
}

template <class T>
std::optional<T> parsed(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  return parse_number<T>(text);
}

// Quoted, so that it is text whatever it looks like.
YamlNode scalar_node(std::string text, int line) {
  YamlNode node;
  node.kind = YamlNode::Kind::scalar;
  node.quoted = true;
  node.line = line;
  node.text = std::move(text);
  return node;
}

// What a policy compares with. Truth values have one text, the one that the facts have.
Result<std::string> operand_of(const YamlNode& node, const yaml_detail::Place& place,
                               std::string_view field_name) {
  if (field_name == "change_window" || field_name == "proactive") {
    bool value = false;
    const Result<void> done = yaml_detail::read_bool(node, place, value);
    if (!done) return done.error();
    return std::string(value ? "true" : "false");
  }
  std::string text;
  const Result<void> done = yaml_detail::read_text(node, place, text);
  if (!done) return done.error();
  return text;
}

// One condition for a bare value or a list, one for each operator of a mapping.
Result<void> add_policy_conditions(const std::string& field_name, const YamlNode& node,
                                   const yaml_detail::Place& place,
                                   std::vector<PolicyCondition>& conditions) {
  if (node.kind == YamlNode::Kind::map) {
    static const std::vector<std::string> operators = {"in", "eq", "ne", "lt", "lte", "gt", "gte"};
    if (node.keys.empty()) return yaml_detail::wrong_type(node, place, "a value or a comparison");
    for (std::size_t i = 0; i < node.keys.size(); ++i) {
      const YamlKey& op = node.keys[i];
      if (std::ranges::find(operators, op.text) == operators.end()) {
        return yaml_detail::unknown_key(op, place, operators);
      }
      const YamlNode& operand = node.items[i];
      const bool takes_list = op.text == "in";
      const auto wanted = takes_list ? YamlNode::Kind::list : YamlNode::Kind::scalar;
      if (operand.kind != wanted) {
        return yaml_detail::wrong_type(operand, place.inside(op.text),
                                       takes_list ? "a list" : "one value");
      }
      const std::size_t first = conditions.size();
      Result<void> done = add_policy_conditions(field_name, operand, place, conditions);
      if (!done) return done;
      conditions[first].op = op.text;
    }
    return {};
  }
  PolicyCondition condition{field_name, "eq", {}};
  if (node.kind == YamlNode::Kind::list) {
    condition.op = "in";
    for (const YamlNode& item : node.items) {
      Result<std::string> operand =
          operand_of(item, place.at(condition.operands.size()), field_name);
      if (!operand) return operand.error();
      condition.operands.push_back(std::move(*operand));
    }
  } else {
    Result<std::string> operand = operand_of(node, place, field_name);
    if (!operand) return operand.error();
    condition.operands.push_back(std::move(*operand));
  }
  conditions.push_back(std::move(condition));
  return {};
}

}  // namespace

Result<bool> parse_switch(std::string_view text) {
  if (text == "true" || text == "True" || text == "TRUE" || text == "1") return true;
  if (text == "false" || text == "False" || text == "FALSE" || text == "0") return false;
  return Error{ErrorCode::invalid,
               "must be true or false, not '" + std::string(text.substr(0, shown_text_max)) + "'"};
}

std::string nearest_name(std::string_view word, const std::vector<std::string>& known) {
  std::string nearest;
  std::size_t least = static_cast<std::size_t>(-1);
  // A longer word is no mistyped key, and the distance takes time by its length.
  word = word.substr(0, 2 * shown_text_max);
  for (const std::string& each : known) {
    const std::size_t distance = edit_distance(word, each);
    if (distance >= least) continue;
    least = distance;
    nearest = each;
  }
  return nearest;
}

namespace yaml_detail {

// The path says which of many equal keys of a long file is meant.
Error wrong_type(const YamlNode& node, const Place& place, const std::string& expected) {
  const std::string subject = place.path.empty() ? "the document" : "'" + place.path + "'";
  return {ErrorCode::invalid, yaml_place(place.file, node.line) + ": " + subject + " must be " +
                                  expected + ", not " + shown(node)};
}

Error unknown_key(const YamlKey& key, const Place& place, const std::vector<std::string>& known) {
  const std::size_t dot = place.path.rfind('.');
  const std::string owner = dot == std::string::npos ? place.path : place.path.substr(dot + 1);
  return {ErrorCode::invalid, yaml_place(place.file, key.line) + ": unknown key '" +
                                  key.text.substr(0, shown_text_max) + "'" +
                                  (owner.empty() ? "" : " in " + owner) + "; did you mean '" +
                                  nearest_name(key.text, known) + "'?"};
}

Result<void> read_text(const YamlNode& node, const Place& place, std::string& value) {
  if (node.kind != YamlNode::Kind::scalar) return wrong_type(node, place, "text");
  value = node.text;
  return {};
}

// Yes, no, on and off are left out: YAML versions disagree about them, and a service's name may be
// "no".
Result<void> read_bool(const YamlNode& node, const Place& place, bool& value) {
  const Result<bool> read = parse_switch(node.text);
  if (!is_plain(node) || !read) return wrong_type(node, place, "true or false");
  value = *read;
  return {};
}

Result<void> read_integer(const YamlNode& node, const Place& place, std::int64_t& value) {
  const std::optional<std::int64_t> read = parsed<std::int64_t>(node.text);
  if (!is_plain(node) || !read) return wrong_type(node, place, "a whole number");
  value = *read;
  return {};
}

// Infinity and NaN would pass every comparison, or none.
Result<void> read_number(const YamlNode& node, const Place& place, double& value) {
  const std::optional<double> read = parsed<double>(node.text);
  if (!is_plain(node) || !read || !std::isfinite(*read)) return wrong_type(node, place, "a number");
  value = *read;
  return {};
}

Result<void> read_duration(const YamlNode& node, const Place& place, Duration& value) {
  const Result<DurationMs> read = parse_duration(node.text);
  if (node.kind != YamlNode::Kind::scalar || !read) {
    return wrong_type(node, place, "a duration such as 250ms, 30s, 5m, 2h or 7d");
  }
  value.ms = *read;
  return {};
}

// A field that does not exist would never match, and a deny over it never deny.
Result<void> read_policy_conditions(const YamlNode& node, const Place& place,
                                    std::vector<PolicyCondition>& value) {
  // The canonical form, which `config show` prints.
  if (node.kind == YamlNode::Kind::list) return read_list(node, place, value);
  if (node.kind != YamlNode::Kind::map) return wrong_type(node, place, "a mapping");
  value.clear();
  for (std::size_t i = 0; i < node.keys.size(); ++i) {
    const YamlKey& key = node.keys[i];
    if (std::ranges::find(policy_fields(), key.text) == policy_fields().end()) {
      return unknown_key(key, place, policy_fields());
    }
    Result<void> done =
        add_policy_conditions(key.text, node.items[i], place.inside(key.text), value);
    if (!done) return done;
  }
  return {};
}

Result<void> check_time_zone(const YamlNode& window, const Place& place) {
  const YamlNode* const name = window.find("time_zone");
  if (name == nullptr || name->kind != YamlNode::Kind::scalar || name->text == "UTC") return {};
  const Result<TimeZone> zone = load_time_zone(name->text);
  if (zone) return {};
  return zone.error().within(yaml_place(place.file, name->line) + ": " +
                             place.inside("time_zone").path);
}

// What stands for the unit's name while its variables have no values.
std::string without_variables(std::string_view text) {
  std::string name;
  for (std::size_t open = text.find("{{"); open != std::string_view::npos; open = text.find("{{")) {
    const std::size_t close = text.find("}}", open);
    if (close == std::string_view::npos) break;
    name += std::string(text.substr(0, open)) + "x";
    text.remove_prefix(close + 2);
  }
  return name + std::string(text);
}

// A `systemd` step is a `run` step that need not be spelt out; see decision/systemd_unit.hpp.
Result<YamlNode> step_form(const YamlNode& node, const Place& place) {
  const YamlNode* const systemd = node.find("systemd");
  if (systemd == nullptr) return node;
  const Place inside = place.inside("systemd");
  if (node.find("run") != nullptr) {
    return Error{ErrorCode::invalid, yaml_place(place.file, systemd->line) + ": '" + inside.path +
                                         "' stands beside run; a step does one thing"};
  }
  SystemdUnit unit;
  const Result<void> read = read_struct(*systemd, inside, unit);
  if (!read) return read.error();
  if (unit.unit.empty()) return wrong_type(*systemd, inside, "a mapping with a unit");
  static const std::vector<std::string> actions = {
      "start",  "stop", "restart",      "try-restart",
      "reload", "kill", "reset-failed", "reload-or-restart"};
  if (std::ranges::find(actions, unit.action) == actions.end()) {
    return Error{ErrorCode::invalid, yaml_place(place.file, systemd->line) + ": '" + inside.path +
                                         ".action' is '" + unit.action + "'; did you mean '" +
                                         nearest_name(unit.action, actions) + "'?"};
  }
  const Result<void> named = check_unit_name(without_variables(unit.unit));
  if (!named) {
    return named.error().within(yaml_place(place.file, systemd->line) + ": '" + inside.path +
                                ".unit'");
  }
  YamlNode argv;
  argv.kind = YamlNode::Kind::list;
  // "--": a unit whose name comes from a signal must not become an option.
  for (const std::string& word :
       {std::string("systemctl"), unit.action, std::string("--"), unit.unit}) {
    argv.items.push_back(scalar_node(word, systemd->line));
  }
  YamlNode run;
  run.kind = YamlNode::Kind::map;
  run.line = systemd->line;
  run.keys = {{"argv", systemd->line}, {"timeout", systemd->line}};
  run.items = {std::move(argv), scalar_node(format_duration(unit.timeout.ms), systemd->line)};
  YamlNode form = node;
  const std::size_t index = static_cast<std::size_t>(systemd - node.items.data());
  form.keys[index].text = "run";
  form.items[index] = std::move(run);
  return form;
}

YamlNode playbook_form(const YamlNode& node) {
  YamlNode form = node;
  for (YamlKey& key : form.keys) {
    if (key.text == "__proposalDerivedFrom") key.text = "derived_from";
  }
  return form;
}

}  // namespace yaml_detail
}  // namespace selfheal
