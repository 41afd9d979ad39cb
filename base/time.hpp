#pragma once
// Time as milliseconds since 1970 UTC, and its text forms. There is no now() here: time enters a
// decision only as a parameter.
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace selfheal {

using TimeMs = std::int64_t;
using DurationMs = std::int64_t;

constexpr DurationMs one_second_ms = 1000;
constexpr DurationMs one_minute_ms = 60 * one_second_ms;
constexpr DurationMs one_hour_ms = 3600 * one_second_ms;
constexpr DurationMs one_day_ms = 24 * one_hour_ms;

// "2026-11-22T09:30:00.123Z". Years 1 to 9999; others are clamped.
std::string format_rfc3339(TimeMs time_ms);

// Accepts "T" or a space between date and time, fractions of any length (truncated to ms), and
// "Z", "+hh:mm" or nothing (taken as UTC).
Result<TimeMs> parse_rfc3339(std::string_view text);

// "250ms", "30s", "5m", "2h", "7d" or a bare number of seconds; at most 10 years.
Result<DurationMs> parse_duration(std::string_view text);

// A length of time in a configuration: written "30s", read as parse_duration does.
struct Duration {
  DurationMs ms = 0;
  constexpr auto operator<=>(const Duration&) const = default;
};

// The shortest exact form that parse_duration reads: "90s", "1500ms".
std::string format_duration(DurationMs duration_ms);

}  // namespace selfheal
