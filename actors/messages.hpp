#pragma once
// What actors of one process say to each other. Small facts have field lists; what is large travels
// as a shared pointer to something that nobody changes any more.
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "actors/event_inspect.hpp"
#include "decision/runner/runner.hpp"
#include "decision/shard/cut_planner.hpp"
#include "decision/shard/shard_fold.hpp"
#include "decision/token.hpp"
#include "storage/page_store.hpp"
#include "topics/journal.hpp"

namespace selfheal {

// A record of the chain that is committed: accepted on reading it back, and delivered.
struct CommittedRecord {
  JournalRecord record;
  std::shared_ptr<const Settings> settings;  // in force for it
  TimeMs oldest_signal_ms = 0;               // append time of the oldest input; 0 without input
  TimeMs append_ms = 0;                      // by the log's clock
  std::int64_t produced_us = 0;              // by steady_us(): when the log was given it
  std::vector<std::int64_t> signals_by_type;
};

// How a cut ended in the pipeline, for the cutter.
struct CutDone {
  static constexpr const char* kName = "cut_done";
  std::int64_t seq = 0;
  bool dropped = false;  // nothing was decided: the seq is free again
  std::int64_t next_due_ms = 0;
  bool said_something = false;
  std::int64_t record_bytes = 0;  // of its record in the journal
  static constexpr auto fields() {
    return std::tuple{field("seq", &CutDone::seq), field("dropped", &CutDone::dropped),
                      field("next_due_ms", &CutDone::next_due_ms),
                      field("said_something", &CutDone::said_something),
                      field("record_bytes", &CutDone::record_bytes)};
  }
};

// One cut is committed: the cutter has a credit back.
struct CreditBack {
  static constexpr const char* kName = "credit_back";
  std::int64_t seq = 0;
  std::int64_t log_time_ms = 0;  // when the log took it, by the log's clock
  static constexpr auto fields() {
    return std::tuple{field("seq", &CreditBack::seq),
                      field("log_time_ms", &CreditBack::log_time_ms)};
  }
};

// Asks the bus reader for the next inputs of a shard; answered when there are some.
struct FetchInputs {
  static constexpr const char* kName = "fetch_inputs";
  std::int64_t shard = 0;
  std::int64_t epoch = 0;  // that the readers were opened for
  std::uint64_t records_max = 0;
  std::uint64_t bytes_max = 0;
  std::uint64_t controls_max = 0;
  static constexpr auto fields() {
    return std::tuple{field("shard", &FetchInputs::shard), field("epoch", &FetchInputs::epoch),
                      field("records_max", &FetchInputs::records_max),
                      field("bytes_max", &FetchInputs::bytes_max),
                      field("controls_max", &FetchInputs::controls_max)};
  }
};

// Asks whether everything has been taken that lies in the inputs of a shard now.
struct AskInputsEnd {
  static constexpr const char* kName = "ask_inputs_end";
  std::int64_t shard = 0;
  static constexpr auto fields() { return std::tuple{field("shard", &AskInputsEnd::shard)}; }
};

// Where they end: one past the newest record of each.
struct InputsEnd {
  static constexpr const char* kName = "inputs_end";
  std::int64_t shard = 0;
  std::int64_t signals_end = 0;  // 0 where the shard takes none
  std::int64_t control_end = 0;
  static constexpr auto fields() {
    return std::tuple{field("shard", &InputsEnd::shard),
                      field("signals_end", &InputsEnd::signals_end),
                      field("control_end", &InputsEnd::control_end)};
  }
};

// The log may have more for a shard.
struct Woken {
  static constexpr const char* kName = "woken";
  std::int64_t shard = 0;
  static constexpr auto fields() { return std::tuple{field("shard", &Woken::shard)}; }
};

// The log answered an append of the journal.
struct Delivery {
  static constexpr const char* kName = "delivery";
  std::int64_t seq = 0;  // of the record; -1 for a claim
  bool stored = false;
  std::string error;
  std::int64_t offset = -1;  // where; -1: the log did not say
  static constexpr auto fields() {
    return std::tuple{field("seq", &Delivery::seq), field("stored", &Delivery::stored),
                      field("error", &Delivery::error), field("offset", &Delivery::offset)};
  }
};

// A timer of an actor itself.
struct Tick {
  static constexpr const char* kName = "tick";
  std::int64_t number = 0;  // an older one than the latest asked for is stale
  static constexpr auto fields() { return std::tuple{field("number", &Tick::number)}; }
};

// A step or a probe has ended: an input of a later cut.
struct EffectEnded {
  std::int64_t shard = 0;
  EmbeddedInput input;
};

// New settings for every shard, as canonical JSON that has been validated.
struct NewSettings {
  static constexpr const char* kName = "new_settings";
  std::string content;
  static constexpr auto fields() { return std::tuple{field("content", &NewSettings::content)}; }
};

// Everything up to `seq` of the shard has been handed on; asked before state is saved.
struct Flush {
  static constexpr const char* kName = "flush";
  std::int64_t shard = 0;
  std::int64_t seq = 0;
  static constexpr auto fields() {
    return std::tuple{field("shard", &Flush::shard), field("seq", &Flush::seq)};
  }
};

// A shard has stopped deciding and says why.
struct ShardFault {
  static constexpr const char* kName = "shard_fault";
  std::int64_t shard = 0;
  std::string kind;  // fenced, unknown_delivery, diverged, corrupt, bug
  std::string stage;
  std::string reason;
  bool failed_recorded = false;
  static constexpr auto fields() {
    return std::tuple{field("shard", &ShardFault::shard), field("kind", &ShardFault::kind),
                      field("stage", &ShardFault::stage), field("reason", &ShardFault::reason),
                      field("failed_recorded", &ShardFault::failed_recorded)};
  }
};

// The readers of a shard are wanted at these offsets, by its owner of this epoch alone: one that
// ends may still ask, and what it got the next would never see.
struct OpenInputs {
  static constexpr const char* kName = "open_inputs";
  std::int64_t shard = 0;
  std::int64_t epoch = 0;
  std::int64_t signals_next = 0;
  std::int64_t control_next = 0;
  static constexpr auto fields() {
    return std::tuple{field("shard", &OpenInputs::shard), field("epoch", &OpenInputs::epoch),
                      field("signals_next", &OpenInputs::signals_next),
                      field("control_next", &OpenInputs::control_next)};
  }
};

// Whether they are open.
struct Opened {
  static constexpr const char* kName = "opened";
  std::string error;  // empty where it worked
  static constexpr auto fields() { return std::tuple{field("error", &Opened::error)}; }
};

// Settings are in the chain.
struct SettingsInForce {
  static constexpr const char* kName = "settings_in_force";
  std::int64_t seq = 0;  // of the record that carries them
  std::int64_t generation = 0;
  std::string content;
  static constexpr auto fields() {
    return std::tuple{field("seq", &SettingsInForce::seq),
                      field("generation", &SettingsInForce::generation),
                      field("content", &SettingsInForce::content)};
  }
};

// The rows that a save wanted have been collected.
struct SaveCollected {
  static constexpr const char* kName = "save_collected";
  std::int64_t seq = 0;
  static constexpr auto fields() { return std::tuple{field("seq", &SaveCollected::seq)}; }
};

// The shard's journal is no longer to be read back.
struct UnfollowJournal {
  static constexpr const char* kName = "unfollow_journal";
  std::int64_t shard = 0;
  static constexpr auto fields() { return std::tuple{field("shard", &UnfollowJournal::shard)}; }
};

struct ReleaseShard {
  static constexpr const char* kName = "release_shard";
  std::int64_t shard = 0;
  static constexpr auto fields() { return std::tuple{field("shard", &ReleaseShard::shard)}; }
};

// Where a shard stands, for /readyz, the metrics and other processes.
struct ShardState {
  static constexpr const char* kName = "shard_state";
  std::int64_t shard = 0;
  std::string state;  // restoring, catching_up, standby, claiming, live, draining, stopped, parked
  std::string reason;
  std::int64_t epoch = 0;  // where live
  bool owned = false;      // by this process: it is live or about to be
  static constexpr auto fields() {
    return std::tuple{field("shard", &ShardState::shard), field("state", &ShardState::state),
                      field("reason", &ShardState::reason), field("epoch", &ShardState::epoch),
                      field("owned", &ShardState::owned)};
  }
};

// A shard is this process's to own: claim it.
struct TakeShard {
  static constexpr const char* kName = "take_shard";
  std::int64_t shard = 0;
  std::string reason;  // owner_silent, released, unowned or alone
  std::string from;    // the owner before
  static constexpr auto fields() {
    return std::tuple{field("shard", &TakeShard::shard), field("reason", &TakeShard::reason),
                      field("from", &TakeShard::from)};
  }
};

// A shard should move to another process: drain it, then follow it.
struct GiveShardAway {
  static constexpr const char* kName = "give_shard_away";
  std::int64_t shard = 0;
  static constexpr auto fields() { return std::tuple{field("shard", &GiveShardAway::shard)}; }
};

// Another process speaks under this one's name: one of them must end, and it is this one.
struct Replaced {
  static constexpr const char* kName = "replaced";
  std::string reason;
  static constexpr auto fields() { return std::tuple{field("reason", &Replaced::reason)}; }
};

// A cut that a stage could not decide.
struct FailedCut {
  Cut cut;
  std::string stage;
  std::string reason;
};

// A record to be left out for good, after it has killed its shard twice.
struct SkipOrder {
  Cut cut;                 // of that one record
  std::string topic_kind;  // signals or control
  std::string reason;
};

// A shard's state is on the snapshots topic: its journal should name it.
struct SnapshotWritten {
  std::int64_t shard = 0;
  SnapshotManifest manifest;
};

// The journal does.
struct SnapshotRecorded {
  static constexpr const char* kName = "snapshot_recorded";
  std::int64_t seq = 0;  // of the record
  static constexpr auto fields() { return std::tuple{field("seq", &SnapshotRecorded::seq)}; }
};

// Empty commands.
struct Start {
  static constexpr const char* kName = "start";
  static constexpr auto fields() { return std::tuple{}; }
};
struct Stop {
  static constexpr const char* kName = "stop";
  static constexpr auto fields() { return std::tuple{}; }
};

using TokenPtr = std::shared_ptr<Token>;
using SupplyPtr = std::shared_ptr<CutSupply>;
using CommittedPtr = std::shared_ptr<const CommittedRecord>;
using JournalBatchPtr = std::shared_ptr<const RecordBatch>;
using ChangesPtr = std::shared_ptr<ShardChanges>;
using EffectPtr = std::shared_ptr<const EffectEnded>;

// Stage changes on their way to the store.
struct SavePass {
  ShardChanges changes;
  // The last cut, of which earlier stages have not yet seen what later ones said.
  std::shared_ptr<const std::vector<Event>> last_events;
  ShardFacts last_facts;
  TimeMs last_tick_ms = 0;
};
using SavePtr = std::shared_ptr<SavePass>;
using FailedCutPtr = std::shared_ptr<const FailedCut>;
using SkipPtr = std::shared_ptr<const SkipOrder>;
using SnapshotPtr = std::shared_ptr<const SnapshotWritten>;

}  // namespace selfheal

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(selfheal::TokenPtr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(selfheal::SupplyPtr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(selfheal::CommittedPtr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(selfheal::JournalBatchPtr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(selfheal::ChangesPtr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(selfheal::EffectPtr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(selfheal::SavePtr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(selfheal::FailedCutPtr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(selfheal::SkipPtr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(selfheal::SnapshotPtr)
