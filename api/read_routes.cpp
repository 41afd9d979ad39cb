// Routes that only look.
#include <algorithm>
#include <array>
#include <set>

#include "api/routes.hpp"
#include "base/parse_number.hpp"

namespace selfheal {

std::string event_text(const Json& decision) {
  return "id: " + decision.value("id", "") + "\ndata: " + dump(decision) + "\n\n";
}

namespace read_routes {
namespace {

constexpr std::size_t audit_max = 1000;
constexpr std::size_t audit_default = 100;

const ReadModel& model(const ApiContext& context) {
  return *context.environment().read_model;
}

std::size_t limit_of(const ApiRequest& request, std::size_t otherwise) {
  return parse_number<std::size_t>(request.parameter("limit")).value_or(otherwise);
}

DocumentQuery query_of(const ApiRequest& request) {
  DocumentQuery query;
  query.state = request.parameter("state");
  query.service = request.parameter("service");
  query.limit = limit_of(request, query.limit);
  return query;
}

std::vector<Json> shards_of(const ApiContext& context) {
  return context.options.shards ? context.options.shards() : std::vector<Json>();
}

// Why what is shown may lack what others know; empty where it is complete.
std::string why_incomplete(const ApiContext& context) {
  if (!context.options.ready || context.options.ready()) return {};
  for (const Json& shard : shards_of(context)) {
    const std::string why = shard.value("reason", "");
    if (!why.empty()) return "shard " + dump(shard["shard"]) + ": " + why;
  }
  return "not every shard is live";
}

// A header is one line of printable characters.
std::string header_text(std::string text) {
  std::ranges::replace_if(
      text, [](char each) { return each < ' ' || each > '~'; }, ' ');
  return text;
}

// A list that lacks something must not look like one that is short.
void respond_known(const ApiContext& context, ApiResponse response, const Respond& respond) {
  const std::string why = why_incomplete(context);
  if (!why.empty()) response.headers.emplace_back(incomplete_header, header_text(why));
  respond(std::move(response));
}

void respond_list(const ApiContext& context, std::vector<Json> list, const Respond& respond) {
  respond_known(context, json_response(Json(std::move(list))), respond);
}

void respond_one(const ApiContext& context, const std::optional<Json>& found,
                 const ApiRequest& request, const Respond& respond) {
  respond_known(
      context,
      found ? json_response(*found) : problem(404, "NOT_FOUND", "nothing has the id " + request.id),
      respond);
}

Json playbook_json(const ApiContext& context, const Playbook& playbook) {
  Json json = to_json_value(playbook);
  json["hash"] = playbook_hash(playbook);
  const PlaybookPrior prior = effective_prior(playbook);
  json["prior"] = {{"mean", prior.mean}, {"weight", prior.weight}};
  json["learned"] = model(context).learned(playbook.name);
  return json;
}

// The fleet-wide role as this process sees it: its shard is the last one.
Json lease_of(const ApiContext& context) {
  Json lease = {{"owner", ""}, {"state_here", "unknown"}, {"until_ms", 0}};
  if (!context.options.shards) return lease;
  const std::int64_t fleet_shard = context.environment().topics.partitions;
  for (const Json& shard : context.options.shards()) {
    if (shard.value("shard", std::int64_t{-1}) != fleet_shard) continue;
    lease = {{"owner", shard.value("owner", "")},
             {"state_here", shard.value("state", "")},
             {"until_ms", shard.value("owner_until_ms", TimeMs{0})}};
  }
  return lease;
}

int severity_of(const std::string& health) {
  constexpr std::array<std::string_view, 5> order = {"healthy", "predicted", "healing", "ill",
                                                     "escalated"};
  return static_cast<int>(std::ranges::find(order, health) - order.begin());
}

}  // namespace

void metrics(const ApiContext& context, const ApiRequest& /*request*/, Respond respond) {
  const Environment& environment = context.environment();
  std::map<std::string, std::int64_t> breakers;
  for (const Json& each : model(context).breakers()) ++breakers[each.value("state", "")];
  environment.metrics->set_breakers(breakers);
  std::set<std::int64_t> suspected;
  for (const Json& each : model(context).suspected_inputs()) {
    suspected.insert(each.value("shard", std::int64_t{0}));
  }
  environment.metrics->set_suspected_inputs(suspected);
  const auto fleet_locks = [&](const char* state) {
    std::vector<FleetLock> list;
    for (const Json& each : model(context).locks({.state = state})) {
      list.push_back(
          {each.value("target", ""), each.value("id", ""), each.value("until_ms", TimeMs{0})});
    }
    return list;
  };
  environment.metrics->set_fleet(fleet_locks("held"), fleet_locks("waiting").size());
  const Json lease = lease_of(context);
  environment.metrics->set_lease(lease.value("owner", ""), lease.value("until_ms", TimeMs{0}));
  respond({.content_type = "text/plain; version=0.0.4; charset=utf-8",
           .body = environment.metrics->render(environment.now_ms())});
}

void alive(const ApiContext& /*context*/, const ApiRequest& /*request*/, Respond respond) {
  respond(json_response({{"status", "ok"}}));
}

void ready(const ApiContext& context, const ApiRequest& /*request*/, Respond respond) {
  const std::string trouble = context.bus_trouble();
  std::vector<Json> shards = shards_of(context);
  std::string reason = trouble.empty() ? std::string() : "the bus is away: " + trouble;
  if (reason.empty()) reason = why_incomplete(context);
  for (const Json& shard : shards) {
    const std::string why = shard.value("unsaved", "");
    if (!reason.empty() || why.empty()) continue;
    reason = "shard " + dump(shard["shard"]) + " is not saved: " + why;
  }
  const bool fine = reason.empty();
  respond(json_response({{"status", fine ? "ready" : "degraded"},
                         {"mode", context.settings()->mode},
                         {"reason", reason},
                         {"timestamp", format_rfc3339(context.environment().now_ms())},
                         {"bus", trouble.empty() ? "ok" : trouble},
                         {"shards", std::move(shards)}},
                        fine ? 200 : 503));
}

void incidents(const ApiContext& context, const ApiRequest& request, Respond respond) {
  respond_list(context, model(context).incidents(query_of(request)), respond);
}

void incident(const ApiContext& context, const ApiRequest& request, Respond respond) {
  respond_one(context, model(context).incident(request.id), request, respond);
}

void proposals(const ApiContext& context, const ApiRequest& request, Respond respond) {
  respond_list(context, model(context).proposals(query_of(request)), respond);
}

void proposal(const ApiContext& context, const ApiRequest& request, Respond respond) {
  respond_one(context, model(context).proposal(request.id), request, respond);
}

void runs(const ApiContext& context, const ApiRequest& request, Respond respond) {
  respond_list(context, model(context).runs(query_of(request)), respond);
}

void run(const ApiContext& context, const ApiRequest& request, Respond respond) {
  respond_one(context, model(context).run(request.id), request, respond);
}

void playbooks(const ApiContext& context, const ApiRequest& /*request*/, Respond respond) {
  const auto settings = context.settings();
  Json list = Json::array();
  for (const Playbook& each : settings->playbooks) {
    list.push_back(playbook_json(context, each));
  }
  respond(json_response(list));
}

void playbook(const ApiContext& context, const ApiRequest& request, Respond respond) {
  const auto settings = context.settings();
  const Playbook* found = find_playbook(*settings, request.id);
  respond_one(context,
              found == nullptr ? std::nullopt : std::optional(playbook_json(context, *found)),
              request, respond);
}

void policies(const ApiContext& context, const ApiRequest& /*request*/, Respond respond) {
  const auto settings = context.settings();
  Json list = Json::array();
  for (const Policy& each : settings->policies) {
    Json json = to_json_value(each);
    json["hash"] = policy_hash(each);
    list.push_back(std::move(json));
  }
  respond(json_response(list));
}

void breakers(const ApiContext& context, const ApiRequest& request, Respond respond) {
  respond_list(context, model(context).breakers(query_of(request)), respond);
}

void locks(const ApiContext& context, const ApiRequest& request, Respond respond) {
  respond_list(context, model(context).locks(query_of(request)), respond);
}

void fleet(const ApiContext& context, const ApiRequest& /*request*/, Respond respond) {
  const LimitSettings limits = context.settings()->limits;
  const std::vector<Json> held = model(context).locks({.state = "held"});
  respond(json_response({{"lease", lease_of(context)},
                         {"limits",
                          {{"fleet_concurrent", limits.fleet_concurrent},
                           {"fleet_starts_per_minute", limits.fleet_starts_per_minute}}},
                         {"concurrent", held.size()},
                         {"locks", held},
                         {"waiting", model(context).locks({.state = "waiting"})}}));
}

void audit(const ApiContext& context, const ApiRequest& request, Respond respond) {
  std::vector<Json> recent = model(context).recent(audit_max);
  if (request.header("accept").find("text/event-stream") != std::string::npos) {
    ApiResponse stream{.content_type = "text/event-stream", .event_stream = true};
    // What a client that reconnects has missed.
    const std::string last = request.header("last-event-id");
    const auto seen = std::ranges::find_if(
        recent, [&](const Json& each) { return !last.empty() && each.value("id", "") == last; });
    for (auto at = seen; at != recent.end(); ++at) {
      if (at != seen) stream.body += event_text(*at);
    }
    return respond(std::move(stream));
  }
  const auto keep_only = [&](const char* parameter, const char* member) {
    const std::string wanted = request.parameter(parameter);
    if (wanted.empty()) return;
    std::erase_if(recent, [&](const Json& each) { return each.value(member, "") != wanted; });
  };
  // The decisions' topic spells a type with a prefix, here it has none: either may be asked for.
  if (const std::string type = request.parameter("type"); !type.empty()) {
    std::erase_if(recent, [&](const Json& each) {
      const std::string found = each.value("type", "");
      return found != type && "self_heal." + found != type;
    });
  }
  keep_only("incident", "incident");
  keep_only("service", "service");
  const std::size_t limit = limit_of(request, audit_default);
  if (recent.size() > limit) {
    recent.erase(recent.begin(), recent.end() - static_cast<std::ptrdiff_t>(limit));
  }
  respond(json_response(Json(std::move(recent))));
}

void health_state(const ApiContext& context, const ApiRequest& request, Respond respond) {
  const auto settings = context.settings();
  const std::string prefix = request.parameter("service");
  std::vector<Json> nodes = model(context).health(prefix);
  std::set<std::string> ill;
  std::string worst = "healthy";
  for (Json& node : nodes) {
    node["known"] = find_service(*settings, node.value("service", "")) != nullptr;
    ill.insert(node.value("service", ""));
    const std::string health = node.value("health", "");
    if (severity_of(health) > severity_of(worst)) worst = health;
  }
  for (const ServiceEntry& each : settings->graph.services) {
    const bool mine = prefix.empty() || each.name == prefix || each.name.starts_with(prefix + ".");
    if (!mine || ill.contains(each.name)) continue;
    nodes.push_back({{"service", each.name}, {"health", "healthy"}, {"known", true}});
  }
  // Neither in the graph nor in trouble: nothing speaks against it, and nothing for it.
  if (nodes.empty() && !prefix.empty()) worst = "unknown";
  respond(json_response({{"service", prefix},
                         {"state", worst},
                         {"timestamp", format_rfc3339(context.environment().now_ms())},
                         {"nodes", std::move(nodes)}}));
}

void openapi(const ApiContext& /*context*/, const ApiRequest& /*request*/, Respond respond) {
  respond({.body = openapi_text()});
}

void console(const ApiContext& /*context*/, const ApiRequest& /*request*/, Respond respond) {
  ApiResponse page{.content_type = "text/html; charset=utf-8", .body = std::string(console_page())};
  page.headers.emplace_back("Content-Security-Policy",
                            "default-src 'none'; style-src 'unsafe-inline'; script-src "
                            "'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'");
  respond(std::move(page));
}

}  // namespace read_routes
}  // namespace selfheal
