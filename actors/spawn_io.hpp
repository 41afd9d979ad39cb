#pragma once
// The one place that decides which actors get a thread of their own. Under CAF's test scheduler a
// detached actor would still get a real thread, so tests ask for scheduled ones.
#include <caf/all.hpp>

namespace selfheal {

enum class Threading { scheduled, own_thread };

template <class... Arguments>
auto spawn_io(caf::actor_system& system, Threading threading, Arguments&&... arguments) {
  if (threading == Threading::own_thread) {
    return system.spawn<caf::detached>(std::forward<Arguments>(arguments)...);
  }
  return system.spawn(std::forward<Arguments>(arguments)...);
}

}  // namespace selfheal
