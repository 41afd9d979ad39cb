#include "config/reference.hpp"

#include <array>
#include <utility>

#include "config/service_config.hpp"
#include "config/yaml_reader.hpp"

namespace selfheal {
namespace {

// In the largest unit that divides it: people write 1h, not 3600s.
std::string duration_text(DurationMs duration_ms) {
  constexpr std::array<std::pair<DurationMs, const char*>, 4> units = {
      {{one_day_ms, "d"}, {one_hour_ms, "h"}, {60 * one_second_ms, "m"}, {one_second_ms, "s"}}};
  if (duration_ms == 0) return "0s";
  for (const auto& [unit_ms, name] : units) {
    if (duration_ms % unit_ms == 0) return std::to_string(duration_ms / unit_ms) + name;
  }
  return std::to_string(duration_ms) + "ms";
}

std::string text_text(const std::string& text) {
  const bool plain = !text.empty() && std::ranges::all_of(text, [](char each) {
    return (each >= 'a' && each <= 'z') || (each >= 'A' && each <= 'Z') ||
           (each >= '0' && each <= '9') ||
           std::string_view("_-./:").find(each) != std::string::npos;
  });
  // What is no text when it is read back stays quoted.
  const bool looks_typed = !text.empty() && (text[0] == '-' || (text[0] >= '0' && text[0] <= '9'));
  return plain && (!looks_typed || text.find(':') != std::string::npos) ? text : dump(Json(text));
}

// A default as it would be written in YAML, on one line.
template <class T>
std::string value_text(const T& value) {
  if constexpr (std::is_same_v<T, Duration>) {
    return duration_text(value.ms);
  } else if constexpr (std::is_same_v<T, std::string>) {
    return text_text(value);
  } else if constexpr (json_detail::is_vector<T>::value) {
    std::string list;
    for (const auto& item : value) list += (list.empty() ? "" : ", ") + value_text(item);
    return "[" + list + "]";
  } else if constexpr (json_detail::is_map<T>::value) {
    std::string map;
    for (const auto& [key, item] : value) {
      map += (map.empty() ? "" : ", ") + text_text(key) + ": " + value_text(item);
    }
    return "{" + map + "}";
  } else {
    return dump(to_json_value(value));
  }
}

// Words where an empty pair of quotes or brackets would be overlooked.
template <class T>
std::string default_text(const T& value) {
  if constexpr (json_detail::is_vector<T>::value || json_detail::is_map<T>::value) {
    return value.empty() ? "none" : "`" + value_text(value) + "`";
  } else if constexpr (HasFields<T>) {
    return "see there";
  } else if constexpr (std::is_same_v<T, std::string>) {
    return value.empty() ? "empty" : "`" + value_text(value) + "`";
  } else {
    return "`" + value_text(value) + "`";
  }
}

// The text between | and | must not end the cell.
std::string cell(std::string_view text) {
  std::string escaped;
  for (const char each : text) {
    if (each == '|') escaped += '\\';
    escaped += each;
  }
  return escaped;
}

void add_row(const std::string& key, const std::string& value, const char* help,
             std::string& page) {
  page += "| `" + key + "` | " + cell(value) + " | " + cell(help) + " |\n";
}

constexpr const char* table_head = "| key | default | meaning |\n|---|---|---|\n";

// Sections of the service are spelt out by dotted keys, as --set takes them; parts of a playbook
// have tables of their own.
template <HasFields T>
void add_rows(const T& value, const std::string& prefix, std::string& page) {
  for_each_field<T>([&](const auto& each) {
    const auto& member = value.*each.member;
    using Member = std::remove_cvref_t<decltype(member)>;
    if constexpr (HasFields<Member> && std::is_same_v<T, ServiceConfig>) {
      add_rows(member, prefix + each.name + ".", page);
    } else {
      add_row(prefix + each.name, default_text(member), each.help, page);
    }
  });
}

template <HasFields T>
void add_table(const std::string& title, const std::string& text, std::string& page) {
  page += "\n" + title + "\n\n";
  if (!text.empty()) page += text + "\n\n";
  page += table_head;
  add_rows(T{}, "", page);
}

constexpr const char* introduction = R"(# Configuration

Made from the field lists in the code; `selfheal config show --defaults` prints the same defaults.

The file is YAML (or JSON) and names only what differs from the defaults. An unknown key, a key
given twice and a value of the wrong type are errors that name file, line and key. Order: defaults,
file, `--set key=value`, switches in the environment; later ones win. `selfheal config check FILE`
reads everything that a start would read.

A duration is `250ms`, `30s`, `5m`, `2h`, `7d`, or a bare number of seconds. Paths in the file are
relative to its folder, those of `--set` to the current one. Where `playbooks_dir`, `policies_file`
or `graph_file` is not given and its default is not there, there is none.

## Switches in the environment

Each reads `True`, `False`, `true`, `false`, `1` or `0`; empty is as good as not set.

| variable | meaning |
|---|---|
| `SELF_HEAL_OBSERVE_ONLY` | true: `mode: observe`, whatever the others say |
| `SELF_HEAL_EXECUTE` | true: `mode: execute`; false: `mode: dry_run` |
| `SELF_HEAL_PREDICTIVE_SHADOW` | `predictive_shadow` |
| `SELF_HEAL_AUTOPROVE_LOW_RISK` | `approval.auto_approve_low_risk` |

## The service

)";

constexpr const char* playbook_text =
    "One file each in `playbooks_dir`, named as the playbook. Every string of a step, a condition "
    "or a\nrollback may hold `{{service}}`, `{{resource.kind}}`, `{{resource.id}}`, "
    "`{{incident.id}}` and\n`{{labels.X}}`; any other variable is an error at load.";

constexpr const char* policies_text =
    "A list in `policies_file`; the first whose action and conditions all match decides, and where "
    "none\ndoes a person is asked. Conditions: `{impact: [low, medium], blast_radius: {lte: 2}, "
    "change_window: True}`.";

void add_comment(const std::string& indent, const std::string& help, std::string& page) {
  page += indent + "# " + help + "\n";
}

// Each comment stands above its key: behind it, long ones would not fit.
template <HasFields T>
void add_yaml(const T& value, const std::string& indent, std::string& page) {
  for_each_field<T>([&](const auto& each) {
    const auto& member = value.*each.member;
    if (*each.help != '\0') add_comment(indent, each.help, page);
    page += indent + each.name + ":";
    if constexpr (HasFields<std::remove_cvref_t<decltype(member)>>) {
      page += "\n";
      add_yaml(member, indent + "  ", page);
    } else {
      page += " " + value_text(member) + "\n";
    }
    if (indent.empty()) page += "\n";
  });
}

}  // namespace

