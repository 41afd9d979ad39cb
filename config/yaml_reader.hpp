#pragma once
// YAML into any struct with a field list. Strict: an unknown key, a wrong type and a missing value
// are errors that name file, line and key; a key that is not given keeps the struct's default.
// All functions are pure but read_yaml_file, and thread-safe.
#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include "base/fields.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "config/yaml_tree.hpp"
#include "decision/settings.hpp"
#include "topics/json_codec.hpp"

namespace selfheal {

// A step that drives a unit of the local systemd; read into the `run` step that it stands for.
struct SystemdUnit {
  std::string unit;
  std::string action = "restart";
  Duration timeout{60000};
  static constexpr auto fields() {
    return std::tuple{
        field("unit", &SystemdUnit::unit,
              "name of the unit: letters, digits and `:_.\\@-`; no pattern and no path"),
        field("action", &SystemdUnit::action,
              "start, stop, restart, try-restart, reload, reload-or-restart, kill, reset-failed; "
              "afterwards the unit's state is read back and must be what the action promises"),
        field("timeout", &SystemdUnit::timeout, "systemctl is killed after this time; at most 1h")};
  }
};

namespace yaml_detail {

// Fields that are a list in the struct, for the sake of "not given", and a mapping in YAML.
inline constexpr std::array<std::string_view, 8> single_fields = {
    "run", "http", "publish", "wait_for", "rollback", "probe", "tcp", "promql"};

struct Place {
  const std::string& file;
  std::string path;  // "steps[0].run"; empty at the top

