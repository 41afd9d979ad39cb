#pragma once
// JSON derived from field lists. Canonical: keys sorted, no spaces, doubles in their shortest exact
// form, so equal structs give equal bytes. Reading ignores unknown names (a newer writer may add
// fields) and takes defaults for missing ones; a wrong type is an error that names the field.
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/fields.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "topics/json_reader.hpp"
#include "topics/json_writer.hpp"

namespace selfheal {

using Json = nlohmann::json;

template <class T>
Json to_json_value(const T& value) {
  if constexpr (HasFields<T>) {
    Json object = Json::object();
    for_each_field<T>(
        [&](const auto& each) { object[each.name] = to_json_value(value.*each.member); });
    return object;
  } else if constexpr (json_detail::is_vector<T>::value) {
    Json array = Json::array();
    for (const auto& item : value) array.push_back(to_json_value(item));
    return array;
  } else if constexpr (json_detail::is_map<T>::value) {
    Json object = Json::object();
    for (const auto& [key, item] : value) object[key] = to_json_value(item);
    return object;
  } else if constexpr (std::is_same_v<T, Duration>) {
    return Json(format_duration(value.ms));
  } else {
    return Json(value);
  }
}

// Returns an empty text, or what is wrong and where ("checks[2].value: expected a number").
template <class T>
std::string from_json_value(const Json& json, T& value) {
  if constexpr (HasFields<T>) {
    if (!json.is_object()) return ": expected an object";
    std::string wrong;
    for_each_field<T>([&](const auto& each) {
      if (!wrong.empty()) return;
      const auto found = json.find(each.name);
      if (found == json.end()) return;
      wrong = from_json_value(*found, value.*each.member);
      if (!wrong.empty()) wrong = "." + std::string(each.name) + wrong;
    });
    return wrong;
  } else if constexpr (json_detail::is_vector<T>::value) {
    if (!json.is_array()) return ": expected a list";
    value.clear();
    for (const Json& item : json) {
      typename T::value_type element{};
      const std::string wrong = from_json_value(item, element);
      if (!wrong.empty()) return "[" + std::to_string(value.size()) + "]" + wrong;
      value.push_back(std::move(element));
    }
    return {};
  } else if constexpr (json_detail::is_map<T>::value) {
    if (!json.is_object()) return ": expected an object";
    value.clear();
    for (const auto& [key, item] : json.items()) {
      const std::string wrong = from_json_value(item, value[key]);
      if (!wrong.empty()) return "." + key + wrong;
    }
    return {};
  } else if constexpr (std::is_same_v<T, Duration>) {
    if (!json.is_string()) return ": expected a duration such as \"30s\"";
    const Result<DurationMs> duration = parse_duration(json.get_ref<const std::string&>());
    if (!duration) return ": " + duration.error().context;
    value.ms = *duration;
    return {};
  } else if constexpr (std::is_same_v<T, Json>) {
    value = json;
    return {};
  } else if constexpr (std::is_same_v<T, bool>) {
    if (!json.is_boolean()) return ": expected true or false";
    value = json.get<bool>();
    return {};
  } else if constexpr (std::is_floating_point_v<T>) {
    if (!json.is_number()) return ": expected a number";
    value = json.get<T>();
    return {};
  } else if constexpr (std::is_integral_v<T>) {
    if (!json.is_number_integer()) return ": expected a whole number";
    if constexpr (std::is_unsigned_v<T>) {
      if (!json.is_number_unsigned()) return ": expected a number that is not negative";
    }
    value = json.get<T>();
    return {};
  } else {
    static_assert(std::is_same_v<T, std::string>, "a field type without a JSON form");
    if (!json.is_string()) return ": expected text";
    value = json.get<std::string>();
    return {};
  }
}

template <HasFields T>
std::string to_json_text(const T& value) {
  // Invalid UTF-8 is replaced, never thrown: texts come from outside.
  std::string text;
  append_json(text, value);
  return text;
}

inline std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// Parses text; at most `depth_max` levels, because nested input costs stack.
Result<Json> parse_json(std::string_view text);

template <HasFields T>
Result<T> from_json_text(std::string_view text) {
  if (T plain{}; read_json_text(text, plain)) return plain;
  // Not certain without a tree, or wrong: the tree decides, and words what is wrong.
  Result<Json> json = parse_json(text);
  if (!json) return json.error();
  T value{};
  const std::string wrong = from_json_value(*json, value);
  if (!wrong.empty()) return Error{ErrorCode::invalid, wrong};
  return value;
}

}  // namespace selfheal
