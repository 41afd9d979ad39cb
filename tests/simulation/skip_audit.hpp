#pragma once
// Invariant 2, as far as records are left out: exactly those that killed their shard twice.
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/simulation/poison_stage.hpp"
#include "topics/journal.hpp"
#include "topics/topic_table.hpp"

namespace selfheal::simulation {

class SkipAudit {
 public:
  explicit SkipAudit(const TopicNames& topics) : topics_(topics) {}

  // Accepted records in chain order.
  void take(const JournalRecord& record) {
    if (record.kind == JournalKind::failed && record.cut.records() == 1) {
      ++killed_[first_of(record, record.cut.control_end > record.cut.control_begin)];
    }
    if (record.kind != JournalKind::skip) return;
    const auto left_out = first_of(record, record.topic_kind == "control");
    if (record.cut.records() != 1 || killed_[left_out] < 2) {
      wrong_.push_back("2: a record is skipped that has not killed its shard twice");
    }
    skipped_.insert(left_out);
  }

  // What is wrong, given the records that hit a bug, of all shards.
  std::vector<std::string> finish(std::int64_t shard, const PoisonRecords& poison) {
    PoisonRecords expected;
    for (const auto& each : poison) {
      const bool signals = each.first.topic == topics_.signals && each.first.partition == shard;
      if (signals || each.first == topics_.control_of(shard)) expected.insert(each);
    }
    if (skipped_ != expected) {
      wrong_.push_back("2: shard " + std::to_string(shard) + " skips " +
                       std::to_string(skipped_.size()) + " records, " +
                       std::to_string(expected.size()) + " are poisonous");
    }
    return wrong_;
  }

 private:
  std::pair<TopicPartition, Offset> first_of(const JournalRecord& record, bool control) const {
    if (control) return {topics_.control_of(record.shard), record.cut.control_begin};
    const auto partition = static_cast<std::int32_t>(record.shard);
    return {{topics_.signals, partition}, record.cut.signals_begin};
  }

  const TopicNames& topics_;
  std::map<std::pair<TopicPartition, Offset>, int> killed_;  // how often, when cut alone
  PoisonRecords skipped_;
  std::vector<std::string> wrong_;
};

}  // namespace selfheal::simulation
