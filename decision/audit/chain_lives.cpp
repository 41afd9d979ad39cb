#include "decision/audit/chain_lives.hpp"

#include <algorithm>

namespace selfheal {

void ChainLives::take(const JournalRecord& record) {
  Life& life = lives_[record.shard];
  if (record.kind == JournalKind::claim) {
    life.claimed = true;
    return;
  }
  const TimeMs tick_ms =
      std::max(record.cut.tick_ms, life.ticks_ms.empty() ? TimeMs{0} : life.ticks_ms.back());
  if (life.claimed) life.owner_since_ms = tick_ms;
  life.claimed = false;
  life.ticks_ms.push_back(tick_ms);
  life.caught_up_ms = std::max(life.caught_up_ms, record.cut.caught_up_through_ms);
}

std::optional<TimeMs> ChainLives::told_by_ms(std::int64_t shard, TimeMs tick_ms) const {
  const auto found = lives_.find(shard);
  if (found == lives_.end()) return {};
  const Life& life = found->second;
  const auto next = std::upper_bound(life.ticks_ms.begin(), life.ticks_ms.end(), tick_ms);
  if (next == life.ticks_ms.end()) return {};
  const TimeMs told_ms = std::max(*next, life.owner_since_ms) + on_its_way_ms;
  return told_ms < life.ticks_ms.back() ? std::optional(told_ms) : std::nullopt;
}

bool ChainLives::has_taken(std::int64_t shard, TimeMs time_ms) const {
  const auto found = lives_.find(shard);
  return found != lives_.end() && found->second.caught_up_ms > time_ms;
}

}  // namespace selfheal
