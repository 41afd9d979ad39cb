#pragma once
// The people of a simulated cluster: they read the journals, approve or deny what waits there, and
// end doubts; now and then twice or with a key that nobody trusts.
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "actors/shard_restore.hpp"
#include "tests/simulation/simulated_owner.hpp"

namespace selfheal::simulation {

class SimulatedPeople {
 public:
  explicit SimulatedPeople(SharedWorld& world);

  enum class Asked : std::uint8_t { everything, doubts };
  void answer(Asked asked);
  // The shard's journal has lost records that may have been read: it is read anew.
  void journal_was_rewritten(std::int64_t shard);

 private:
  // What waits for an answer in one journal, read on from where it was left.
  struct Reading {
    std::unique_ptr<JournalWalk> walk;
    std::map<std::string, std::string> waiting;  // proposal -> content hash
    std::set<std::string> doubtful;              // actions
  };

  static void take(Reading& reading, const JournalRecord& record);
  void read_on(std::int64_t shard);
  void resolve(std::int64_t shard, const std::string& action_id);
  void decide(std::int64_t shard, const std::string& proposal, const std::string& content_hash);

  SharedWorld& world_;
  std::vector<Reading> readings_;  // by shard
};

}  // namespace selfheal::simulation
