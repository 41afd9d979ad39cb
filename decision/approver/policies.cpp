#include "decision/approver/policies.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "base/check.hpp"
#include "base/parse_number.hpp"

namespace selfheal {
namespace {

bool equal(const std::string& fact, const std::string& operand) {
  const std::optional<double> left = parse_number<double>(fact);
  const std::optional<double> right = parse_number<double>(operand);
  if (left && right) return *left == *right;
  return fact == operand;
}

bool matches(const PolicyCondition& condition, const PolicyFacts& facts) {
  const auto found = facts.find(condition.field_name);
  // A policy over something that this proposal does not have cannot allow it.
  if (found == facts.end()) return false;
  const std::string& fact = found->second;
  if (condition.op == "in") {
    return std::any_of(condition.operands.begin(), condition.operands.end(),
                       [&](const std::string& operand) { return equal(fact, operand); });
  }
  if (condition.operands.size() != 1) return false;
  const std::string& operand = condition.operands[0];
  if (condition.op == "eq") return equal(fact, operand);
  if (condition.op == "ne") return !equal(fact, operand);
  const std::optional<double> left = parse_number<double>(fact);
  const std::optional<double> right = parse_number<double>(operand);
  const Result<Comparison> comparison = parse_comparison(condition.op);
  CHECK(comparison, "a policy with an unknown operator passed validation");
  return left && right && holds(*comparison, *left, *right);
}

// Minutes since midnight of "hh:mm"; validation has checked the form.
int minutes_of(const std::string& text) {
  int hours = 0;
  int minutes = 0;
  std::from_chars(text.data(), text.data() + 2, hours);
  std::from_chars(text.data() + 3, text.data() + 5, minutes);
  return hours * 60 + minutes;
}

// What the clock on the wall shows, as if it were UTC.
TimeMs local_ms(const Settings& settings, const ChangeWindow& window, TimeMs time_ms) {
  if (window.time_zone == "UTC") return time_ms;
  const TimeZone* zone = find_time_zone(settings, window.time_zone);
  CHECK(zone != nullptr && !zone->changes.empty(), "a window without its zone passed validation");
  const auto next =
      std::upper_bound(zone->changes.begin(), zone->changes.end(), time_ms,
                       [](TimeMs time, const ZoneChange& each) { return time < each.from_ms; });
  const ZoneChange& current = next == zone->changes.begin() ? *next : *std::prev(next);
  return time_ms + current.offset_seconds * one_second_ms;
}

bool is_open(const ChangeWindow& window, TimeMs time_ms) {
  // 1970-01-01 was a Thursday.
  constexpr std::array<const char*, 7> days = {"thu", "fri", "sat", "sun", "mon", "tue", "wed"};
  const char* const day = days[static_cast<std::size_t>(time_ms / one_day_ms % 7)];
  const bool on_day = window.days.empty() ||
                      std::find(window.days.begin(), window.days.end(), day) != window.days.end();
  const auto minute = static_cast<int>(time_ms % one_day_ms / 60000);
  return on_day && minute >= minutes_of(window.from) && minute < minutes_of(window.to);
}

}  // namespace

const std::vector<std::string>& policy_fields() {
  static const std::vector<std::string> names = {
      "impact", "blast_radius", "confidence", "change_window", "proactive",    "service",
      "code",   "playbook",     "risk",       "tier",          "resource_kind"};
  return names;
}

PolicyRuling rule(const std::vector<Policy>& policies, const std::string& action,
                  const PolicyFacts& facts) {
  for (const Policy& policy : policies) {
    if (policy.action != action) continue;
    const bool all =
        std::all_of(policy.conditions.begin(), policy.conditions.end(),
                    [&](const PolicyCondition& condition) { return matches(condition, facts); });
    if (all) return {policy.decision, policy_hash(policy)};
  }
  return {};
}

bool in_change_window(const Settings& settings, TimeMs time_ms) {
  const std::vector<ChangeWindow>& windows = settings.change_windows;
  return windows.empty() ||
         std::any_of(windows.begin(), windows.end(), [&](const ChangeWindow& window) {
           return is_open(window, local_ms(settings, window, time_ms));
         });
}

TimeMs next_change_window_ms(const Settings& settings, TimeMs time_ms) {
  constexpr DurationMs minute_ms = 60000;
  const TimeMs first = (time_ms + minute_ms - 1) / minute_ms * minute_ms;
  for (TimeMs at = first; at < first + 8 * one_day_ms; at += minute_ms) {
    if (in_change_window(settings, at)) return at;
  }
  return 0;
}

}  // namespace selfheal
