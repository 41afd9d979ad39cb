#pragma once
// The latest values of the metrics that conditions ask for, of services with an open incident. Fed
// by the predictor through the token, kept by each stage for itself. Soft: learnt from raw signals.
#include <map>
#include <string>
#include <string_view>

#include "decision/playbook.hpp"
#include "decision/table.hpp"
#include "decision/token.hpp"

namespace selfheal {

struct ObservedValue {
  double value = 0;
  TimeMs time_ms = 0;
  static constexpr auto fields() {
    return std::tuple{field("value", &ObservedValue::value),
                      field("time_ms", &ObservedValue::time_ms)};
  }
  bool operator==(const ObservedValue&) const = default;
};

class ObservedValues {
 public:
  explicit ObservedValues(const std::string& stage) : values_(stage + "/observed/") {}

  void take(const Token& token);
  void clear() { values_.clear(); }
  void forget_service(const std::string& service);
  // Null where none was seen since the incident opened.
  const ObservedValue* find(const std::string& service, const std::string& metric) const;

  void save(PageSink& sink) { values_.save(sink); }
  bool load(std::string_view key, std::string_view value) { return values_.load(key, value); }

 private:
  Table<ObservedValue> values_;
};

// A metric condition against what was observed no longer than `age_ms_max` before `now_ms`. A value
// that nobody has seen fails: acting on ignorance is worse than asking.
struct ConditionView {
  bool holds = false;
  std::string value;  // as text; "unknown" where none was seen
  TimeMs time_ms = 0;
};
ConditionView look_at(const Condition& condition, const std::string& service,
                      const ObservedValues& values, TimeMs now_ms, DurationMs age_ms_max);

constexpr DurationMs observed_age_ms_max = 5 * one_minute_ms;

}  // namespace selfheal
