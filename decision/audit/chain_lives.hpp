#pragma once
// How long chains have been written, by owners that lived: of a running cluster, what a shard has
// just said may not have reached others yet, and after a takeover or an outage it takes its owner a
// while to tell what was left untold. Not thread-safe.
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "decision/audit/audit_report.hpp"
#include "topics/journal.hpp"

namespace selfheal {

class ChainLives {
 public:
  // Accepted records, each chain's in order.
  void take(const JournalRecord& record);

  // When everybody must have heard what a shard said at `tick_ms`: on_its_way_ms after its chain
  // went on, by the owner that it has now. Nothing where the chain has not come so far yet.
  std::optional<TimeMs> told_by_ms(std::int64_t shard, TimeMs tick_ms) const;
  // Whether a shard has taken all that came to it until then.
  bool has_taken(std::int64_t shard, TimeMs time_ms) const;

 private:
  struct Life {
    std::vector<TimeMs> ticks_ms;  // of all records but claims; never falling
    TimeMs owner_since_ms = 0;     // the first of them after the last claim
    TimeMs caught_up_ms = 0;
    bool claimed = false;  // and nothing since
  };
  std::map<std::int64_t, Life> lives_;
};

}  // namespace selfheal
