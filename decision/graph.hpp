#pragma once
// The health graph: services, the resources they run on, and who depends on whom.
// Built once and then constant; a changed graph is a new Graph. Safe to read from any thread.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace selfheal {

// How much it costs when a service is down; in rising order, so that tiers can be compared.
enum class RiskTier : std::uint8_t { low, medium, high, critical };

// The lower-case name of a tier, and back; the latter fails with ErrorCode::invalid.
const char* to_string(RiskTier tier);
Result<RiskTier> parse_risk_tier(std::string_view name);

struct ServiceNode {
  std::string name;
  RiskTier risk_tier = RiskTier::medium;
  std::vector<std::string> depends_on;  // names of services of the same graph; cycles are allowed
  std::int64_t replicas = 1;            // shown beside the blast radius, never subtracted from it
  std::string profile;                  // names the thresholds that apply; empty: the default ones
  bool operator==(const ServiceNode&) const = default;
};

// Something a service runs on: an instance, a disk, a database.
struct ResourceNode {
  std::string kind;
  std::string id;  // unique within its kind
  std::string service;
  bool operator==(const ResourceNode&) const = default;
};

inline constexpr std::int64_t blast_radius_count_max = 10;

struct BlastRadius {
  std::int64_t count = 0;             // of `services`, capped at blast_radius_count_max
  std::vector<std::string> services;  // every transitive dependent, sorted, never the subject
  bool known = false;                 // false: not in the graph, so the radius is not zero but open
  bool operator==(const BlastRadius&) const = default;
};

class Graph {
 public:
  // Reachability takes a bit for every pair of services: 50 MB at this limit.
  static constexpr std::size_t services_max = 20'000;

  Graph() = default;  // knows nothing

  // Fails with ErrorCode::invalid on an empty or repeated name and on a reference to a service
  // that is not in the list (naming both ends), with ErrorCode::exhausted above services_max.
  static Result<Graph> build(std::vector<ServiceNode> services,
                             std::vector<ResourceNode> resources = {});

  bool contains(std::string_view service) const { return node(service) != nullptr; }

  // Null where the graph does not know the name; valid as long as the graph.
  const ServiceNode* node(std::string_view service) const;
  const ResourceNode* resource(std::string_view kind, std::string_view id) const;

  // All services, sorted by name.
  const std::vector<ServiceNode>& services() const { return services_; }
  // All resources, sorted by kind and then id.
  const std::vector<ResourceNode>& resources() const { return resources_; }

  // Everything that fails, directly or not, when `service` does: sorted by name, never `service`
  // itself even on a cycle. Empty for an unknown name; ask blast_radius() to tell the two apart.
  std::vector<std::string> dependents(std::string_view service) const;
  BlastRadius blast_radius(std::string_view service) const;

  // Whether `of` depends on `root`, directly or not. Two services of one cycle are upstream of
  // each other; no service is upstream of itself.
  bool is_upstream(std::string_view root, std::string_view of) const;

 private:
  static constexpr std::size_t unknown = static_cast<std::size_t>(-1);

  std::size_t index_of(std::string_view service) const;
  Result<std::vector<std::vector<std::uint32_t>>> direct_dependents() const;
  Result<void> check_resources() const;
  void close_over(const std::vector<std::vector<std::uint32_t>>& direct);
  bool reaches(std::size_t root, std::size_t dependent) const {
    return (reach_[root * words_per_row_ + dependent / 64] >> (dependent % 64) & 1) != 0;
  }

  std::vector<ServiceNode> services_;    // sorted by name: a service's index is its rank
  std::vector<ResourceNode> resources_;  // sorted by (kind, id)
  // Row r, bit d: service d depends on service r, directly or not. The diagonal is always 0.
  std::vector<std::uint64_t> reach_;
  std::size_t words_per_row_ = 0;
};

}  // namespace selfheal
