#include "decision/audit/lock_audit.hpp"

#include <algorithm>

namespace selfheal {
namespace {

// The least time between the last moment of a start and the end of its lock: both owners may be
// off the log's clock by a second, and the rest is for what a target still does.
constexpr DurationMs margin_ms = 5 * one_second_ms;
// The first fold version that asks for locks.
constexpr std::int64_t fold_version_with_locks = 3;
constexpr std::size_t violations_max = 100;

}  // namespace

void LockAudit::violate(const std::string& place, const std::string& what) {
  if (violations_.size() < violations_max) violations_.push_back({9, place, what});
}

void LockAudit::take(const JournalRecord& record) {
  newest_ms_ = std::max(newest_ms_, record.cut.tick_ms);
  if (record.kind == JournalKind::claim) {
    locks_expected_[record.shard] = record.fold_version >= fold_version_with_locks;
  }
  if (record.kind == JournalKind::config && record.shard == fleet_shard_) {
    const Result<Settings> settings = settings_from_text(record.content);
    if (settings) limits_ = settings->limits;
  }
  for (std::size_t k = 0; k < record.events.size(); ++k) {
    const std::string place =
        std::to_string(record.shard) + "/" + std::to_string(record.seq) + "/" + std::to_string(k);
    if (record.shard == fleet_shard_) {
      take_fleet_event(record, place, record.events[k]);
    } else if (locks_expected_[record.shard]) {
      take_run_event({place, record.cut.tick_ms}, record.events[k]);
    }
  }
}

void LockAudit::take_grant(const JournalRecord& record, const std::string& place,
                           const LockGranted& granted) {
  const TimeMs now_ms = record.cut.tick_ms;
  granted_[{granted.action_id, granted.number}] = {granted.until_ms, {place, now_ms}};
  const auto mine = held_.find(granted.action_id);
  if (mine != held_.end()) {
    if (granted.until_ms < mine->second.until_ms) violate(place, "a lock is cut short");
    mine->second.until_ms = granted.until_ms;
    return;
  }
  for (const auto& [action_id, held] : held_) {
    if (held.target != granted.target) continue;
    violate(place, granted.target + " is granted to " + granted.action_id + " while " + action_id +
                       " holds it");
  }
  if (static_cast<std::int64_t>(held_.size()) >= limits_.fleet_concurrent) {
    violate(place, "more locks are granted than limits.fleet_concurrent allows");
  }
  std::erase_if(begun_ms_, [&](TimeMs time_ms) { return time_ms <= now_ms - one_minute_ms; });
  if (static_cast<std::int64_t>(begun_ms_.size()) >= limits_.fleet_starts_per_minute) {
    violate(place, "more runs begin within a minute than limits.fleet_starts_per_minute allows");
  }
  begun_ms_.push_back(now_ms);
  held_[granted.action_id] = {granted.target, granted.until_ms};
}

void LockAudit::take_fleet_event(const JournalRecord& record, const std::string& place,
                                 const Event& event) {
  if (const auto* granted = std::get_if<LockGranted>(&event.body)) {
    take_grant(record, place, *granted);
  } else if (const auto* freed = std::get_if<LockFreed>(&event.body)) {
    const auto held = held_.find(freed->action_id);
    if (held == held_.end()) {
      if (freed->how == "released" || freed->how == "expired") {
        violate(place, freed->action_id + " frees a lock that it does not hold");
      }
      return;
    }
    if (freed->how == "released") freed_[freed->action_id] = {place, record.cut.tick_ms};
    if (freed->how != "released" && held->second.until_ms > record.cut.tick_ms) {
      violate(place, freed->action_id + " loses its lock before its time");
    }
    held_.erase(held);
  }
}

void LockAudit::take_run_event(const Said& said, const Event& event) {
  const std::string& place = said.place;
  if (const auto* intent = std::get_if<RunIntent>(&event.body)) {
    modes_[intent->action_id] = intent->mode;
  } else if (const auto* requested = std::get_if<LockRequested>(&event.body)) {
    requested_[{requested->action_id, requested->number}] = place;
  } else if (const auto* acquired = std::get_if<LockAcquired>(&event.body)) {
    acquired_[{acquired->action_id, acquired->number}] = {acquired->until_ms, said};
    covered_ms_[acquired->action_id] = acquired->until_ms;
  } else if (const auto* released = std::get_if<LockReleased>(&event.body)) {
    released_[released->action_id] = place;
  } else if (const auto* started = std::get_if<RunStarted>(&event.body)) {
    const auto mode = modes_.find(started->action_id);
    const bool acts = mode != modes_.end() && mode->second != "dry_run";
    if (started->runtime_limit_ms == 0 || !acts) return;
    ++starts_;
    if (released_.contains(started->action_id)) {
      violate(place, started->action_id + " starts a step after it has released its lock");
    }
    const auto covered = covered_ms_.find(started->action_id);
    const TimeMs last_ms = started->valid_until_ms + started->runtime_limit_ms + margin_ms;
    if (covered == covered_ms_.end() || covered->second < last_ms) {
      violate(place, started->action_id + " starts a step that its lock does not outlive");
    }
  }
}

void LockAudit::compare_chains(bool everything_ended) {
  const auto violate_late = [&](const Said& said, const std::string& what) {
    if (everything_ended || said.tick_ms < newest_ms_ - on_its_way_ms) violate(said.place, what);
  };
  for (const auto& [request, promise] : acquired_) {
    const auto granted = granted_.find(request);
    if (granted == granted_.end() || granted->second.until_ms != promise.until_ms) {
      violate_late(promise.said, request.first + " uses a lock that was not granted to it");
    }
  }
  for (const auto& [request, promise] : granted_) {
    if (!requested_.contains(request)) {
      violate_late(promise.said, request.first + " is granted a lock that it did not ask for");
    }
  }
  for (const auto& [action_id, said] : freed_) {
    if (!released_.contains(action_id)) {
      violate_late(said, action_id + " loses a lock that it has not released");
    }
  }
}

}  // namespace selfheal
