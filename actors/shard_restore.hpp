#pragma once
// Brings a shard back: saved pages, then the journal from there to its end, deciding each recorded
// cut again from its inputs and comparing. Plain blocking code over the bus and the store; used by
// the shard supervisor, and by replay and audit without any actor.
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "decision/shard/cut_planner.hpp"
#include "decision/shard/shard_fold.hpp"
#include "storage/page_store.hpp"
#include "topics/log.hpp"
#include "topics/topic_table.hpp"

namespace selfheal {

struct JournalWalkOptions {
  bool fold = true;  // decide again; otherwise only the chain is followed
  Signatures signatures = Signatures::verify;
  bool tolerate_lost_inputs = true;  // inputs that have expired: go on by the recorded events
};

// One record of the journal as the walk saw it.
struct WalkedRecord {
  const RecordView* read = nullptr;
  const JournalRecord* record = nullptr;  // null where it could not be decoded
  Acceptance acceptance = Acceptance::unreadable;
  const Chain* chain = nullptr;    // after it
  const Token* decided = nullptr;  // what deciding again gave; null where nothing was decided
  bool inputs_lost = false;
  bool other_fold = false;  // decided by another fold version than this program's
  std::string difference;   // empty: equal to what was recorded
};

// A shard's chain and state while a journal is read. Keeps the state by deciding each batch again.
class JournalWalk {
 public:
  JournalWalk(Log& log, const TopicNames& topics, std::int64_t shard, DecodeSignals decode,
              JournalWalkOptions options = {});

  // Begins at saved state instead of nothing.
  Result<void> load(const SavedShard& saved);
  // Reads on to `end`. Each record is shown to `visit`, which may stop the walk with an error.
  using Visit = std::function<Result<void>(const WalkedRecord&)>;
  Result<void> read_to(Offset end, const Visit& visit);
  // The same for records of the shard's journal that the caller has read, the next ones in order.
  Result<void> take(const RecordBatch& batch, const Visit& visit);
  // Gives the readers back that were kept for the next call.
  void close_readers();

  const Chain& chain() const { return chain_; }
  Chain& chain() { return chain_; }
  ShardFold& fold() { return fold_; }
  // As it should be saved now, with the rows changed since the last time.
  ShardChanges changes();
  const std::shared_ptr<const Settings>& settings() const { return fold_.settings(); }
  // Inputs had expired, so what was learnt from signals is not whole: whoever claims has to say so.
  bool has_lost_inputs() const { return has_lost_inputs_; }
  bool settings_pending() const { return settings_changed_; }
  Offset last_offset() const { return last_offset_; }
  const std::string& last_record_hash() const { return last_record_hash_; }
  TimeMs last_append_ms() const { return last_append_ms_; }

 private:
  Result<void> take_one(const RecordView& read, const Visit& visit);
  Result<void> decide_again(const Chain& before, const JournalRecord& record, WalkedRecord& walked);
  Chain chain_without_settings();
  Result<CutSupply> read_inputs(const Cut& cut);

  RangeReader& reader_of(const TopicPartition& where);

  Log& log_;
  TopicNames topics_;
  std::map<TopicPartition, RangeReader> readers_;
  CutPlanner planner_;
  JournalWalkOptions options_;
  ShardFold fold_;
  Chain chain_;
  bool settings_changed_ = false;
  bool has_lost_inputs_ = false;
  Token token_;
  Offset last_offset_ = -1;
  std::string last_record_hash_;
  TimeMs last_append_ms_ = 0;
};

// What is different between a recorded batch and what deciding again gave; empty where nothing is.
std::string difference(const JournalRecord& recorded, const Token& decided,
                       std::uint64_t state_hash);

// The record before the saved position is read again: a journal that was rewritten fails closed.
Result<void> check_saved_position(Log& log, const TopicNames& topics, const SavedShard& saved);

}  // namespace selfheal
