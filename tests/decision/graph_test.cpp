#include "decision/graph.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace selfheal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

ServiceNode service(std::string name, std::vector<std::string> depends_on = {}) {
  ServiceNode node;
  node.name = std::move(name);
  node.depends_on = std::move(depends_on);
  return node;
}

Graph build(std::vector<ServiceNode> services, std::vector<ResourceNode> resources = {}) {
  auto graph = Graph::build(std::move(services), std::move(resources));
  EXPECT_TRUE(graph.has_value()) << graph.error().context;
  return *graph;
}

std::string error_of(std::vector<ServiceNode> services, std::vector<ResourceNode> resources = {}) {
  const auto graph = Graph::build(std::move(services), std::move(resources));
  EXPECT_FALSE(graph.has_value());
  return graph.has_value() ? "" : graph.error().context;
}

TEST(Graph, ShippedGraphHasTheExpectedBlastRadii) {
  const Graph graph = build({
      service("core.reflection_service"),
      service("core.database", {"core.reflection_service", "core.task_executor"}),
      service("core.task_executor", {"core.database"}),
      service("core.trigger_mesh"),
  });
  EXPECT_EQ(graph.blast_radius("core.reflection_service").count, 2);
  EXPECT_EQ(graph.blast_radius("core.database").count, 1);
  EXPECT_EQ(graph.blast_radius("core.task_executor").count, 1);
  EXPECT_EQ(graph.blast_radius("core.trigger_mesh").count, 0);
  EXPECT_THAT(graph.blast_radius("core.reflection_service").services,
              ElementsAre("core.database", "core.task_executor"));
  EXPECT_THAT(graph.dependents("core.database"), ElementsAre("core.task_executor"));
}

TEST(Graph, CountsTransitiveDependentsOnceAndNeverItself) {
  // A diamond below a, a cycle b-d, and d depending on itself.
  const Graph graph = build({service("a"), service("b", {"a", "d"}), service("c", {"a", "a"}),
                             service("d", {"b", "c", "d"})});
  EXPECT_THAT(graph.dependents("a"), ElementsAre("b", "c", "d"));
  EXPECT_THAT(graph.dependents("b"), ElementsAre("d"));
  EXPECT_THAT(graph.dependents("c"), ElementsAre("b", "d"));
  EXPECT_THAT(graph.dependents("d"), ElementsAre("b"));
}

TEST(Graph, CapsTheCountButNotTheList) {
  std::vector<ServiceNode> chain = {service("s100")};
  for (int i = 101; i < 300; ++i) {
    chain.push_back(service("s" + std::to_string(i), {"s" + std::to_string(i - 1)}));
  }
  const Graph graph = build(std::move(chain));
  const BlastRadius radius = graph.blast_radius("s100");
  EXPECT_EQ(radius.count, 10);
  EXPECT_EQ(radius.services.size(), 199U);
  EXPECT_TRUE(std::ranges::is_sorted(radius.services));
  EXPECT_EQ(graph.blast_radius("s290").count, 9);
  EXPECT_EQ(graph.blast_radius("s299").count, 0);
}

TEST(Graph, UpstreamFollowsDependencies) {
  const Graph graph = build({service("database"), service("api", {"database"}),
                             service("site", {"api"}), service("x", {"y"}), service("y", {"x"})});
  EXPECT_TRUE(graph.is_upstream("database", "site"));
  EXPECT_FALSE(graph.is_upstream("site", "database"));
  EXPECT_FALSE(graph.is_upstream("api", "api"));
  EXPECT_TRUE(graph.is_upstream("x", "y"));
  EXPECT_TRUE(graph.is_upstream("y", "x"));
  EXPECT_FALSE(graph.is_upstream("x", "x"));
  EXPECT_FALSE(graph.is_upstream("database", "nobody"));
  EXPECT_FALSE(graph.is_upstream("nobody", "database"));
}

TEST(Graph, UnknownSubjectIsMarkedAsUnknown) {
  const Graph graph = build({service("api")});
  EXPECT_TRUE(graph.blast_radius("api").known);
  EXPECT_FALSE(graph.blast_radius("nobody").known);
  EXPECT_FALSE(graph.contains("nobody"));
  EXPECT_EQ(graph.node("nobody"), nullptr);
  EXPECT_THAT(graph.dependents("nobody"), IsEmpty());
  EXPECT_FALSE(Graph().contains("api"));
}

TEST(Graph, FindsNodesAndResources) {
  ServiceNode database = service("database");
  database.risk_tier = RiskTier::critical;
  const Graph graph = build({service("zeta"), database},
                            {{"Instance", "i-2", "zeta"}, {"Disk", "d-1", "database"}});
  ASSERT_NE(graph.node("database"), nullptr);
  EXPECT_EQ(*graph.node("database"), database);
  ASSERT_NE(graph.resource("Instance", "i-2"), nullptr);
  EXPECT_EQ(graph.resource("Instance", "i-2")->service, "zeta");
  EXPECT_EQ(graph.resource("Instance", "d-1"), nullptr);
  EXPECT_EQ(graph.services().front().name, "database");
  EXPECT_EQ(graph.resources().front().kind, "Disk");
}

TEST(Graph, DoesNotDependOnTheOrderOfItsInput) {
  const Graph forward = build({service("a"), service("b", {"a"}), service("c", {"b"})});
  const Graph backward = build({service("c", {"b"}), service("b", {"a"}), service("a")});
  EXPECT_EQ(forward.services(), backward.services());
  EXPECT_EQ(forward.blast_radius("a"), backward.blast_radius("a"));
}

TEST(Graph, RefusesBrokenInputByName) {
  EXPECT_THAT(error_of({service("api"), service("api")}), HasSubstr("'api' is in the graph twice"));
  EXPECT_THAT(error_of({service("")}), HasSubstr("no name"));
  EXPECT_THAT(error_of({service("api", {"data"})}), HasSubstr("'api' depends on 'data'"));
  EXPECT_THAT(error_of({service("api")}, {{"Disk", "d", "data"}}),
              HasSubstr("'Disk/d' belongs to service 'data'"));
  EXPECT_THAT(error_of({service("api")}, {{"Disk", "d", "api"}, {"Disk", "d", "api"}}),
              HasSubstr("'Disk/d' is in the graph twice"));
  EXPECT_THAT(error_of({service("api")}, {{"", "d", "api"}}), HasSubstr("lacks a kind or an id"));
  const auto crowded = Graph::build(std::vector<ServiceNode>(Graph::services_max + 1));
  ASSERT_FALSE(crowded.has_value());
  EXPECT_EQ(crowded.error().code, ErrorCode::exhausted);
}

TEST(RiskTier, NamesAreStable) {
  for (const RiskTier tier :
       {RiskTier::low, RiskTier::medium, RiskTier::high, RiskTier::critical}) {
    const auto parsed = parse_risk_tier(to_string(tier));
    ASSERT_TRUE(parsed.has_value());
    EXPECT_EQ(*parsed, tier);
  }
  EXPECT_FALSE(parse_risk_tier("High").has_value());
}

}  // namespace
}  // namespace selfheal
