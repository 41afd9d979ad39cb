#pragma once
// The one stage of the fleet's shard: gives runs the lock of their target and a place among those
// that the fleet allows at once.
//
//  - A target has at most one holder; the fleet has at most `limits.fleet_concurrent` holders, and
//    at most `limits.fleet_starts_per_minute` of them began within any minute.
//  - Who cannot have a lock at once waits in the order of asking, and is seen waiting.
//  - A lock is free when its holder says so, or at its `until_ms`. A holder starts nothing that
//    could still act then, so a lock outlives whatever was done under it, whoever has died.
//  - A message that was taken before changes nothing: of each shard only what lies beyond its last
//    one counts, in the order of (tick, seq, k). A chain whose tail was lost goes on at later
//    ticks, so its messages count again although its seqs come a second time.
#include <string>
#include <utility>
#include <vector>

#include "decision/stage.hpp"

namespace selfheal {

// Waiting runs that are kept; a fleet in which more want to act is not helped by a longer queue.
constexpr std::size_t lock_waiters_max = 1000;

struct LockHolder {
  std::string target;
  std::string service;
  std::string playbook;
  std::int64_t shard = 0;
  std::int64_t number = 0;
  TimeMs since_ms = 0;
  TimeMs until_ms = 0;
  static constexpr auto fields() {
    return std::tuple{
        field("target", &LockHolder::target),     field("service", &LockHolder::service),
        field("playbook", &LockHolder::playbook), field("shard", &LockHolder::shard),
        field("number", &LockHolder::number),     field("since_ms", &LockHolder::since_ms),
        field("until_ms", &LockHolder::until_ms)};
  }
  bool operator==(const LockHolder&) const = default;
};

struct LockWaiter {
  LockRequested request;
  LockAsker asker;
  std::int64_t seq = 0;  // where it was queued: the order among waiters
  std::int64_t k = 0;
  static constexpr auto fields() {
    return std::tuple{field("request", &LockWaiter::request), field("asker", &LockWaiter::asker),
                      field("seq", &LockWaiter::seq), field("k", &LockWaiter::k)};
  }
  bool operator==(const LockWaiter&) const = default;
};

struct RecentGrants {
  std::vector<std::int64_t> granted_ms;  // of the last minute
  static constexpr auto fields() {
    return std::tuple{field("granted_ms", &RecentGrants::granted_ms)};
  }
  bool operator==(const RecentGrants&) const = default;
};

class Fleet : public Stage {
 public:
  Fleet();
  std::string_view name() const override { return "fleet"; }
  TimeMs next_due_ms() const override;
  void save(PageSink& sink) override;
  bool load(std::string_view page_key, std::string_view value) override;

  const Table<LockHolder>& holders() const { return holders_; }
  const Table<LockWaiter>& waiters() const { return waiters_; }

 protected:
  void evolve(const Event& event, const EventPlace& place) override;
  void decide(Token& token) override;

 private:
  void expire(Token& token);
  void take_messages(Token& token);
  void take_request(Token& token, const ControlInput& control, const LockAsker& asker);
  void take_release(Token& token, const ControlInput& control, const LockAsker& asker);
  void admit_waiters(Token& token, const std::string& cause);
  void grant(Token& token, const LockRequested& request, const LockAsker& asker,
             const std::string& cause);
  // Why a run cannot have the lock now; empty where it can.
  std::string obstacle(const LockRequested& request, TimeMs now_ms) const;
  bool is_awaited(const std::string& target) const;
  std::vector<std::string> waiters_in_order() const;
  std::int64_t grants_since(TimeMs since_ms) const;
  void note_asker(const LockAsker& asker);

  Table<LockHolder> holders_;   // by action id
  Table<LockWaiter> waiters_;   // by action id
  Table<LockAsker> askers_;     // the last message taken of each shard
  Table<RecentGrants> recent_;  // one row
};

}  // namespace selfheal
