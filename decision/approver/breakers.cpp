#include "decision/approver/breakers.hpp"

#include <algorithm>

namespace selfheal {
namespace {

const char* state_of(const BreakerRow& row, TimeMs now_ms) {
  if (row.open_until_ms == 0) return "closed";
  return now_ms < row.open_until_ms ? "open" : "half_open";
}

std::string reason_for(const BreakerRow& row, const std::string& state,
                       const BreakerSettings& limits) {
  if (state == "half_open") return "its time is over: one run may try";
  if (state == "open" && row.told_state == "half_open") return "the run that tried failed";
  if (state == "closed" && row.failures == 0) return "a run recovered its subject";
  return std::to_string(row.failures) + " failed runs in a row, " +
         std::to_string(limits.failures) + " open it";
}

}  // namespace

std::string Breakers::key_of(const std::string& playbook, const std::string& resource_kind) {
  return playbook + "\n" + resource_kind;
}

bool Breakers::lets_through(const std::string& key, TimeMs now_ms) const {
  const BreakerRow* row = rows_.find(key);
  if (row == nullptr || row->open_until_ms == 0) return true;
  return now_ms >= row->open_until_ms && row->trial_action.empty();
}

std::vector<BreakerNews> Breakers::news(const BreakerSettings& limits, TimeMs now_ms) const {
  std::vector<BreakerNews> news;
  for (const auto& [key, row] : rows_.rows()) {
    const std::string state = state_of(row, now_ms);
    if (state == row.told_state && row.failures == row.told_failures) continue;
    const std::size_t end = key.find('\n');
    BreakerNews each;
    each.cause = row.changed_by;
    each.changed.playbook = key.substr(0, end);
    each.changed.resource_kind = key.substr(end + 1);
    each.changed.state = state;
    each.changed.failures = row.failures;
    each.changed.failures_max = limits.failures;
    each.changed.open_until_ms = row.open_until_ms;
    each.changed.reason = reason_for(row, state, limits);
    news.push_back(std::move(each));
  }
  return news;
}

TimeMs Breakers::next_due_ms() const {
  TimeMs due_ms = Token::no_due;
  for (const auto& [key, row] : rows_.rows()) {
    const bool opens_or_closes = (row.open_until_ms == 0) != (row.told_state == "closed");
    if (opens_or_closes || row.failures != row.told_failures) return 0;
    if (row.told_state == "open") due_ms = std::min(due_ms, row.open_until_ms);
  }
  return due_ms;
}

void Breakers::on_approved(const std::string& key, const std::string& proposal_id) {
  const BreakerRow* row = rows_.find(key);
  if (row != nullptr && row->open_until_ms > 0) rows_.edit(key)->trial_action = proposal_id;
}

void Breakers::on_intent(const std::string& key, const std::string& proposal_id,
                         const std::string& action_id) {
  const BreakerRow* row = rows_.find(key);
  if (row != nullptr && row->trial_action == proposal_id) {
    rows_.edit(key)->trial_action = action_id;
  }
}

void Breakers::on_nothing_done(const std::string& key, const std::string& action_id) {
  const BreakerRow* row = rows_.find(key);
  if (row != nullptr && row->trial_action == action_id) rows_.edit(key)->trial_action.clear();
}

void Breakers::forget_trials(const std::function<bool(const std::string& id)>& is_over) {
  std::vector<std::string> over;
  for (const auto& [key, row] : rows_.rows()) {
    if (!row.trial_action.empty() && is_over(row.trial_action)) over.push_back(key);
  }
  for (const std::string& key : over) rows_.edit(key)->trial_action.clear();
}

void Breakers::on_outcome(const std::string& key, const Outcome& outcome, const EventPlace& place,
                          const BreakerSettings& limits) {
  if (outcome.result == "recovered" && rows_.find(key) == nullptr) return;
  BreakerRow& row = rows_.at(key);
  const bool trial = row.trial_action == outcome.action_id;
  if (trial) row.trial_action.clear();
  row.changed_by = place.id();
  if (outcome.result == "recovered") {
    row.failures = 0;
    row.open_until_ms = 0;
    row.trial_action.clear();  // closed, there is nothing to try
  } else if (++row.failures >= limits.failures || trial) {
    row.open_until_ms = place.tick_ms + limits.reset.ms;
  }
}

void Breakers::on_told(const BreakerChanged& changed) {
  const std::string key = key_of(changed.playbook, changed.resource_kind);
  BreakerRow* row = rows_.edit(key);
  if (row == nullptr) return;
  row->told_state = changed.state;
  row->told_failures = changed.failures;
  // A breaker at rest is as good as none: kinds come from what others send, and must not pile up.
  if (row->open_until_ms == 0 && row->failures == 0 && changed.state == "closed") {
    rows_.erase(key);
  }
}

}  // namespace selfheal
