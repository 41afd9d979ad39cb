#pragma once
// Invariant 6, as far as others can see it: the decisions topic says exactly what the journal says,
// nothing more, and nothing of it is missing. Not thread-safe.
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "decision/audit/audit_report.hpp"
#include "decision/audit/chain_lives.hpp"
#include "topics/journal.hpp"

namespace selfheal {

class RelayAudit {
 public:
  explicit RelayAudit(std::string topics_prefix) : prefix_(std::move(topics_prefix)) {}

  // Accepted records of all chains, in any order; then every record of the decisions topic. What
  // another fold version decided, its build has told in its own words: they are not compared.
  void take(const JournalRecord& record, bool same_fold);
  void take_decision(const RecordView& read, std::int32_t partition, AuditReport& report);
  // `whole`: nothing of the topic has expired.
  void compare(bool whole, bool everything_ended, const ChainLives& lives, AuditReport& report);

 private:
  struct Expected {
    std::uint64_t hash = 0;
    std::int64_t shard = 0;
    TimeMs tick_ms = 0;
    bool same_fold = true;
    bool found = false;
  };
  std::string prefix_;
  std::map<std::string, Expected, std::less<>> expected_;  // by id
};

}  // namespace selfheal
