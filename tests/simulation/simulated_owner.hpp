#pragma once
// One shard as one machine of a simulated cluster owns it: restoring, claiming, cutting, committing
// and acting by the same pure code as the actors, one small step at a time, so that a crash can
// come between any two of them.
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "actors/shard_restore.hpp"
#include "decision/shard/commit_window.hpp"
#include "storage/page_store.hpp"
#include "tests/simulation/poison_stage.hpp"
#include "tests/simulation/simulated_snapshots.hpp"
#include "tests/simulation/simulated_target.hpp"
#include "topics/memory_log.hpp"
#include "topics/presence.hpp"
#include "topics/signal_decoder.hpp"

namespace selfheal::simulation {

// A small generator of its own: the same seed gives the same run with every library.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next();
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }
  bool chance(double probability);

 private:
  std::uint64_t state_;
};

// What the machines share.
struct SharedWorld {
  // Two partitions once in `sides` throws, else one.
  SharedWorld(std::uint64_t seed, std::uint64_t sides)
      : dice(seed), log(MemoryLog::Delivery::queued), partitions(dice.below(sides) == 1 ? 2 : 1) {}
  // Where the signals of a shard end; 0 for the fleet's shard, which takes none.
  Offset signals_end(std::int64_t shard) {
    if (topics.is_fleet(shard)) return 0;
    return log.range({topics.signals, static_cast<std::int32_t>(shard)})->end;
  }

  Dice dice;
  MemoryLog log;
  TopicNames topics;
  SimulatedTarget target;
  TimeMs now_ms = 0;
  std::string settings;
  int reloads = 0;  // how often the settings have been replaced
  std::string public_key;
  std::string secret_key;
  const std::int64_t partitions;
  double effect_fails = 0.2;
  double shim_dies = 0.02;
  double misrouted = 0;   // how often a signal comes to any partition instead of its own
  double reads_late = 0;  // how often an owner goes on without having looked at the journal
  double claims = 1;      // how often an owner that may claim does, instead of following on
  PoisonRecords poison;
  SimulatedSnapshots snapshots;
  DecodeSignals decode = [decoder = std::make_shared<SignalDecoder>()](const RecordView& record,
                                                                       SignalBatch& batch) {
    decoder->decode(record, batch);
  };
};

class SimulatedOwner {
 public:
  SimulatedOwner(SharedWorld& world, PageStore& store, std::string name, std::int64_t shard,
                 DurationMs clock_skew_ms);

  // One step of whatever comes next; true where something was done.
  bool step();
  // Loses everything in memory. The page store stays.
  void crash();
  bool is_live() const { return window_ != nullptr; }
  // Whether placement wants this machine to claim the shard. Without orders it follows, as a
  // standby does.
  void set_ordered(bool ordered) { ordered_ = ordered; }
  // What this machine says of the shard.
  ShardPresence presence() const;
  const Chain* committed() const { return window_ ? &window_->committed() : nullptr; }
  // Nothing to cut, nothing in flight, nothing outside that has not answered.
  bool idle() const;
  // Saves the live state, once settled.
  void save();
  // The pages of the live state, saved first.
  void visit_pages(const std::function<void(std::string_view key, std::string_view value)>& visit);
  const std::string& trouble() const { return trouble_; }
  // What went wrong has been looked at; what comes after it is new.
  void forget_trouble() { trouble_.clear(); }

 private:
  bool restore();
  Result<SavedShard> load_state();
  bool snapshot();
  void point_to_snapshot(const PendingRecord& committed);
  bool claim();
  bool wants_to_claim();
  bool is_owner_in_chain() const;
  bool follow();
  void go_live();
  void take_over_runs();
  bool read_back();
  bool wants_settings() const { return reloads_taken_ != world_.reloads; }
  // Their record is on its way, and nothing is cut before it.
  bool waits_for_settings() const {
    return window_->speculative().generation != window_->committed().generation;
  }
  void reload();
  bool cut();
  bool decide(CutSupply supply);
  bool skip(const CutSupply& supply);
  bool record_failure();
  void append(PendingRecord pending);
  bool act();
  bool take_effect_ends();
  void on_committed(const PendingRecord& committed);
  void relay(const JournalRecord& record);
  void end();
  TimeMs clock_ms() const { return world_.now_ms + skew_ms_; }

  SharedWorld& world_;
  PageStore& store_;
  std::string name_;
  std::int64_t shard_ = 0;
  DurationMs skew_ms_ = 0;

  std::unique_ptr<JournalWalk> walk_;
  std::unique_ptr<CommitWindow> window_;
  std::unique_ptr<ShardFold> fold_;
  std::unique_ptr<CutPlanner> planner_;
  std::unique_ptr<LogReader> journal_;
  std::unique_ptr<LogReader> signals_;
  std::unique_ptr<LogReader> control_;
  std::shared_ptr<const Settings> settings_;
  bool settings_changed_ = false;
  int reloads_taken_ = 0;
  bool follow_up_ = true;
  bool ordered_ = true;
  bool claimed_pending_ = false;
  std::optional<Cut> failed_;  // could not be decided, and is not in the journal yet
  bool stopped_ = false;       // this incarnation cuts no more
  std::string claim_body_;
  TimeMs next_due_ms_ = 0;
  TimeMs log_time_ms_ = 0;
  std::deque<EmbeddedInput> inputs_;
  std::deque<std::pair<std::string, RunStarted>> to_start_;  // service, start
  std::vector<RunStarted> awaited_;
  std::map<std::string, RunIntent> intents_;
  std::optional<SnapshotManifest> written_;  // a snapshot that the journal does not name yet
  Offset snapshot_next_ = -2;  // saved_next_ as of the last snapshot of this incarnation
  Offset saved_next_ = -1;     // the journal position of the last save of this incarnation
  std::string trouble_;
  int incarnation_ = 0;
};

}  // namespace selfheal::simulation
