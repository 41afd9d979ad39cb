#pragma once
// Every actor's messages, one sentence each. Read top to bottom, this is the architecture:
//
//   root_supervisor
//   ├ bus_reader, inputs_end, journal_reader                   one each, own thread
//   ├ relay, store, read_model                                 one each, own thread
//   ├ placement                                              who owns which shard; own thread
//   ├ snapshot                                               own thread
//   ├ extra_partitions                                       where the topic has grown
//   ├ effect_gateway → step_runner, probe_runner               one actor a live step
//   └ shard_supervisor                                         one a shard
//       └ cutter → predictor → scheduler → approver → runner → verifier → learner → committer
#include <caf/all.hpp>

#include "actors/messages.hpp"

namespace selfheal {

// Polls the inputs of all shards on one thread, because librdkafka wants one owner of a consumer.
using bus_reader_actor = caf::typed_actor<
    // The next inputs of a shard, answered as soon as there are any.
    caf::replies_to<FetchInputs>::with<SupplyPtr>,
    // The log may have more for a shard that waits.
    caf::reacts_to<Woken>,
    // Whether a shard's readers are at this end, or beyond it.
    caf::replies_to<InputsEnd>::with<bool>,
    // A shard (re)starts: its readers begin at these offsets; the answer comes when they are open.
    caf::replies_to<OpenInputs>::with<Opened>>;

// Asks the log where inputs end, on a thread of its own: the answer may take as long as the log is
// away, and readers must not wait for it.
using inputs_end_actor = caf::typed_actor<
    // Whether everything has been taken that is there now; no, where the log does not say.
    caf::replies_to<AskInputsEnd>::with<bool>>;

// Decides on one stage's part of a cut and passes the token on.
using stage_actor = caf::typed_actor<
    // A cut to decide on.
    caf::reacts_to<TokenPtr>,
    // Changed rows are wanted, between two cuts.
    caf::reacts_to<SavePtr>>;

// Appends decided cuts to the journal and says what is committed.
using committer_actor = caf::typed_actor<
    // A cut that all stages have decided on.
    caf::reacts_to<TokenPtr>,
    // A stage broke an invariant while deciding: the cut is to be recorded as failed.
    caf::reacts_to<FailedCutPtr>,
    // A record that killed its shard twice is to be left out.
    caf::reacts_to<SkipPtr>,
    // Other settings are to be put into the journal; nothing is in flight.
    caf::reacts_to<NewSettings>,
    // A snapshot is to be named by the journal; nothing is in flight.
    caf::reacts_to<SnapshotPtr>,
    // The log's answer to an append.
    caf::reacts_to<Delivery>,
    // What the journal reader has read back.
    caf::reacts_to<JournalBatchPtr>,
    // Changed rows of all stages, on their way to the store.
    caf::reacts_to<SavePtr>,
    // The shard has been drained: its supervisor may be told.
    caf::reacts_to<Stop>>;

struct CutterWiring;
using CutterWiringPtr = std::shared_ptr<const CutterWiring>;

// Assembles cuts and paces them: one token in the pipeline, at most four cuts uncommitted.
using cutter_actor = caf::typed_actor<
    // Everything is wired: begin.
    caf::reacts_to<CutterWiringPtr>,
    // The pipeline has decided on a cut.
    caf::reacts_to<CutDone>,
    // A cut is committed.
    caf::reacts_to<CreditBack>,
    // A step or probe has ended.
    caf::reacts_to<EffectPtr>,
    // Settings were put into the journal and are in force from the next cut on.
    caf::reacts_to<SettingsInForce>,
    // Somebody wants other settings.
    caf::reacts_to<NewSettings>,
    // A snapshot was written and should be named by the journal.
    caf::reacts_to<SnapshotPtr>,
    // It is.
    caf::reacts_to<SnapshotRecorded>,
    // State has been collected; cutting may go on.
    caf::reacts_to<SaveCollected>,
    // Take nothing more, let what is in flight be committed, and have the state collected.
    caf::reacts_to<Stop>,
    // A timer.
    caf::reacts_to<Tick>>;

// Follow a shard's journal from an offset and tell its committer.
struct FollowJournal {
  std::int64_t shard = 0;
  Offset from = 0;
  committer_actor committer;
};
using FollowJournalPtr = std::shared_ptr<const FollowJournal>;

// Reads every shard's journal back on a thread of its own.
using journal_reader_actor = caf::typed_actor<
    // Follow a shard's journal from an offset and tell its committer.
    caf::reacts_to<FollowJournalPtr>,
    // The shard has ended: stop following it.
    caf::reacts_to<UnfollowJournal>,
    // The log may have more.
    caf::reacts_to<Woken>>;

// A message on its way out, kept until the log has it.
struct RelayedRecord {
  TopicPartition where;
  NewRecord record;
  std::int64_t shard = 0;
  std::int64_t seq = 0;   // of the journal's record that it tells of
  bool in_order = false;  // never overtaken by a later one of this shard to the same place
};
using RelayedPtr = std::shared_ptr<const RelayedRecord>;

// Publishes what is committed: decisions, forwards, dead letters. At least once, in order.
using relay_actor =
    caf::typed_actor<caf::reacts_to<CommittedPtr>,
                     // Answered when everything up to that place has been stored by the log.
                     caf::replies_to<Flush>::with<Flush>,
                     // The log has stored a message, or could not.
                     caf::reacts_to<RelayedPtr, bool>,
                     // Try a message again now.
                     caf::reacts_to<RelayedPtr>>;

// Folds what is committed into what the API and the console show.
using read_model_actor =
    caf::typed_actor<caf::reacts_to<CommittedPtr>, caf::replies_to<Flush>::with<Flush>>;

// Writes committed state, after relay and read model have caught up with it.
using store_actor = caf::typed_actor<caf::reacts_to<SavePtr>,
                                     // Answered when everything that was handed over is written.
                                     caf::replies_to<Stop>::with<Stop>>;

struct AdoptedRun {
  RunRow row;
  TimeMs locked_until_ms = 0;  // 0: its target was never locked
};

// A shard is live: where its answers go, and what had been started before.
struct AdoptShard {
  std::int64_t shard = 0;
  std::int64_t epoch = 0;
  cutter_actor cutter;
  std::shared_ptr<const Settings> settings;
  std::vector<AdoptedRun> runs;
  std::map<std::int64_t, std::string> owners;  // by epoch, as far as they were read
  TimeMs log_time_ms = 0;                      // of the newest record, by the log's clock
};
using AdoptShardPtr = std::shared_ptr<const AdoptShard>;

// Starts what committed records ask for, and brings the answers back as inputs.
using effect_gateway_actor = caf::typed_actor<caf::reacts_to<CommittedPtr>,
                                              // A shard is live: send its answers to this cutter,
                                              // and look after its unfinished steps.
                                              caf::reacts_to<AdoptShardPtr>,
                                              // A shard has ended: what still comes for it is
                                              // dropped, and asked again by the next incarnation.
                                              caf::reacts_to<ReleaseShard>,
                                              // A step or probe runner's answer.
                                              caf::reacts_to<EffectPtr>,
                                              // A timer: what was put off may be due.
                                              caf::reacts_to<Tick>>;

// Runs one shard: restoring → standby → claiming → live → draining, and starts it again when it
// falls.
using shard_supervisor_actor =
    caf::typed_actor<caf::reacts_to<Start>,
                     // This process should own the shard.
                     caf::reacts_to<TakeShard>,
                     // Another process should.
                     caf::reacts_to<GiveShardAway>,
                     // The journal that is followed may have more.
                     caf::reacts_to<Woken>,
                     // A timer: of the standby's own work.
                     caf::reacts_to<Tick>,
                     // Something in the shard has ended it.
                     caf::reacts_to<ShardFault>,
                     // Other settings are wanted.
                     caf::reacts_to<NewSettings>,
                     // A snapshot was written and should be named by the journal.
                     caf::reacts_to<SnapshotPtr>,
                     // Stop cleanly; answered when the last state is saved.
                     caf::replies_to<Stop>::with<Stop>>;

// Tells the other processes that this one is there, hears of them, and says who owns which shard.
using placement_actor =
    caf::typed_actor<caf::reacts_to<Start>,
                     // The presence topic may have more.
                     caf::reacts_to<Woken>,
                     // A timer: speak again.
                     caf::reacts_to<Tick>,
                     // A shard of this process stands elsewhere: others should know at once.
                     caf::reacts_to<ShardState>,
                     // This process is leaving; answered when the others have been told.
                     caf::replies_to<Stop>::with<Stop>>;

// Writes the saved state of owned shards to the bus when it is due.
using snapshot_actor = caf::typed_actor<caf::reacts_to<Start>,
                                        // A timer: look what is due.
                                        caf::reacts_to<Tick>>;

// Routes the signals of partitions that are beyond the number of shards.
using extra_partitions_actor =
    caf::typed_actor<caf::reacts_to<Start>,  // look whether there are any, again and again
                                             // A partition may have more, or its first message
                                             // should be tried again.
                     caf::reacts_to<Woken>,
                     // The log has answered the first message of a partition.
                     caf::reacts_to<std::int64_t, bool>>;

// Starts everything in its fixed order.
using root_supervisor_actor =
    caf::typed_actor<caf::reacts_to<Start>, caf::reacts_to<NewSettings>, caf::reacts_to<ShardState>,
                     // From the placement, passed on to the shard.
                     caf::reacts_to<TakeShard>, caf::reacts_to<GiveShardAway>,
                     caf::reacts_to<SnapshotPtr>, caf::reacts_to<Replaced>,
                     caf::replies_to<Stop>::with<Stop>>;

}  // namespace selfheal

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(selfheal::FollowJournalPtr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(selfheal::AdoptShardPtr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(selfheal::RelayedPtr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(selfheal::CutterWiringPtr)
