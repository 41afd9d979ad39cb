#pragma once
// Steps and probes that wait for a thread. Steps go first, and probes never take all threads: a
// probe only looks, and where what it asks hangs it must not keep a step from acting. A probe whose
// time has passed is dropped: whoever asked has given it up. Not thread-safe.
#include <deque>
#include <optional>

#include "base/time.hpp"

namespace selfheal {

// Steps and probes that live at once in this process; further ones wait. Each has a thread.
constexpr std::size_t live_effects_max = 64;
constexpr std::size_t live_probes_max = 48;

// Task: has is_probe and probe.valid_until_ms.
template <class Task>
class EffectQueue {
 public:
  void push(Task task) {
    std::deque<Task>& waiting = task.is_probe ? probes_ : steps_;
    waiting.push_back(std::move(task));
  }

  // The next one that may begin while so many live, probes among them; none where all have to wait.
  std::optional<Task> next(std::size_t live, std::size_t live_probes, TimeMs now_ms) {
    while (!probes_.empty() && probes_.front().probe.valid_until_ms < now_ms) probes_.pop_front();
    if (live >= live_effects_max) return std::nullopt;
    if (!steps_.empty()) return take(steps_);
    if (probes_.empty() || live_probes >= live_probes_max) return std::nullopt;
    return take(probes_);
  }

 private:
  static Task take(std::deque<Task>& waiting) {
    Task task = std::move(waiting.front());
    waiting.pop_front();
    return task;
  }

  std::deque<Task> steps_;
  std::deque<Task> probes_;
};

}  // namespace selfheal
