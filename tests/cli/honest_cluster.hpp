#pragma once
// A small simulated cluster in which nothing goes wrong but what selfheal is for: what it writes is
// what audits and golden journals are tried on.
#include <memory>
#include <string>
#include <vector>

#include "cli/journal_source.hpp"
#include "tests/simulation/simulated_owner.hpp"

namespace selfheal {

constexpr std::int32_t honest_partitions = 2;

// A record of any topic, in the order of its partition.
struct StoredRecord {
  TopicPartition where;
  TimeMs append_ms = 0;
  NewRecord record;
};

// One service is healed by policy, one after a person's word, one is not healed and its run undone;
// a signal comes to the wrong partition, one cannot be read, and one record kills its shard.
class HonestCluster {
 public:
  HonestCluster();
  std::vector<StoredRecord> records();

  MemoryPageStore store;

 private:
  void run(int steps);
  void live();
  void signal(std::int32_t partition, const std::string& text);
  void probe();
  void probe_for(int rounds);
  void approve();

  simulation::SharedWorld world_;
  std::vector<std::unique_ptr<simulation::SimulatedOwner>> owners_;
};

// Adds what the service's relay puts on the topics of decisions and dead letters, which simulated
// owners do not.
void relay_decisions(std::vector<StoredRecord>& records);

// The records as a bus.
JournalSource source_of(const std::vector<StoredRecord>& records);

}  // namespace selfheal
