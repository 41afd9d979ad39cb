#pragma once
// How often each service of a shard speaks, and how many have fallen silent: one silent service is
// its own matter, many at once are most likely a fault on the way here. Counted by the second at
// which each would be overdue, so that neither a signal nor a look costs more with more services.
// Judged by the time through which all input was taken, never by a clock. Not thread-safe.
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.hpp"
#include "decision/table.hpp"

namespace selfheal {

class Pulses {
 public:
  // Silent services are told apart to this precision.
  static constexpr std::uint32_t step_seconds = 5;

  // A service is overdue after four times its usual pause, and never before `after_ms`. What fell
  // silent longer than `window_ms` ago is no news any more: it is not counted.
  void configure(DurationMs after_ms, DurationMs window_ms);

  // A metric of this service (its number in the shard) was taken; seconds since 1970, by the time
  // through which all input was taken.
  void beat(std::uint32_t service, std::uint32_t taken_seconds) {
    if (service < rows_.size() && rows_[service].last_seconds >= taken_seconds) return;
    note(service, taken_seconds);
  }
  // All input through this second has been taken; a second before the last one changes nothing.
  void advance(std::uint32_t through_seconds);

  // Services that fell silent within the window, and those that are not overdue. Services that
  // have spoken fewer than five times, or pause for more than a quarter of an hour, are neither.
  struct Count {
    std::int64_t silent = 0;
    std::int64_t speaking = 0;
  };
  Count count() const { return count_; }
  // As it would be after advance(through_seconds), without moving anything.
  Count count_at(std::uint32_t through_seconds) const;

  // Takes the silent ones for gone: each is learnt anew should it speak again.
  void forget_silent();

  void save(const std::string& prefix, PageSink& sink);
  // Pages may come in any order; finish_load() counts when all are there. `services`: how many the
  // shard knows, so that no page makes room for others.
  bool load(const std::string& prefix, std::string_view key, std::string_view value);
  void finish_load(std::size_t services);
  void clear();

 private:
  // Bytes of a saved page: never reorder.
  struct Row {
    std::uint32_t last_seconds = 0;
    std::uint32_t pause_sixteenths = 0;  // usual pause, in sixteenths of a second
    std::uint32_t beats = 0;             // up to beats_enough
  };
  static constexpr std::size_t page_rows = 64;

  void note(std::uint32_t service, std::uint32_t taken_seconds);
  bool is_counted(const Row& row) const;
  std::uint32_t overdue_seconds(const Row& row) const;
  void count(const Row& row, std::int64_t change);
  void count_all();

  std::uint32_t after_seconds_ = 30;
  std::uint32_t window_seconds_ = 120;
  std::uint32_t through_seconds_ = 0;  // in whole steps
  bool through_changed_ = false;
  std::vector<Row> rows_;                            // by service number
  std::vector<std::uint8_t> changed_;                // by page
  std::size_t stale_pages_ = 0;                      // saved ones that are to go
  std::map<std::size_t, std::string> loaded_pages_;  // while loading
  // Derived: how many services are overdue at a second, within the window and after it.
  std::map<std::uint32_t, std::int64_t> overdue_;
  Count count_;
};

}  // namespace selfheal
