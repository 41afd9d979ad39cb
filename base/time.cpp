#include "base/time.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>

namespace selfheal {
namespace {

// Days since 1970-01-01 of a proleptic Gregorian date (the usual era arithmetic).
std::int64_t days_of(std::int64_t year, unsigned month, unsigned day) {
  year -= month <= 2;
  const std::int64_t era = (year >= 0 ? year : year - 399) / 400;
  const auto year_of_era = static_cast<unsigned>(year - era * 400);
  const unsigned day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  const unsigned day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146097 + static_cast<std::int64_t>(day_of_era) - 719468;
}

struct Date {
  std::int64_t year;
  unsigned month;
  unsigned day;
};

Date date_of(std::int64_t days) {
  days += 719468;
  const std::int64_t era = (days >= 0 ? days : days - 146096) / 146097;
  const auto day_of_era = static_cast<unsigned>(days - era * 146097);
  const unsigned year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const unsigned day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const unsigned shifted = (5 * day_of_year + 2) / 153;
  const unsigned month = shifted < 10 ? shifted + 3 : shifted - 9;
  return {static_cast<std::int64_t>(year_of_era) + era * 400 + (month <= 2), month,
          day_of_year - (153 * shifted + 2) / 5 + 1};
}

// Reads exactly `width` digits at `at`, or -1.
int digits(std::string_view text, std::size_t at, std::size_t width) {
  if (at + width > text.size()) return -1;
  int value = 0;
  for (std::size_t i = at; i < at + width; ++i) {
    if (text[i] < '0' || text[i] > '9') return -1;
    value = value * 10 + (text[i] - '0');
  }
  return value;
}

Error bad_time(std::string_view text) {
  return {ErrorCode::invalid, "'" + std::string(text.substr(0, 64)) +
                                  "' is not a time such as 2026-11-22T09:30:00.123Z"};
}

// The offset in minutes that `zone` names, or an error.
Result<int> zone_minutes(std::string_view zone, std::string_view whole) {
  if (zone.empty() || zone == "Z" || zone == "z") return 0;
  const int hours = digits(zone, 1, 2);
  const std::size_t minute_at = zone.size() == 6 ? 4 : 3;
  const int minutes = digits(zone, minute_at, 2);
  const bool form = (zone[0] == '+' || zone[0] == '-') &&
                    ((zone.size() == 6 && zone[3] == ':') || zone.size() == 5);
  if (!form || hours < 0 || hours > 23 || minutes < 0 || minutes > 59) return bad_time(whole);
  return (zone[0] == '-' ? -1 : 1) * (hours * 60 + minutes);
}

}  // namespace

std::string format_rfc3339(TimeMs time_ms) {
  constexpr TimeMs first = -62135596800000;  // 0001-01-01
  constexpr TimeMs last = 253402300799999;   // the last millisecond of 9999
  time_ms = std::clamp(time_ms, first, last);
  std::int64_t days = time_ms / one_day_ms;
  std::int64_t rest = time_ms % one_day_ms;
  if (rest < 0) {
    rest += one_day_ms;
    --days;
  }
  const Date date = date_of(days);
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ",
                static_cast<int>(date.year), date.month, date.day,
                static_cast<int>(rest / one_hour_ms), static_cast<int>(rest / 60000 % 60),
                static_cast<int>(rest / 1000 % 60), static_cast<int>(rest % 1000));
  return text.data();
}

Result<TimeMs> parse_rfc3339(std::string_view text) {
  const int year = digits(text, 0, 4);
  const int month = digits(text, 5, 2);
  const int day = digits(text, 8, 2);
  const int hour = digits(text, 11, 2);
  const int minute = digits(text, 14, 2);
  const int second = digits(text, 17, 2);
  if (year < 1 || month < 1 || month > 12 || day < 1 || day > 31 || hour < 0 || hour > 23 ||
      minute < 0 || minute > 59 || second < 0 || second > 60 || text[4] != '-' || text[7] != '-' ||
      (text[10] != 'T' && text[10] != 't' && text[10] != ' ') || text[13] != ':' ||
      text[16] != ':') {
    return bad_time(text);
  }
  std::size_t at = 19;
  int milliseconds = 0;
  if (at < text.size() && text[at] == '.') {
    ++at;
    int scale = 100;
    const std::size_t start = at;
    for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
      milliseconds += (text[at] - '0') * scale;
      scale /= 10;
    }
    if (at == start) return bad_time(text);
  }
  const Result<int> zone = zone_minutes(text.substr(at), text);
  if (!zone) return zone.error();
  const std::int64_t days = days_of(year, static_cast<unsigned>(month), static_cast<unsigned>(day));
  return days * one_day_ms + hour * one_hour_ms + minute * 60000LL + second * 1000LL +
         milliseconds - *zone * 60000LL;
}

Result<DurationMs> parse_duration(std::string_view text) {
  constexpr double longest_ms = 10.0 * 365 * static_cast<double>(one_day_ms);
  const auto bad = [&] {
    return Error{ErrorCode::invalid, "'" + std::string(text.substr(0, 64)) +
                                         "' is not a duration such as 250ms, 30s, 5m, 2h or 7d"};
  };
  double number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc() || !(number >= 0)) return bad();
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  double unit_ms = 0;
  if (unit == "ms") unit_ms = 1;
  if (unit == "s" || unit.empty()) unit_ms = 1000;
  if (unit == "m") unit_ms = 60000;
  if (unit == "h") unit_ms = static_cast<double>(one_hour_ms);
  if (unit == "d") unit_ms = static_cast<double>(one_day_ms);
  if (unit_ms == 0 || number * unit_ms > longest_ms) return bad();
  return static_cast<DurationMs>(std::llround(number * unit_ms));
}

std::string format_duration(DurationMs duration_ms) {
  if (duration_ms % 1000 != 0) return std::to_string(duration_ms) + "ms";
  return std::to_string(duration_ms / 1000) + "s";
}

}  // namespace selfheal
