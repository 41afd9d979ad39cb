#pragma once
// Numbers in texts. Pure and thread-safe; the locale plays no part.
#include <charconv>
#include <optional>
#include <string_view>

namespace selfheal {

// The whole text as one number, or nothing: "5s" is no 5, "" is no 0, " 5" and "+5" are none
// either, and what does not fit the type is no number of it. A double may be infinite or NaN.
template <class T>
std::optional<T> parse_number(std::string_view text) {
  T value{};
  const char* const last = text.data() + text.size();
  const auto [end, failure] = std::from_chars(text.data(), last, value);
  if (failure != std::errc() || end != last) return std::nullopt;
  return value;
}

}  // namespace selfheal
