#pragma once
#include "actors/environment.hpp"
#include "actors/interfaces.hpp"

namespace selfheal {

struct FollowedJournal {
  std::unique_ptr<LogReader> reader;
  committer_actor committer;
};

struct JournalReaderState {
  static inline const char* name = "journal_reader";
  EnvironmentPtr environment;
  std::map<std::int64_t, FollowedJournal> shards;
};

journal_reader_actor::behavior_type journal_reader(
    journal_reader_actor::stateful_pointer<JournalReaderState> self, EnvironmentPtr environment);

}  // namespace selfheal
