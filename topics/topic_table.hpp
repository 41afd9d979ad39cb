#pragma once
// The topics by name. The prefix is configurable; everything behind it is fixed.
#include <cstdint>
#include <string>
#include <vector>

#include "topics/log.hpp"

namespace selfheal {

struct TopicNames {
  std::string signals;
  std::string control;
  std::string journal;
  std::string snapshots;
  std::string decisions;
  std::string deadletter;
  std::string fleet_control;
  std::string fleet_journal;
  std::string presence;
  std::string snapshot_pointers;
  std::int64_t partitions = 0;  // of the inputs; 0 where only the names are wanted

  // The fleet's shard comes after those of the services and has topics of its own, with one
  // partition.
  bool is_fleet(std::int64_t shard) const { return partitions > 0 && shard == partitions; }
  TopicPartition journal_of(std::int64_t shard) const;
  TopicPartition control_of(std::int64_t shard) const;
  // The partition of a shard's own on the topics that all shards share: snapshots, dead letters,
  // and decisions that belong to no service. The fleet's shard uses the first.
  std::int32_t partition_of(std::int64_t shard) const;
};

TopicNames topic_names(const std::string& prefix, std::int64_t partitions = 0);

// What `topics create` makes. The journal keeps its records a year by default, because the audit
// and replay reach as far back as it does; inputs keep a week.
std::vector<TopicSpec> topic_specs(const std::string& prefix, std::int32_t partitions);

}  // namespace selfheal
