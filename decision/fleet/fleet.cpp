#include "decision/fleet/fleet.hpp"

#include <algorithm>
#include <tuple>

#include "topics/json_codec.hpp"

namespace selfheal {
namespace {

const std::string all_grants = "all";
constexpr DurationMs start_window_ms = one_minute_ms;
// A run drops out by itself. One whose shard is gone is dropped a little later.
constexpr DurationMs give_up_grace_ms = 10 * one_second_ms;

auto place_of(const LockAsker& asker) {
  return std::tuple(asker.tick_ms, asker.seq, asker.k);
}

std::string count_of(std::int64_t count, std::int64_t limit) {
  return std::to_string(count) + " of " + std::to_string(limit);
}

}  // namespace

Fleet::Fleet()
    : holders_("fleet/holder/"),
      waiters_("fleet/waiter/"),
      askers_("fleet/asker/"),
      recent_("fleet/recent/") {}

void Fleet::save(PageSink& sink) {
  holders_.save(sink);
  waiters_.save(sink);
  askers_.save(sink);
  recent_.save(sink);
}

bool Fleet::load(std::string_view page_key, std::string_view value) {
  return holders_.load(page_key, value) || waiters_.load(page_key, value) ||
         askers_.load(page_key, value) || recent_.load(page_key, value);
}

TimeMs Fleet::next_due_ms() const {
  TimeMs due_ms = Token::no_due;
  for (const auto& [id, holder] : holders_.rows()) due_ms = std::min(due_ms, holder.until_ms);
  for (const auto& [id, waiter] : waiters_.rows()) {
    due_ms = std::min(due_ms, waiter.request.give_up_ms + give_up_grace_ms);
  }
  const RecentGrants* recent = recent_.find(all_grants);
  if (waiters_.size() > 0 && recent != nullptr && !recent->granted_ms.empty()) {
    due_ms = std::min(due_ms, recent->granted_ms.front() + start_window_ms);
  }
  return due_ms;
}

// --- evolve -------------------------------------------------------------------------------------

void Fleet::note_asker(const LockAsker& asker) {
  if (asker.seq >= 0) askers_.put(std::to_string(asker.shard), asker);
}

void Fleet::evolve(const Event& event, const EventPlace& place) {
  if (const auto* granted = std::get_if<LockGranted>(&event.body)) {
    const bool first = holders_.find(granted->action_id) == nullptr;
    LockHolder& holder = holders_.at(granted->action_id);
    holder.target = granted->target;
    holder.service = granted->service;
    holder.playbook = granted->playbook;
    holder.shard = granted->asker.shard;
    holder.number = granted->number;
    holder.until_ms = granted->until_ms;
    if (first) {
      holder.since_ms = place.tick_ms;
      std::vector<std::int64_t>& times = recent_.at(all_grants).granted_ms;
      std::erase_if(times,
                    [&](TimeMs time_ms) { return time_ms <= place.tick_ms - start_window_ms; });
      times.push_back(place.tick_ms);
    }
    waiters_.erase(granted->action_id);
    note_asker(granted->asker);
  } else if (const auto* queued = std::get_if<LockQueued>(&event.body)) {
    waiters_.put(queued->request.action_id, {queued->request, queued->asker, place.seq, place.k});
    note_asker(queued->asker);
  } else if (const auto* freed = std::get_if<LockFreed>(&event.body)) {
    holders_.erase(freed->action_id);
    waiters_.erase(freed->action_id);
    note_asker(freed->asker);
  }
}

// --- decide -------------------------------------------------------------------------------------

void Fleet::decide(Token& token) {
  expire(token);
  admit_waiters(token, "timer");
  take_messages(token);
}

void Fleet::expire(Token& token) {
  const TimeMs now_ms = token.cut.tick_ms;
  std::vector<std::tuple<std::string, std::string, std::string>> over;  // service, action, target
  for (const auto& [action_id, holder] : holders_.rows()) {
    if (holder.until_ms <= now_ms) over.emplace_back(holder.service, action_id, holder.target);
  }
  for (const auto& [service, action_id, target] : over) {
    emit(token, {service, "", "timer",
                 LockFreed{.action_id = action_id, .target = target, .how = "expired"}});
  }
  over.clear();
  for (const auto& [action_id, waiter] : waiters_.rows()) {
    if (waiter.request.give_up_ms + give_up_grace_ms > now_ms) continue;
    over.emplace_back(waiter.request.service, action_id, waiter.request.target);
  }
  for (const auto& [service, action_id, target] : over) {
    emit(token, {service, "", "timer",
                 LockFreed{.action_id = action_id, .target = target, .how = "gave_up"}});
  }
}

void Fleet::take_messages(Token& token) {
  for (const ControlInput& control : token.controls) {
    const ControlMessage& message = control.message;
    const auto refuse = [&](const std::string& reason) {
      emit(token, {"", "", cause_of_control(control.offset),
                   ControlRefused{message.kind, message.target, message.key_id, reason}});
    };
    if (!control.unreadable.empty()) {
      refuse(control.unreadable);
      continue;
    }
    const bool request = message.kind == "lock_request";
    if (!request && message.kind != "lock_release") {
      refuse("the fleet's shard is asked for locks only");
      continue;
    }
    if (!is_signed_by_shard(settings(), message)) {
      refuse("a request for a lock must be signed by a shard's key");
      continue;
    }
    if (message.source_shard < 0 || message.source_shard >= token.facts.partitions) {
      refuse("no shard of that number asks for locks");
      continue;
    }
    const LockAsker asker{message.source_shard, message.time_ms, message.source_seq,
                          message.source_k};
    const LockAsker* last = askers_.find(std::to_string(asker.shard));
    if (last != nullptr && place_of(asker) <= place_of(*last)) continue;  // a second copy
    request ? take_request(token, control, asker) : take_release(token, control, asker);
  }
}

void Fleet::take_request(Token& token, const ControlInput& control, const LockAsker& asker) {
  const Result<LockRequested> request = from_json_text<LockRequested>(control.message.body);
  if (!request || request->action_id.empty() || request->target.empty() || request->hold_ms <= 0) {
    emit(token, {"", "", cause_of_control(control.offset),
                 ControlRefused{control.message.kind, "", control.message.key_id,
                                "the request cannot be read"}});
    return;
  }
  const std::string cause = cause_of_control(control.offset);
  if (holders_.find(request->action_id) != nullptr) {
    return grant(token, *request, asker, cause);  // more time
  }
  std::string reason = obstacle(*request, token.cut.tick_ms);
  if (reason.empty() && is_awaited(request->target)) reason = "others wait for the target";
  if (reason.empty()) return grant(token, *request, asker, cause);
  if (waiters_.size() >= lock_waiters_max) {
    emit(token, {request->service, "", cause,
                 LockFreed{request->action_id, request->target, "refused", asker}});
    return;
  }
  emit(token, {request->service, "", cause, LockQueued{*request, reason, asker}});
}

void Fleet::take_release(Token& token, const ControlInput& control, const LockAsker& asker) {
  const Result<LockReleased> released = from_json_text<LockReleased>(control.message.body);
  if (!released) {
    emit(token, {"", "", cause_of_control(control.offset),
                 ControlRefused{control.message.kind, "", control.message.key_id,
                                "the release cannot be read"}});
    return;
  }
  const LockHolder* holder = holders_.find(released->action_id);
  const LockWaiter* waiter = waiters_.find(released->action_id);
  if (holder == nullptr && waiter == nullptr) return;  // expired meanwhile
  const std::string service = holder != nullptr ? holder->service : waiter->request.service;
  const std::string target = holder != nullptr ? holder->target : waiter->request.target;
  const char* how = holder != nullptr ? "released" : "withdrawn";
  const std::string id = emit(token, {service, "", cause_of_control(control.offset),
                                      LockFreed{released->action_id, target, how, asker}});
  admit_waiters(token, id);
}

void Fleet::admit_waiters(Token& token, const std::string& cause) {
  for (const std::string& action_id : waiters_in_order()) {
    const LockWaiter waiter = *waiters_.find(action_id);
    if (!obstacle(waiter.request, token.cut.tick_ms).empty()) continue;
    LockAsker answered = waiter.asker;
    answered.seq = -1;  // its message was taken when it was queued
    grant(token, waiter.request, answered, cause);
  }
}

void Fleet::grant(Token& token, const LockRequested& request, const LockAsker& asker,
                  const std::string& cause) {
  const LockHolder* holder = holders_.find(request.action_id);
  TimeMs until_ms = token.cut.tick_ms + request.hold_ms;
  if (holder != nullptr) until_ms = std::max(until_ms, holder->until_ms);
  emit(token, {request.service, "", cause,
               LockGranted{request.action_id, request.number, request.target, request.service,
                           request.playbook, until_ms, asker}});
}

std::string Fleet::obstacle(const LockRequested& request, TimeMs now_ms) const {
  for (const auto& [action_id, holder] : holders_.rows()) {
    if (holder.target == request.target) return request.target + " is held by " + action_id;
  }
  const LimitSettings& limits = settings().limits;
  const auto held = static_cast<std::int64_t>(holders_.size());
  if (held >= limits.fleet_concurrent) {
    return "fleet_concurrent: " + count_of(held, limits.fleet_concurrent) + " runs are under way";
  }
  const std::int64_t begun = grants_since(now_ms - start_window_ms);
  if (begun >= limits.fleet_starts_per_minute) {
    return "fleet_starts_per_minute: " + count_of(begun, limits.fleet_starts_per_minute) +
           " runs have begun";
  }
  return {};
}

bool Fleet::is_awaited(const std::string& target) const {
  return std::any_of(waiters_.rows().begin(), waiters_.rows().end(),
                     [&](const auto& row) { return row.second.request.target == target; });
}

std::vector<std::string> Fleet::waiters_in_order() const {
  std::vector<std::tuple<std::int64_t, std::int64_t, std::string>> order;
  for (const auto& [action_id, waiter] : waiters_.rows()) {
    order.emplace_back(waiter.seq, waiter.k, action_id);
  }
  std::sort(order.begin(), order.end());
  std::vector<std::string> ids;
  ids.reserve(order.size());
  for (auto& [seq, k, action_id] : order) ids.push_back(std::move(action_id));
  return ids;
}

std::int64_t Fleet::grants_since(TimeMs since_ms) const {
  const RecentGrants* recent = recent_.find(all_grants);
  if (recent == nullptr) return 0;
  return std::count_if(recent->granted_ms.begin(), recent->granted_ms.end(),
                       [&](TimeMs time_ms) { return time_ms > since_ms; });
}

}  // namespace selfheal
