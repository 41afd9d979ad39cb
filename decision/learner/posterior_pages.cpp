#include "decision/learner/posterior_pages.hpp"

#include "base/check.hpp"
#include "topics/json_codec.hpp"

namespace selfheal {
namespace {

Json counts_to_json(const Counts& counts) {
  return Json::array({counts.successes, counts.failures, counts.last_ms});
}

Counts counts_from_json(const Json& json) {
  return {json.at(0).get<double>(), json.at(1).get<double>(), json.at(2).get<std::int64_t>()};
}

Json narrow_to_json(const ArmKey& key, const NarrowRow& row) {
  return Json::array({key.service, key.diagnosis, key.playbook, counts_to_json(row.counts),
                      row.recovery_seconds_sum, row.recovery_weight, row.floored_until_ms,
                      row.success_total, row.failure_total, row.failure_streak});
}

void narrow_from_json(const Json& json, Posteriors& posteriors) {
  NarrowRow row;
  row.counts = counts_from_json(json.at(3));
  row.recovery_seconds_sum = json.at(4).get<double>();
  row.recovery_weight = json.at(5).get<double>();
  row.floored_until_ms = json.at(6).get<std::int64_t>();
  row.success_total = json.at(7).get<std::uint64_t>();
  row.failure_total = json.at(8).get<std::uint64_t>();
  row.failure_streak = json.at(9).get<std::uint32_t>();
  posteriors.set(ArmKey{json.at(0).get<std::string>(), json.at(1).get<std::string>(),
                        json.at(2).get<std::string>()},
                 row);
}

void wide_from_json(const Json& json, Posteriors& posteriors) {
  WideRow row;
  row.counts = counts_from_json(json.at(2));
  row.shifts = json.at(3).get<std::array<double, shift_count>>();
  row.information = json.at(4).get<std::array<double, shift_count>>();
  posteriors.set(WideKey{json.at(0).get<std::string>(), json.at(1).get<std::string>()}, row);
}

}  // namespace

void save_arm(const Posteriors& posteriors, const ArmKey& key, const std::string& prefix,
              PageSink& sink) {
  if (const auto narrow = posteriors.narrow_rows().find(key);
      narrow != posteriors.narrow_rows().end()) {
    sink.put(prefix + "arm/" + key.service + "\n" + key.diagnosis + "\n" + key.playbook,
             dump(narrow_to_json(key, narrow->second)));
  }
  const WideKey wide_key{key.diagnosis, key.playbook};
  if (const auto wide = posteriors.wide_rows().find(wide_key);
      wide != posteriors.wide_rows().end()) {
    const Json json = Json::array({key.diagnosis, key.playbook, counts_to_json(wide->second.counts),
                                   wide->second.shifts, wide->second.information});
    sink.put(prefix + "wide/" + key.diagnosis + "\n" + key.playbook, dump(json));
  }
  if (const auto playbook = posteriors.playbook_rows().find(key.playbook);
      playbook != posteriors.playbook_rows().end()) {
    const Json json = Json::array({key.playbook, counts_to_json(playbook->second.counts)});
    sink.put(prefix + "playbook/" + key.playbook, dump(json));
  }
}

bool load_arm(Posteriors& posteriors, const std::string& prefix, std::string_view page_key,
              std::string_view value) {
  if (!page_key.starts_with(prefix)) return false;
  const std::string_view kind = page_key.substr(prefix.size());
  const Result<Json> json = parse_json(value);
  CHECK(json, "a saved posterior does not decode: " + std::string(page_key));
  try {
    if (kind.starts_with("arm/")) narrow_from_json(*json, posteriors);
    if (kind.starts_with("wide/")) wide_from_json(*json, posteriors);
    if (kind.starts_with("playbook/")) {
      posteriors.set(json->at(0).get<std::string>(), PlaybookRow{counts_from_json(json->at(1))});
    }
  } catch (const Json::exception& failure) {
    CHECK(false, "a saved posterior has another form: " + std::string(failure.what()));
  }
  return true;
}

void learn_from(Posteriors& posteriors, const Learned& learned) {
  Trial trial;
  trial.success = learned.success;
  trial.seconds_to_recover = learned.seconds_to_recover;
  trial.context_free_mean = learned.context_free_mean;
  trial.context = {static_cast<int>(learned.time_of_day), static_cast<int>(learned.load),
                   learned.proactive};
  posteriors.learn(learned.learned_ms, {learned.service, learned.code, learned.playbook}, trial);
}

}  // namespace selfheal
