#include "decision/learner/posterior_pages.hpp"

#include <array>

#include "base/check.hpp"
#include "topics/json_named.hpp"

namespace selfheal {
namespace {

Json counts_to_json(const Counts& counts) {
  return Json::array({counts.successes, counts.failures, counts.last_ms});
}

// These throw Json::exception on a wrong form; load_arm converts.
Counts counts_from_json(const Json& json) {
  return {exactly<double>(json.at(0)), exactly<double>(json.at(1)),
          exactly<std::int64_t>(json.at(2))};
}

std::array<double, shift_count> shifts_from_json(const Json& json) {
  std::array<double, shift_count> shifts{};
  if (json.size() != shifts.size()) throw Json::other_error::create(501, "another size", &json);
  for (std::size_t i = 0; i < shifts.size(); ++i) shifts[i] = exactly<double>(json.at(i));
  return shifts;
}

Json narrow_to_json(const ArmKey& key, const NarrowRow& row) {
  return Json::array({key.service, key.diagnosis, key.playbook, counts_to_json(row.counts),
                      row.recovery_seconds_sum, row.recovery_weight, row.floored_until_ms,
                      row.success_total, row.failure_total, row.failure_streak});
}

void narrow_from_json(const Json& json, Posteriors& posteriors) {
  NarrowRow row;
  row.counts = counts_from_json(json.at(3));
  row.recovery_seconds_sum = exactly<double>(json.at(4));
  row.recovery_weight = exactly<double>(json.at(5));
  row.floored_until_ms = exactly<std::int64_t>(json.at(6));
  row.success_total = exactly<std::uint64_t>(json.at(7));
  row.failure_total = exactly<std::uint64_t>(json.at(8));
  row.failure_streak = exactly<std::uint32_t>(json.at(9));
  posteriors.set(ArmKey{exactly<std::string>(json.at(0)), exactly<std::string>(json.at(1)),
                        exactly<std::string>(json.at(2))},
                 row);
}

void wide_from_json(const Json& json, Posteriors& posteriors) {
  WideRow row;
  row.counts = counts_from_json(json.at(2));
  row.shifts = shifts_from_json(json.at(3));
  row.information = shifts_from_json(json.at(4));
  posteriors.set(WideKey{exactly<std::string>(json.at(0)), exactly<std::string>(json.at(1))}, row);
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
      posteriors.set(exactly<std::string>(json->at(0)), PlaybookRow{counts_from_json(json->at(1))});
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
