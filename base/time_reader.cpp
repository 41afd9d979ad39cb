#include "base/time_reader.hpp"

#include <cstring>
#include <optional>
#include <string>

namespace selfheal {
namespace {

bool is_digit(char byte) {
  return byte >= '0' && byte <= '9';
}

// "07Z" or "07.25Z", whatever the number of decimals; everything else is left to the whole reader.
std::optional<DurationMs> seconds_ms(std::string_view text) {
  constexpr std::size_t shortest = 3;
  if (text.size() < shortest || text.back() != 'Z') return {};
  if (text[0] < '0' || text[0] > '5' || !is_digit(text[1])) return {};
  DurationMs result = ((text[0] - '0') * 10 + (text[1] - '0')) * one_second_ms;
  if (text.size() == shortest) return result;
  if (text[2] != '.' || text.size() == shortest + 1) return {};
  DurationMs scale = one_second_ms / 10;
  for (const char each : text.substr(shortest, text.size() - shortest - 1)) {
    if (!is_digit(each)) return {};
    result += (each - '0') * scale;
    scale /= 10;
  }
  return result;
}

}  // namespace

Result<TimeMs> TimeReader::read(std::string_view text) {
  const bool known =
      text.size() > minute_bytes && std::memcmp(text.data(), minute_.data(), minute_bytes) == 0;
  if (known) {
    if (const auto rest = seconds_ms(text.substr(minute_bytes))) return minute_ms_ + *rest;
  }
  Result<TimeMs> parsed = parse_rfc3339(text);
  if (parsed && !known) learn_minute(text);
  return parsed;
}

void TimeReader::learn_minute(std::string_view text) {
  const std::string_view minute = text.substr(0, minute_bytes);
  const Result<TimeMs> begin = parse_rfc3339(std::string(minute) + "00Z");
  if (!begin) return;
  std::memcpy(minute_.data(), minute.data(), minute_bytes);
  minute_ms_ = *begin;
}

}  // namespace selfheal
