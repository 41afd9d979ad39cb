#pragma once
// Reads every topic of a cluster from its beginning and has the audits of decision/audit look at
// it: what `selfheal audit verify` does. Shares with the service only the events and their codecs,
// and for invariant 5 the code that decides. Shards are read side by side; what is reported does
// not depend on which of them is faster.
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "cli/journal_source.hpp"
#include "decision/audit/approval_audit.hpp"
#include "decision/audit/audit_report.hpp"
#include "decision/audit/chain_audit.hpp"
#include "decision/audit/chain_lives.hpp"
#include "decision/audit/effect_audit.hpp"
#include "decision/audit/input_audit.hpp"
#include "decision/audit/lock_audit.hpp"
#include "decision/audit/relay_audit.hpp"
#include "decision/audit/run_audit.hpp"
#include "storage/page_store.hpp"

namespace selfheal {

class JournalWalk;
class Progress;
struct WalkedRecord;

struct TopicAuditOptions {
  bool deep = false;              // all ten invariants; otherwise the chains and their signatures
  std::string public_key;         // only this key may have signed; empty: any
  bool everything_ended = false;  // nothing may be open or on its way any more
  std::string effects_file;       // what targets logged, a JSON object a line; empty: none
  PageStore* store = nullptr;     // of a stopped service
  std::string actions_folder;     // of a stopped service; empty: none
};

class TopicAudit {
 public:
  TopicAudit(const JournalSource& source, TopicAuditOptions options);

  // An error: something could not be read at all. What is wrong with what was read is in report().
  Result<void> run();

  const AuditReport& report() const { return found_.report; }
  const RecordCounts& counts() const { return found_.counts; }
  // Ignored records by reason.
  const std::map<std::string, std::int64_t>& ignored() const { return found_.ignored; }
  // The first record that no honest cluster writes; empty: there is none.
  const std::string& first_bad() const { return found_.first_bad; }
  std::size_t open_incidents() const { return found_.open_incidents; }

 private:
  // In one shard, or in all of them.
  struct Found {
    AuditReport report;
    RecordCounts counts;
    std::map<std::string, std::int64_t> ignored;
    std::string first_bad;
    std::size_t open_incidents = 0;

    void add(const Found& part);
  };
  // What is looked at in one shard.
  struct Shard {
    std::int64_t number = 0;
    Found& found;
    ChainAudit chain;
    RunAudit runs;
    ApprovalAudit approvals;
    RangeReader signals;
    RangeReader control;
    // What is kept of its inputs; asked for once, after the journal's end was.
    OffsetRange signals_kept;
    OffsetRange control_kept;
    std::map<std::int64_t, std::vector<SnapshotManifest>> snapshots;  // by seq of their state
    SavedShard saved;                                                 // of the store
    std::map<std::string, std::string> pages;                         // as of the last look
  };
  Result<void> find_ends();
  Result<void> audit_shard(std::int64_t number, Progress& progress, Found& found);
  Result<void> prepare(Shard& shard, Offset journal_end);
  Result<void> take(Shard& shard, JournalWalk& walk, const WalkedRecord& walked);
  Result<void> take_inputs(Shard& shard, const JournalRecord& record);
  Result<void> compare_state(Shard& shard, JournalWalk& walk, const WalkedRecord& walked);
  static void compare_pages(const Shard& shard, const std::string& place, const SavedShard& other);
  static void note_bad(const Shard& shard, const WalkedRecord& walked, const std::string& why);
  Result<void> find_snapshots(Shard& shard, Offset end);
  using TakeRecord =
      std::function<void(const RecordView&, std::int32_t partition, const LogReader&)>;
  Result<bool> read_topic(const std::string& topic, const TakeRecord& take);
  Result<void> read_letters();
  Result<void> read_decisions();
  Result<void> read_effects();
  Result<void> read_action_files();
  std::optional<std::string> control_at(std::int64_t shard, Offset offset);

  const JournalSource& source_;
  TopicAuditOptions options_;
  // How far each topic is looked at.
  std::vector<OffsetRange> journals_;  // by shard
  std::map<TopicPartition, Offset> output_ends_;
  Found found_;
  // Look across shards: each takes every chain in its order, and the chains in any order.
  std::mutex across_mutex_;
  ChainLives lives_;
  InputAudit inputs_;
  RelayAudit relays_;
  LockAudit locks_;
  EffectAudit effects_;
};

}  // namespace selfheal
