#pragma once
// Objects whose members are not the fields of one struct: read by a table of names.
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/hash.hpp"
#include "topics/json_codec.hpp"

namespace selfheal {

template <class Into>
using Named = std::pair<std::string_view, bool (*)(JsonReader&, Into&)>;

// Reads the named members of an object into `into`, each at most once. `found` gets a bit a name.
template <class Into, std::size_t count>
bool read_named(JsonReader& in, Into& into, std::uint64_t& found,
                const std::array<Named<Into>, count>& names) {
  std::size_t next = 0;
  return in.members([&](std::string_view name) {
    for (std::size_t tried = 0; tried < count; ++tried) {
      const std::size_t place = (next + tried) % count;
      if (names[place].first != name) continue;
      if ((found >> place & 1) != 0) return false;
      found |= std::uint64_t{1} << place;
      next = place + 1;
      return names[place].second(in, into);
    }
    return in.skip_value();
  });
}

// 16 hex digits in lower case, as they are written; anything else is left to the tree.
inline bool read_hex(JsonReader& in, std::uint64_t& value) {
  std::string text;
  if (!in.text(text) || text.size() != 16) return false;
  value = 0;
  for (const char c : text) {
    const bool decimal = c >= '0' && c <= '9';
    if (!decimal && (c < 'a' || c > 'f')) return false;
    value = value << 4 | static_cast<unsigned>(decimal ? c - '0' : c - 'a' + 10);
  }
  return true;
}

// A value of that very type; throws Json::exception. The library would take any number, and one
// beyond the type for whatever the processor makes of it.
template <class T>
T exactly(const Json& json) {
  T value{};
  const std::string wrong = from_json_value(json, value);
  if (!wrong.empty()) throw Json::other_error::create(501, wrong, &json);
  return value;
}

// 16 hex digits by the tree; throws Json::exception.
inline std::uint64_t hex_number(const Json& json) {
  const Result<std::string> bytes = from_hex(json.get<std::string>());
  if (!bytes || bytes->size() != 8)
    throw Json::other_error::create(501, "not 16 hex digits", &json);
  std::uint64_t value = 0;
  for (const char byte : *bytes) value = value << 8 | static_cast<unsigned char>(byte);
  return value;
}

}  // namespace selfheal
