#pragma once
// Every route of the service in one table: matching, access and OpenAPI all come from it.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "api/api.hpp"

namespace selfheal {

enum class Access : std::uint8_t {
  open,    // anybody, always: health, metrics, the empty page of the console
  caller,  // on loopback anybody, elsewhere any token
  signer,  // as caller; the body is signed and is judged by that
  change,  // confirmed, and by a token with role operator or admin
};

struct Route {
  const char* method;
  const char* pattern;  // "/api/incidents/{id}"; {id} is one segment
  Access access;
  const char* summary;
  std::vector<const char*> query;  // names of parameters
  void (*handle)(const ApiContext& context, const ApiRequest& request, Respond respond);
};

const std::vector<Route>& routes();

// Finds the route, checks access, answers. `respond` is called once: at once, or later by the bus.
void route_request(const ApiContext& context, ApiRequest request, Respond respond);

// "?after=SHARD:SEQ": answer only once the read model has come that far.
struct AfterPlace {
  std::int64_t shard = 0;
  std::int64_t seq = 0;
};
std::optional<AfterPlace> after_place(const ApiRequest& request);
bool has_reached(const ApiContext& context, const AfterPlace& place);

// One decision as it goes over an event stream.
std::string event_text(const Json& decision);

std::string openapi_text();
std::string_view console_page();

// Handlers, by file.
namespace read_routes {
void metrics(const ApiContext& context, const ApiRequest& request, Respond respond);
void alive(const ApiContext& context, const ApiRequest& request, Respond respond);
void ready(const ApiContext& context, const ApiRequest& request, Respond respond);
void incidents(const ApiContext& context, const ApiRequest& request, Respond respond);
void incident(const ApiContext& context, const ApiRequest& request, Respond respond);
void proposals(const ApiContext& context, const ApiRequest& request, Respond respond);
void proposal(const ApiContext& context, const ApiRequest& request, Respond respond);
void runs(const ApiContext& context, const ApiRequest& request, Respond respond);
void run(const ApiContext& context, const ApiRequest& request, Respond respond);
void playbooks(const ApiContext& context, const ApiRequest& request, Respond respond);
void playbook(const ApiContext& context, const ApiRequest& request, Respond respond);
void policies(const ApiContext& context, const ApiRequest& request, Respond respond);
void breakers(const ApiContext& context, const ApiRequest& request, Respond respond);
void locks(const ApiContext& context, const ApiRequest& request, Respond respond);
void fleet(const ApiContext& context, const ApiRequest& request, Respond respond);
void audit(const ApiContext& context, const ApiRequest& request, Respond respond);
void health_state(const ApiContext& context, const ApiRequest& request, Respond respond);
void openapi(const ApiContext& context, const ApiRequest& request, Respond respond);
void console(const ApiContext& context, const ApiRequest& request, Respond respond);
}  // namespace read_routes

namespace write_routes {
void signals(const ApiContext& context, const ApiRequest& request, Respond respond);
void alertmanager(const ApiContext& context, const ApiRequest& request, Respond respond);
void approve(const ApiContext& context, const ApiRequest& request, Respond respond);
void deny(const ApiContext& context, const ApiRequest& request, Respond respond);
void resolve(const ApiContext& context, const ApiRequest& request, Respond respond);
void control(const ApiContext& context, const ApiRequest& request, Respond respond);
}  // namespace write_routes

}  // namespace selfheal
