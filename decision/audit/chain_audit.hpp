#pragma once
// Invariant 1: the journal's rule once more, in other words than the one that every reader applies
// (topics/journal.cpp), so that a mistake there does not hide itself. Not thread-safe.
#include <string>

#include "decision/audit/audit_report.hpp"
#include "topics/journal.hpp"

namespace selfheal {

class ChainAudit {
 public:
  explicit ChainAudit(std::int64_t shard) : shard_(shard) {}

  // The next record of the shard's journal, accepted or not, and whether it was accepted elsewhere.
  void take(const RecordView& read, bool accepted, AuditReport& report);

  const Sha256& head() const { return head_; }
  std::int64_t seq() const { return seq_; }

 private:
  // Why the record does not extend the chain; empty where it does.
  std::string obstacle(const RecordView& read, const JournalRecord& record,
                       const SignedBody& parts) const;
  std::string cut_obstacle(const RecordView& read, const JournalRecord& record) const;
  void extend(const JournalRecord& record, std::string_view body);

  std::int64_t shard_;
  std::int64_t epoch_ = 0;
  std::int64_t seq_ = 0;
  Sha256 head_{};
  std::string key_;
  std::int64_t signals_ = 0;
  std::int64_t control_ = 0;
  TimeMs tick_ms_ = 0;
};

}  // namespace selfheal