  Place inside(std::string_view key) const {
    return {file, path.empty() ? std::string(key) : path + "." + std::string(key)};
  }
  Place at(std::size_t index) const { return {file, path + "[" + std::to_string(index) + "]"}; }
};

// "x.yaml:4: 'limits.fleet_concurrent' must be a whole number, not 'ten'".
Error wrong_type(const YamlNode& node, const Place& place, const std::string& expected);

// "x.yaml:12: unknown key 'tiemout' in run; did you mean 'timeout'?".
Error unknown_key(const YamlKey& key, const Place& place, const std::vector<std::string>& known);

Result<void> read_text(const YamlNode& node, const Place& place, std::string& value);
Result<void> read_bool(const YamlNode& node, const Place& place, bool& value);
Result<void> read_integer(const YamlNode& node, const Place& place, std::int64_t& value);
Result<void> read_number(const YamlNode& node, const Place& place, double& value);
Result<void> read_duration(const YamlNode& node, const Place& place, Duration& value);
Result<void> read_policy_conditions(const YamlNode& node, const Place& place,
                                    std::vector<PolicyCondition>& value);

// UTC or an IANA name that this machine knows.
Result<void> check_time_zone(const YamlNode& window, const Place& place);

// What people write and the struct does not have, in the form that it has. Others stay as they are.
Result<YamlNode> step_form(const YamlNode& node, const Place& place);
YamlNode playbook_form(const YamlNode& node);

template <class T>
Result<void> read_value(const YamlNode& node, const Place& place, T& value);

template <HasFields T>
std::vector<std::string> key_names() {
  std::vector<std::string> names;
  for_each_field<T>([&](const auto& each) { names.emplace_back(each.name); });
  return names;
}

template <class T>
Result<void> read_list(const YamlNode& node, const Place& place, std::vector<T>& value) {
  if (node.kind != YamlNode::Kind::list) return wrong_type(node, place, "a list");
  value.clear();
  for (const YamlNode& item : node.items) {
    T element{};
    Result<void> done = read_value(item, place.at(value.size()), element);
    if (!done) return done;
    value.push_back(std::move(element));
  }
  return {};
}

template <class T>
Result<void> read_single(const YamlNode& node, const Place& place, std::vector<T>& value) {
  // The canonical form, which `config show` prints, has a list here.
  if (node.kind == YamlNode::Kind::list && node.items.size() <= 1) {
    return read_list(node, place, value);
  }
  if (node.kind != YamlNode::Kind::map) return wrong_type(node, place, "one mapping");
  value.assign(1, T{});
  return read_value(node, place, value[0]);
}

template <class T>
Result<void> read_map(const YamlNode& node, const Place& place, std::map<std::string, T>& value) {
  if (node.kind != YamlNode::Kind::map) return wrong_type(node, place, "a mapping");
  value.clear();
  for (std::size_t i = 0; i < node.keys.size(); ++i) {
    const std::string& key = node.keys[i].text;
    Result<void> done = read_value(node.items[i], place.inside(key), value[key]);
    if (!done) return done;
  }
  return {};
}

template <class T>
Result<void> read_field(const YamlNode& node, const Place& place, std::string_view name, T& value) {
  if constexpr (json_detail::is_vector<T>::value) {
    if constexpr (HasFields<typename T::value_type>) {
      const bool single = std::ranges::find(single_fields, name) != single_fields.end();
      if (single) return read_single(node, place, value);
    }
  }
  return read_value(node, place, value);
}

template <HasFields T>
Result<void> read_struct(const YamlNode& node, const Place& place, T& value) {
  // "limits:" with every line below it commented out.
  if (node.kind == YamlNode::Kind::null) return {};
  if (node.kind != YamlNode::Kind::map) return wrong_type(node, place, "a mapping");
  Result<void> done;
  for (std::size_t i = 0; done && i < node.keys.size(); ++i) {
    bool known = false;
    for_each_field<T>([&](const auto& each) {
      if (node.keys[i].text != each.name) return;
      known = true;
      done = read_field(node.items[i], place.inside(each.name), each.name, value.*each.member);
    });
    if (!known) return unknown_key(node.keys[i], place, key_names<T>());
  }
  return done;
}

template <class T>
Result<void> read_value(const YamlNode& node, const Place& place, T& value) {
  if constexpr (std::is_same_v<T, std::vector<PolicyCondition>>) {
    return read_policy_conditions(node, place, value);
  } else if constexpr (std::is_same_v<T, Step>) {
    const Result<YamlNode> form = step_form(node, place);
    if (!form) return form.error();
    return read_struct(*form, place, value);
  } else if constexpr (std::is_same_v<T, ChangeWindow>) {
    Result<void> zone = check_time_zone(node, place);
    if (!zone) return zone;
    return read_struct(node, place, value);
  } else if constexpr (std::is_same_v<T, Playbook>) {
    return read_struct(playbook_form(node), place, value);
  } else if constexpr (HasFields<T>) {
    return read_struct(node, place, value);
  } else if constexpr (json_detail::is_vector<T>::value) {
    return read_list(node, place, value);
  } else if constexpr (json_detail::is_map<T>::value) {
    return read_map(node, place, value);
  } else if constexpr (std::is_same_v<T, Duration>) {
    return read_duration(node, place, value);
  } else if constexpr (std::is_same_v<T, bool>) {
    return read_bool(node, place, value);
  } else if constexpr (std::is_same_v<T, std::int64_t>) {
    return read_integer(node, place, value);
  } else if constexpr (std::is_same_v<T, double>) {
    return read_number(node, place, value);
  } else {
    static_assert(std::is_same_v<T, std::string>, "a field type without a YAML form");
    return read_text(node, place, value);
  }
}

}  // namespace yaml_detail

// The texts that a switch may have: true, false, True, False, TRUE, FALSE, 1, 0.
Result<bool> parse_switch(std::string_view text);

// The one of `known` with the least edit distance to `word`; the first of equals.
std::string nearest_name(std::string_view word, const std::vector<std::string>& known);

// Reads `node` over `value`; an empty document changes nothing. `file` names the place in errors.
template <class T>
Result<void> read_yaml_node(const YamlNode& node, const std::string& file, T& value) {
  if (node.kind == YamlNode::Kind::null) return {};
  return yaml_detail::read_value(node, yaml_detail::Place{file, ""}, value);
}

template <class T>
Result<T> read_yaml_text(std::string_view text, const std::string& file) {
  const Result<YamlNode> node = parse_yaml(text, file);
  if (!node) return node.error();
  T value{};
  const Result<void> done = read_yaml_node(*node, file, value);
  if (!done) return done.error();
  return value;
}

// JSON is YAML, so either may be in the file.
template <class T>
Result<T> read_yaml_file(const std::string& file) {
  const Result<std::string> text = read_text_file(file);
  if (!text) return text.error();
  return read_yaml_text<T>(*text, file);
}

}  // namespace selfheal
