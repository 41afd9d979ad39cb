#include "decision/shard/commit_window.hpp"

#include "base/check.hpp"
#include "base/signature.hpp"

namespace selfheal {

CommitWindow::CommitWindow(Chain chain, std::string secret_hex)
    : speculative_(chain), committed_(std::move(chain)), secret_hex_(std::move(secret_hex)) {}

void CommitWindow::set_last_record(Offset offset, std::string hash) {
  last_offset_ = offset;
  last_record_hash_ = std::move(hash);
  last_value_.reset();
}

std::string CommitWindow::last_record_hash() const {
  return last_value_ ? to_hex(sha256(*last_value_)) : last_record_hash_;
}

JournalRecord next_record(const Chain& chain, JournalKind kind) {
  JournalRecord record;
  record.kind = kind;
  record.shard = chain.shard;
  record.epoch = chain.epoch;
  record.seq = chain.seq + 1;
  record.prev_hash = to_hex(chain.head);
  return record;
}

JournalRecord CommitWindow::next_record(JournalKind kind) const {
  return selfheal::next_record(speculative_, kind);
}

Result<std::string> CommitWindow::add(PendingRecord& pending) {
  pending.body = encode_body(pending.record);
  const Result<std::string> signature = sign(secret_hex_, pending.body);
  CHECK(signature, "the journal key cannot sign");
  std::string value = wrap_body(*signature, pending.body);
  if (value.size() > record_bytes_max) {
    return Error{ErrorCode::exhausted,
                 "a batch of " + std::to_string(value.size()) + " bytes does not fit a record"};
  }
  advance(speculative_, pending.record, pending.body);
  pending.head_after = speculative_.head;
  pending_.push_back(std::move(pending));
  return value;
}

std::optional<OwnerEnded> CommitWindow::delivered(std::int64_t seq, Offset offset) {
  for (PendingRecord& pending : pending_) {
    if (pending.record.seq != seq) continue;
    pending.delivered = true;
    if (!pending.read_back && offset >= 0 && offset < committed_.journal_next) {
      return OwnerEnded{"unknown_delivery",
                        "the journal was rewritten: a record was stored at offset " +
                            std::to_string(offset) +
                            ", and what was read there before was another"};
    }
  }
  return std::nullopt;
}

PendingRecord* CommitWindow::first_unread() {
  for (PendingRecord& pending : pending_) {
    if (!pending.read_back) return &pending;
  }
  return nullptr;
}

std::optional<OwnerEnded> CommitWindow::read(const RecordView& read, Acceptance& acceptance) {
  PendingRecord* expected = first_unread();
  const Result<SignedBody> parts = unwrap_body(read.value);
  const bool mine = expected != nullptr && parts && parts->body == expected->body;
  if (mine) {
    // What we signed ourselves need be neither decoded nor verified again.
    acceptance = accept_own(committed_, read, expected->record, expected->head_after);
  } else {
    JournalRecord record;
    acceptance = accept(committed_, read, record);
    if (acceptance == Acceptance::accepted) {
      return OwnerEnded{"fenced", "epoch " + std::to_string(record.epoch) + " by " + record.owner};
    }
  }
  last_offset_ = read.offset;
  last_value_ = read.value;
  if (mine && acceptance == Acceptance::accepted) {
    expected->read_back = true;
    expected->append_ms = read.append_time_ms;
    expected->offset = read.offset;
    return std::nullopt;
  }
  if (acceptance == Acceptance::newer_version) {
    return OwnerEnded{"corrupt", "a newer build has written to this journal: upgrade this one"};
  }
  if (mine) {
    return OwnerEnded{"refused_record", std::string("the journal does not accept our record: ") +
                                            to_string(acceptance)};
  }
  return std::nullopt;
}

std::optional<PendingRecord> CommitWindow::pop_committed() {
  if (pending_.empty() || !pending_.front().delivered || !pending_.front().read_back) {
    return std::nullopt;
  }
  PendingRecord done = std::move(pending_.front());
  pending_.pop_front();
  return done;
}

}  // namespace selfheal
