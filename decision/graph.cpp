#include "decision/graph.hpp"

#include <algorithm>
#include <array>
#include <tuple>

namespace selfheal {
namespace {

constexpr std::array<const char*, 4> tier_names = {"low", "medium", "high", "critical"};

Error invalid(std::string context) {
  return {ErrorCode::invalid, std::move(context)};
}

auto resource_key(const ResourceNode& resource) {
  return std::tuple<std::string_view, std::string_view>(resource.kind, resource.id);
}

Result<void> check_names(const std::vector<ServiceNode>& sorted) {
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    if (sorted[i].name.empty()) return invalid("a service of the graph has no name");
    if (i > 0 && sorted[i].name == sorted[i - 1].name) {
      return invalid("service '" + sorted[i].name + "' is in the graph twice");
    }
  }
  return {};
}

}  // namespace

const char* to_string(RiskTier tier) {
  return tier_names.at(static_cast<std::size_t>(tier));
}

Result<RiskTier> parse_risk_tier(std::string_view name) {
  for (std::size_t i = 0; i < tier_names.size(); ++i) {
    if (name == tier_names[i]) return static_cast<RiskTier>(i);
  }
  return invalid("risk tier '" + std::string(name) + "' is none of low, medium, high, critical");
}

Result<Graph> Graph::build(std::vector<ServiceNode> services, std::vector<ResourceNode> resources) {
  if (services.size() > services_max) {
    return Error{ErrorCode::exhausted, "the graph has " + std::to_string(services.size()) +
                                           " services; the limit is " +
                                           std::to_string(services_max)};
  }
  Graph graph;
  graph.services_ = std::move(services);
  graph.resources_ = std::move(resources);
  std::ranges::sort(graph.services_, {}, &ServiceNode::name);
  std::ranges::sort(graph.resources_, {}, resource_key);
  if (auto named = check_names(graph.services_); !named) return named.error();
  if (auto checked = graph.check_resources(); !checked) return checked.error();
  auto direct = graph.direct_dependents();
  if (!direct) return direct.error();
  graph.close_over(*direct);
  return graph;
}

Result<void> Graph::check_resources() const {
  for (std::size_t i = 0; i < resources_.size(); ++i) {
    const ResourceNode& resource = resources_[i];
    const std::string title = "resource '" + resource.kind + "/" + resource.id + "'";
    if (resource.kind.empty() || resource.id.empty()) {
      return invalid(title + " of service '" + resource.service + "' lacks a kind or an id");
    }
    if (i > 0 && resource_key(resource) == resource_key(resources_[i - 1])) {
      return invalid(title + " is in the graph twice");
    }
    if (!contains(resource.service)) {
      return invalid(title + " belongs to service '" + resource.service +
                     "', which the graph does not know");
    }
  }
  return {};
}

Result<std::vector<std::vector<std::uint32_t>>> Graph::direct_dependents() const {
  std::vector<std::vector<std::uint32_t>> direct(services_.size());
  for (std::size_t i = 0; i < services_.size(); ++i) {
    for (const std::string& dependency : services_[i].depends_on) {
      const std::size_t index = index_of(dependency);
      if (index == unknown) {
        return invalid("service '" + services_[i].name + "' depends on '" + dependency +
                       "', which the graph does not know");
      }
      direct[index].push_back(static_cast<std::uint32_t>(i));
    }
  }
  return direct;
}

// One search from every service: proportional to the size of the answer, which for real graphs is
// far below the number of pairs.
void Graph::close_over(const std::vector<std::vector<std::uint32_t>>& direct) {
  words_per_row_ = (services_.size() + 63) / 64;
  reach_.assign(services_.size() * words_per_row_, 0);
  std::vector<std::uint32_t> open;
  for (std::size_t root = 0; root < services_.size(); ++root) {
    open.assign(1, static_cast<std::uint32_t>(root));
    while (!open.empty()) {
      const std::uint32_t at = open.back();
      open.pop_back();
      for (const std::uint32_t next : direct[at]) {
        // The root counts as reached from the start: a cycle must not bring it in.
        if (next == root || reaches(root, next)) continue;
        reach_[root * words_per_row_ + next / 64] |= std::uint64_t{1} << (next % 64);
        open.push_back(next);
      }
    }
  }
}

std::size_t Graph::index_of(std::string_view service) const {
  const auto found = std::ranges::lower_bound(
      services_, service, {},
      [](const ServiceNode& node) -> std::string_view { return node.name; });
  if (found == services_.end() || found->name != service) return unknown;
  return static_cast<std::size_t>(found - services_.begin());
}

const ServiceNode* Graph::node(std::string_view service) const {
  const std::size_t index = index_of(service);
  return index == unknown ? nullptr : &services_[index];
}

const ResourceNode* Graph::resource(std::string_view kind, std::string_view id) const {
  const std::tuple key(kind, id);
  const auto found = std::ranges::lower_bound(resources_, key, {}, resource_key);
  if (found == resources_.end() || resource_key(*found) != key) return nullptr;
  return &*found;
}

std::vector<std::string> Graph::dependents(std::string_view service) const {
  std::vector<std::string> names;
  const std::size_t root = index_of(service);
  if (root == unknown) return names;
  for (std::size_t i = 0; i < services_.size(); ++i) {
    if (reaches(root, i)) names.push_back(services_[i].name);
  }
  return names;
}

BlastRadius Graph::blast_radius(std::string_view service) const {
  BlastRadius radius;
  radius.known = contains(service);
  radius.services = dependents(service);
  radius.count =
      std::min(static_cast<std::int64_t>(radius.services.size()), blast_radius_count_max);
  return radius;
}

bool Graph::is_upstream(std::string_view root, std::string_view of) const {
  const std::size_t root_index = index_of(root);
  const std::size_t of_index = index_of(of);
  return root_index != unknown && of_index != unknown && reaches(root_index, of_index);
}

}  // namespace selfheal
