#pragma once
// Circuit breakers, one for each playbook and resource kind: a playbook that fails again and again
// is left alone for a while, then one run may try. Changed by events alone, so that they survive a
// restart; each change is told as a decision of its own in the cut after it.
#include <functional>
#include <string>
#include <vector>

#include "decision/settings.hpp"
#include "decision/stage.hpp"

namespace selfheal {

// closed until `failures` reach the limit; open until open_until_ms; then one run may try.
struct BreakerRow {
  std::int64_t failures = 0;
  TimeMs open_until_ms = 0;
  // What is trying a half-open breaker: an approved proposal, and then its run.
  std::string trial_action;
  std::string changed_by;  // id of the decision that moved it last
  // As it was last told.
  std::string told_state = "closed";
  std::int64_t told_failures = 0;
  static constexpr auto fields() {
    return std::tuple{field("failures", &BreakerRow::failures),
                      field("open_until_ms", &BreakerRow::open_until_ms),
                      field("trial_action", &BreakerRow::trial_action),
                      field("changed_by", &BreakerRow::changed_by),
                      field("told_state", &BreakerRow::told_state),
                      field("told_failures", &BreakerRow::told_failures)};
  }
  bool operator==(const BreakerRow&) const = default;
};

// A change that has not been told, and the decision (or "timer") that caused it.
struct BreakerNews {
  std::string cause;
  BreakerChanged changed;
};

class Breakers {
 public:
  Breakers() : rows_("approver/breaker/") {}

  static std::string key_of(const std::string& playbook, const std::string& resource_kind);

  // False while the breaker lets nothing through: open, or half-open with a run that tries.
  bool lets_through(const std::string& key, TimeMs now_ms) const;
  // What is to be told at that time, in the order of the keys.
  std::vector<BreakerNews> news(const BreakerSettings& limits, TimeMs now_ms) const;
  // When there is something to tell: 0 where there is already.
  TimeMs next_due_ms() const;

  void on_approved(const std::string& key, const std::string& proposal_id);
  void on_intent(const std::string& key, const std::string& proposal_id,
                 const std::string& action_id);
  // The run has ended without an outcome, because nothing was done: another may try.
  void on_nothing_done(const std::string& key, const std::string& action_id);
  void on_outcome(const std::string& key, const Outcome& outcome, const EventPlace& place,
                  const BreakerSettings& limits);
  void on_told(const BreakerChanged& changed);

  void forget_trials(const std::function<bool(const std::string& id)>& is_over);

  void save(PageSink& sink) { rows_.save(sink); }
  bool load(std::string_view page_key, std::string_view value) {
    return rows_.load(page_key, value);
  }

 private:
  Table<BreakerRow> rows_;  // by playbook and resource kind
};

}  // namespace selfheal