std::string configuration_markdown() {
  std::string page = introduction;
  page += table_head;
  add_rows(ServiceConfig{}, "", page);
  add_table<TroubleRule>("### An entry of `predictor.rules`", "", page);
  add_table<ChangeWindow>("### An entry of `change_windows`", "", page);
  add_table<Playbook>("## A playbook", playbook_text, page);
  add_table<Scope>("### `scope`", "", page);
  add_table<PlaybookPrior>("### `prior`", "", page);
  add_table<Step>("### A step",
                  "Exactly one of `run`, `http`, `publish`, `systemd`, `wait` and "
                  "`wait_for`.",
                  page);
  add_table<Condition>("### A condition",
                       "Exactly one of `metric`, `promql`, `http`, `tcp` and `run`.", page);
  add_table<Program>("### `run`", "", page);
  add_table<HttpCall>("### `http`", "", page);
  add_table<PublishCall>("### `publish`", "", page);
  add_table<SystemdUnit>("### `systemd`", "Kept and shown as the `run` that it stands for.", page);
  add_table<PromqlQuery>("### `promql`", "", page);
  add_table<TcpTarget>("### `tcp`", "", page);
  add_table<Policy>("## Policies", policies_text, page);
  add_table<GraphSettings>("## The graph", "In `graph_file`.", page);
  add_table<ServiceEntry>("### An entry of `services`", "", page);
  add_table<ResourceEntry>("### An entry of `resources`", "", page);
  return page;
}

std::string service_yaml() {
  std::string page =
      "# Every key with its default; only what differs need be given. docs/configuration.md has\n"
      "# the forms of rules, windows, playbooks, policies and the graph.\n\n";
  add_yaml(ServiceConfig{}, "", page);
  // One empty line between the keys, none at the end.
  page.pop_back();
  return page;
}

}  // namespace selfheal
