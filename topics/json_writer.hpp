#pragma once
// Canonical JSON written straight into a string: the very bytes that json_codec.hpp's trees give
// (keys sorted, no spaces, doubles in their shortest exact form), without a tree. Hashes and
// signatures rest on these bytes; a test holds both ways to each other.
#include <algorithm>
#include <array>
#include <charconv>
#include <concepts>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/fields.hpp"
#include "topics/json_shapes.hpp"

namespace selfheal {

// Quoted and escaped; what is not UTF-8 is replaced by U+FFFD.
void append_json_text(std::string& out, std::string_view text);
// "null" for what is not finite.
void append_json_double(std::string& out, double value);

inline void append_json_integer(std::string& out, std::integral auto value) {
  std::array<char, 24> digits;
  const auto written = std::to_chars(digits.data(), digits.data() + digits.size(), value);
  out.append(digits.data(), static_cast<std::size_t>(written.ptr - digits.data()));
}

// Writes the members of one object; the caller names them in sorted order.
class JsonObjectWriter {
 public:
  explicit JsonObjectWriter(std::string& out) : out_(out) { out_ += '{'; }
  // Begins a member; its value comes next. Field names need no escaping.
  std::string& member(std::string_view name) {
    if (!first_) out_ += ',';
    first_ = false;
    out_ += '"';
    out_ += name;
    out_ += "\":";
    return out_;
  }
  void end() { out_ += '}'; }

 private:
  std::string& out_;
  bool first_ = true;
};

template <class T>
void append_json(std::string& out, const T& value);

// The members of `value`, all but the one named.
template <HasFields T>
void append_json_members(JsonObjectWriter& object, const T& value,
                         std::string_view except = std::string_view()) {
  [&]<std::size_t... place>(std::index_sequence<place...>) {
    const auto write = [&](const auto& each) {
      if (!except.empty() && except == each.name) return;
      append_json(object.member(each.name), value.*each.member);
    };
    (write(std::get<json_detail::sorted_fields<T>[place]>(T::fields())), ...);
  }
  (std::make_index_sequence<json_detail::field_count<T>>());
}

template <class T>
void append_json(std::string& out, const T& value) {
  if constexpr (HasFields<T>) {
    JsonObjectWriter object(out);
    append_json_members(object, value);
    object.end();
  } else if constexpr (json_detail::is_vector<T>::value) {
    out += '[';
    bool first = true;
    for (const auto& item : value) {
      if (!first) out += ',';
      first = false;
      append_json(out, item);
    }
    out += ']';
  } else if constexpr (json_detail::is_map<T>::value) {
    out += '{';
    bool first = true;
    for (const auto& [key, item] : value) {
      if (!first) out += ',';
      first = false;
      append_json_text(out, key);
      out += ':';
      append_json(out, item);
    }
    out += '}';
  } else if constexpr (std::is_same_v<T, Duration>) {
    append_json_text(out, format_duration(value.ms));
  } else if constexpr (std::is_same_v<T, nlohmann::json>) {
    out += value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  } else if constexpr (std::is_same_v<T, bool>) {
    out += value ? "true" : "false";
  } else if constexpr (std::is_floating_point_v<T>) {
    append_json_double(out, value);
  } else if constexpr (std::is_integral_v<T>) {
    append_json_integer(out, value);
  } else {
    static_assert(std::is_convertible_v<const T&, std::string_view>,
                  "a field type without a JSON form");
    append_json_text(out, value);
  }
}

}  // namespace selfheal
