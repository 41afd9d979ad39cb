#include "actors/hang_watch.hpp"

#include <pthread.h>
#include <signal.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <set>

namespace selfheal {
namespace {

// A limit is so many looks: what lies between two of them counts once, however long it was.
constexpr int looks_per_limit = 10;

// Written by its thread, read by the watch. Odd while the thread works on a cut.
struct WorkSlot {
  pthread_t thread;
  std::atomic<std::uint64_t> passes{0};
};

struct WorkSlots {
  std::mutex mutex;
  std::set<const WorkSlot*> slots;
};

WorkSlots& all_slots() {
  static auto* const slots = new WorkSlots();  // threads may end after static objects
  return *slots;
}

// Known to the watch as long as its thread lives.
struct OwnSlot {
  OwnSlot() {
    slot.thread = pthread_self();
    const std::lock_guard lock(all_slots().mutex);
    all_slots().slots.insert(&slot);
  }
  ~OwnSlot() {
    const std::lock_guard lock(all_slots().mutex);
    all_slots().slots.erase(&slot);
  }
  WorkSlot slot;
};

WorkSlot& own_slot() {
  thread_local OwnSlot own;
  return own.slot;
}

struct Seen {
  std::uint64_t passes = 0;
  int looks = 0;
};

}  // namespace

void note_work() {
  own_slot().passes.fetch_add(1, std::memory_order_relaxed);
}

HangWatch::HangWatch(DurationMs limit_ms)
    : thread_([this, limit_ms] { run(std::max<DurationMs>(1, limit_ms / looks_per_limit)); }) {}

HangWatch::~HangWatch() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  ending_.notify_all();
  thread_.join();
}

void HangWatch::run(DurationMs pause_ms) {
  std::map<const WorkSlot*, Seen> seen;
  std::unique_lock lock(mutex_);
  while (!ending_.wait_for(lock, std::chrono::milliseconds(pause_ms), [this] { return ended_; })) {
    // Held throughout: a thread cannot end between the look at its slot and the signal to it.
    const std::lock_guard slots_lock(all_slots().mutex);
    std::map<const WorkSlot*, Seen> now;
    for (const WorkSlot* slot : all_slots().slots) {
      const std::uint64_t passes = slot->passes.load(std::memory_order_relaxed);
      if (passes % 2 == 0) continue;
      const Seen& before = seen[slot];
      now[slot] = {passes, before.passes == passes ? before.looks + 1 : 0};
      if (now[slot].looks != looks_per_limit) continue;
      spdlog::critical(
          "one cut has been worked on for {} ms and does not end: this process ends, "
          "and its next start leaves out what caused it",
          looks_per_limit * pause_ms);
      spdlog::default_logger()->flush();
      pthread_kill(slot->thread, SIGABRT);
    }
    seen = std::move(now);
  }
}

}  // namespace selfheal
