#pragma once
// Events about locks. A run holds the lock of its target while it may touch it, and with the lock a
// place among the runs that the fleet allows at once. The fleet's shard gives both; shards ask it,
// and hear from it, by control messages that carry these events (see shard_message.hpp).
//
//   a service's shard   lock_requested … lock_awaited … lock_acquired … lock_released
//   the fleet's shard   lock_granted, or lock_queued and then granted … lock_freed
//
// Times are those of the deciding shard's ticks, in milliseconds since 1970.
#include <string>
#include <tuple>

#include "base/fields.hpp"
#include "base/time.hpp"

namespace selfheal {

// A run asks for its target's lock, or for more time with it.
struct LockRequested {
  static constexpr const char* kName = "lock_requested";
  std::string action_id;
  std::int64_t number = 0;  // of the run's requests, from 1
  std::string target;       // "<resource kind>/<resource id>"
  std::string service;
  std::string playbook;
  std::int64_t hold_ms = 0;     // for how long
  std::int64_t give_up_ms = 0;  // the run drops out when it has nothing by then
  static constexpr auto fields() {
    return std::tuple{
        field("action_id", &LockRequested::action_id),  field("number", &LockRequested::number),
        field("target", &LockRequested::target),        field("service", &LockRequested::service),
        field("playbook", &LockRequested::playbook),    field("hold_ms", &LockRequested::hold_ms),
        field("give_up_ms", &LockRequested::give_up_ms)};
  }
  bool operator==(const LockRequested&) const = default;
};

// The run waits, and for what.
struct LockAwaited {
  static constexpr const char* kName = "lock_awaited";
  std::string action_id;
  std::int64_t number = 0;
  std::string target;
  std::string reason;
  static constexpr auto fields() {
    return std::tuple{field("action_id", &LockAwaited::action_id),
                      field("number", &LockAwaited::number), field("target", &LockAwaited::target),
                      field("reason", &LockAwaited::reason)};
  }
  bool operator==(const LockAwaited&) const = default;
};

// The run has the lock. It starts nothing that could still act at until_ms.
struct LockAcquired {
  static constexpr const char* kName = "lock_acquired";
  std::string action_id;
  std::int64_t number = 0;
  std::string target;
  std::int64_t until_ms = 0;
  static constexpr auto fields() {
    return std::tuple{
        field("action_id", &LockAcquired::action_id), field("number", &LockAcquired::number),
        field("target", &LockAcquired::target), field("until_ms", &LockAcquired::until_ms)};
  }
  bool operator==(const LockAcquired&) const = default;
};

// The run has ended, or dropped out: it starts nothing more.
struct LockReleased {
  static constexpr const char* kName = "lock_released";
  std::string action_id;
  std::string target;
  static constexpr auto fields() {
    return std::tuple{field("action_id", &LockReleased::action_id),
                      field("target", &LockReleased::target)};
  }
  bool operator==(const LockReleased&) const = default;
};

// The message of a shard that an event of the fleet's shard answers; seq -1: none, but time.
struct LockAsker {
  static constexpr const char* kName = "lock_asker";
  std::int64_t shard = 0;
  std::int64_t tick_ms = 0;
  std::int64_t seq = -1;
  std::int64_t k = 0;
  static constexpr auto fields() {
    return std::tuple{field("shard", &LockAsker::shard), field("tick_ms", &LockAsker::tick_ms),
                      field("seq", &LockAsker::seq), field("k", &LockAsker::k)};
  }
  bool operator==(const LockAsker&) const = default;
};

// The fleet's shard gives a lock, or more time to its holder.
struct LockGranted {
  static constexpr const char* kName = "lock_granted";
  std::string action_id;
  std::int64_t number = 0;
  std::string target;
  std::string service;
  std::string playbook;
  std::int64_t until_ms = 0;
  LockAsker asker;
  static constexpr auto fields() {
    return std::tuple{
        field("action_id", &LockGranted::action_id), field("number", &LockGranted::number),
        field("target", &LockGranted::target),       field("service", &LockGranted::service),
        field("playbook", &LockGranted::playbook),   field("until_ms", &LockGranted::until_ms),
        field("asker", &LockGranted::asker)};
  }
  bool operator==(const LockGranted&) const = default;
};

// The fleet's shard lets a run wait.
struct LockQueued {
  static constexpr const char* kName = "lock_queued";
  LockRequested request;
  std::string reason;
  LockAsker asker;
  static constexpr auto fields() {
    return std::tuple{field("request", &LockQueued::request), field("reason", &LockQueued::reason),
                      field("asker", &LockQueued::asker)};
  }
  bool operator==(const LockQueued&) const = default;
};

// A lock is free again, or a run does not wait any longer.
struct LockFreed {
  static constexpr const char* kName = "lock_freed";
  std::string action_id;
  std::string target;
  std::string how;  // released, expired, withdrawn, gave_up or refused
  LockAsker asker;
  static constexpr auto fields() {
    return std::tuple{field("action_id", &LockFreed::action_id),
                      field("target", &LockFreed::target), field("how", &LockFreed::how),
                      field("asker", &LockFreed::asker)};
  }
  bool operator==(const LockFreed&) const = default;
};

}  // namespace selfheal
