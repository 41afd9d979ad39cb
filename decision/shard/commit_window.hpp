#pragma once
// An owner's view of its own records on their way through the log: what is decided and not
// committed, and when a record is. Committed means both: the log said that it is stored, and it was
// read back where it extends the chain. Pure; the committer actor and the simulator drive the same
// code.
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "decision/settings.hpp"
#include "topics/journal.hpp"

namespace selfheal {

// A record of ours, with what its owner wants to remember until it is committed.
struct PendingRecord {
  JournalRecord record;
  std::string body;
  Sha256 head_after{};  // of the chain behind it; set by CommitWindow::add
  std::shared_ptr<const Settings> settings;
  std::vector<std::int64_t> signals_by_type;
  TimeMs oldest_signal_ms = 0;
  std::int64_t produced_us = 0;
  bool delivered = false;
  bool read_back = false;
  TimeMs append_ms = 0;  // by the log's clock
  Offset offset = -1;
};

// Why an owner must stop deciding and begin again from the journal.
struct OwnerEnded {
  std::string kind;  // fenced, refused, corrupt, unknown_delivery, bug
  std::string reason;
};

// A record of that kind, no claim, at the place behind the chain's end.
JournalRecord next_record(const Chain& chain, JournalKind kind);

class CommitWindow {
 public:
  // `chain` as read, with everything in it accepted. `secret_hex` signs.
  CommitWindow(Chain chain, std::string secret_hex);

  const Chain& speculative() const { return speculative_; }
  const Chain& committed() const { return committed_; }
  Offset last_offset() const { return last_offset_; }
  std::string last_record_hash() const;
  void set_last_record(Offset offset, std::string hash);
  bool idle() const { return pending_.empty(); }
  std::size_t in_flight() const { return pending_.size(); }

  // A record of that kind at the next place.
  JournalRecord next_record(JournalKind kind) const;
  // Takes `pending`, moves the speculative chain and returns the value to append. exhausted: it
  // does not fit, and neither the chain nor `pending.record` has changed.
  Result<std::string> add(PendingRecord& pending);
  // The log has stored it, at that offset (-1: it did not say). An owner has ended where it has
  // read beyond that offset without seeing the record: the log lost its tail and has grown again.
  std::optional<OwnerEnded> delivered(std::int64_t seq, Offset offset = -1);
  // One record as read from the journal. `ignored` is told where it is not accepted.
  std::optional<OwnerEnded> read(const RecordView& read, Acceptance& acceptance);
  // The next record that has become committed, in order.
  std::optional<PendingRecord> pop_committed();

 private:
  PendingRecord* first_unread();

  Chain speculative_;
  Chain committed_;
  std::string secret_hex_;
  Offset last_offset_ = -1;
  // The hash is asked for at a save only, so the bytes are kept instead of hashing each record.
  std::string last_record_hash_;
  std::optional<std::string> last_value_;  // none: the hash was given
  std::deque<PendingRecord> pending_;
};

}  // namespace selfheal
