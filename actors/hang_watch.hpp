#pragma once
// A stage that never comes back, in an endless loop or a deadlock, breaks no check: it holds its
// worker and every shard that waits for one, while the process goes on telling that it is there.
// So a thread that works on one cut for longer than a limit is made to crash: its cut is left in
// the crash mark (crash_mark.hpp), other processes take the shards over at once, and the next start
// leaves the one record out.
#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/time.hpp"

namespace selfheal {

// Said by a crash scope at its begin and at its end: this thread works on one cut in between.
// Cheap: two stores. Does not nest.
void note_work();

// Looks at all threads as long as it lives. One a process. Time in which the process itself did not
// run (SIGSTOP, a machine that was suspended) does not count.
class HangWatch {
 public:
  explicit HangWatch(DurationMs limit_ms);
  ~HangWatch();
  HangWatch(const HangWatch&) = delete;
  HangWatch& operator=(const HangWatch&) = delete;

 private:
  void run(DurationMs pause_ms);

  std::mutex mutex_;
  std::condition_variable ending_;
  bool ended_ = false;
  std::thread thread_;
};

}  // namespace selfheal
