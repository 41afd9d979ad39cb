#pragma once
// The whole service as one object without actors in its interface: what main starts and stops.
#include <memory>
#include <string>

#include "actors/environment.hpp"

namespace selfheal {

struct ShardStatus {
  std::int64_t shard = 0;
  std::string state;
  std::string reason;
  std::string owner;          // the process that owns it, as far as is known
  TimeMs owner_until_ms = 0;  // see ShardPlace; 0: no other process is asked
  TimeMs snapshot_ms = 0;     // where it is owned here: of its newest snapshot; 0: none
  std::string unsaved;        // why its state is not saved on disk; empty where it is
};

class Service {
 public:
  explicit Service(EnvironmentPtr environment);
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  void start();
  bool ready() const;  // every shard is live here, or followed to its end
  std::vector<ShardStatus> shards() const;
  // Validated settings as canonical JSON; each shard journals them at its next cut.
  void activate(const std::string& settings);
  // Ends every shard and waits; what is committed stays committed.
  void stop();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace selfheal
