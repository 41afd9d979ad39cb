#include "decision/observed_values.hpp"

#include <algorithm>
#include <vector>

namespace selfheal {
namespace {

// Services and metric names cannot hold a line feed: the decoder refuses control characters.
std::string key_of(const std::string& service, const std::string& metric) {
  return service + "\n" + metric;
}

}  // namespace

void ObservedValues::take(const Token& token) {
  for (const WatchedSample& sample : token.watched) {
    ObservedValue& value = values_.at(key_of(sample.service, sample.metric));
    // A sender's clock that is ahead must neither hide what others say later nor make what was
    // observed before a run look like something from after it.
    const TimeMs time_ms = std::min(sample.time_ms, token.cut.tick_ms);
    if (time_ms >= value.time_ms) value = {sample.value, time_ms};
  }
}

void ObservedValues::forget_service(const std::string& service) {
  std::vector<std::string> gone;
  const std::string prefix = service + "\n";
  for (auto row = values_.rows().lower_bound(prefix);
       row != values_.rows().end() && row->first.starts_with(prefix); ++row) {
    gone.push_back(row->first);
  }
  for (const std::string& key : gone) values_.erase(key);
}

const ObservedValue* ObservedValues::find(const std::string& service,
                                          const std::string& metric) const {
  return values_.find(key_of(service, metric));
}

ConditionView look_at(const Condition& condition, const std::string& service,
                      const ObservedValues& values, TimeMs now_ms, DurationMs age_ms_max) {
  const std::string& subject = condition.service.empty() ? service : condition.service;
  const ObservedValue* seen = values.find(subject, condition.metric);
  if (seen == nullptr || seen->time_ms < now_ms - age_ms_max) return {false, "unknown", 0};
  const Result<Comparison> comparison = parse_comparison(condition.op);
  CHECK(comparison, "a condition with an unknown operator passed validation");
  return {holds(*comparison, seen->value, condition.value), dump(Json(seen->value)), seen->time_ms};
}

}  // namespace selfheal
