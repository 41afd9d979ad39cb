#pragma once
// What a process does at a shard's journal before it decides there: it loads what is saved, claims,
// records what crashed, and agrees on the settings. Plain blocking code without actors. Each record
// is appended, and the journal read on until it is seen accepted or beaten; `visit` sees what is
// read.
//
// Errors of all: unavailable (the log does not answer), fenced (another owner was first), refused
// (another number of partitions, keys that are not trusted), and those of the walk.
#include <string>

#include "actors/environment.hpp"
#include "actors/shard_restore.hpp"

namespace selfheal {

// What this process would have in force.
struct WantedSettings {
  std::string content;  // canonical JSON
  TimeMs since_ms = 0;  // when it was asked for
};

struct LoadedState {
  SavedShard saved;
  bool from_snapshot = false;  // and by now on this machine's disk as well
};
Result<LoadedState> load_state(const Environment& environment, std::int64_t shard);

// What the journal says from its beginning up to a state, for readers; the state has to be of that
// journal (corrupt where not). Nothing is decided again. Nothing is visited where the beginning has
// expired.
Result<void> read_history(const Environment& environment, const Chain& until,
                          const JournalWalk::Visit& visit);

// refused: the journal was begun with another number of shards than this process has.
Result<void> check_partitions(const Environment& environment, const Chain& chain);

Result<void> claim_shard(const Environment& environment, JournalWalk& walk, std::int64_t shard,
                         const JournalWalk::Visit& visit);

Result<void> record_crash(const Environment& environment, JournalWalk& walk,
                          const JournalWalk::Visit& visit);

Result<void> agree_on_settings(const Environment& environment, JournalWalk& walk,
                               const WantedSettings& wanted, const JournalWalk::Visit& visit);

}  // namespace selfheal
