#pragma once
// Invariant 2: every input lies in exactly one cut or skip of its shard, is the one that was
// decided on, and what a shard said to another arrived once. That cuts follow each other without
// gap or overlap is part of the chain (chain_audit.hpp). Not thread-safe.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>

#include "decision/audit/audit_report.hpp"
#include "decision/audit/chain_lives.hpp"
#include "topics/journal.hpp"

namespace selfheal {

class InputAudit {
 public:
  explicit InputAudit(std::int64_t shards_of_services) : shards_(shards_of_services) {}

  // An accepted record, each chain's in order; and the records of its cut as they are on the bus
  // now, signals and then control. None: they have expired.
  void take(const JournalRecord& record, const std::optional<std::vector<RecordView>>& inputs,
            AuditReport& report);

  // A dead letter as found on its topic.
  void take_letter(const Headers& headers, AuditReport& report);

  // Once all chains and the dead letters were taken. Unless everything has ended, the last records
  // of a chain may tell of what is beyond the end of the part of another that was taken.
  void compare(bool everything_ended, const ChainLives& lives, AuditReport& report);
  // False: the oldest letters have expired.
  void set_letters_whole(bool whole) { letters_whole_ = whole; }

 private:
  using Source = std::tuple<std::int64_t, std::int64_t, std::int64_t>;  // shard, seq, k
  struct Sent {
    std::int64_t target = 0;
    std::int64_t signals = 0;
    TimeMs tick_ms = 0;
    bool arrived = false;
  };
  struct Letter {
    std::int64_t shard = 0;
    std::string place;
    TimeMs tick_ms = 0;
    bool found = false;
  };
  void take_event(const JournalRecord& record, std::size_t k, AuditReport& report);

  std::int64_t shards_;
  std::map<Source, Sent> sent_;
  struct Arrival {
    std::int64_t target = 0;
    std::int64_t signals = 0;
    std::string place;
    TimeMs tick_ms = 0;
  };
  std::vector<std::pair<Source, Arrival>>
      arrivals_;                           // whose chain may be taken before the sender's
  std::map<std::string, Letter> letters_;  // "<partition>:<offset>:<line>" with the topic
  bool letters_whole_ = true;
  TimeMs newest_ms_ = 0;
};

}  // namespace selfheal
