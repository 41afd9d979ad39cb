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
};

TopicNames topic_names(const std::string& prefix);

// What `topics create` makes. The journal keeps its records a year by default, because the audit
// and replay reach as far back as it does; inputs keep a week.
std::vector<TopicSpec> topic_specs(const std::string& prefix, std::int32_t partitions);

}  // namespace selfheal
