#include "api/routes.hpp"

#include <charconv>

#include "api/access.hpp"

namespace selfheal {
namespace {

int hex_value(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

std::string percent_decoded(std::string_view text, bool plus_is_space) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const int high = i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? hex_value(text[i + 2]) : -1;
    if (text[i] == '%' && high >= 0 && low >= 0) {
      decoded += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      decoded += text[i] == '+' && plus_is_space ? ' ' : text[i];
    }
  }
  return decoded;
}

void split_target(ApiRequest& request) {
  const std::string_view target = request.target;
  const std::size_t mark = target.find('?');
  request.path = target.substr(0, mark);
  if (request.path.size() > 1 && request.path.ends_with('/')) request.path.pop_back();
  if (mark == std::string_view::npos) return;
  std::string_view rest = target.substr(mark + 1);
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(pair.size() + 1, rest.size()));
    const std::size_t equals = std::min(pair.find('='), pair.size());
    const std::string name = percent_decoded(pair.substr(0, equals), true);
    if (name.empty()) continue;
    request.query[name] = percent_decoded(pair.substr(std::min(equals + 1, pair.size())), true);
  }
}

// `id` receives the segment that stands for {id}.
bool matches(std::string_view pattern, std::string_view path, std::string& id) {
  constexpr std::string_view place = "{id}";
  const std::size_t at = pattern.find(place);
  if (at == std::string_view::npos) return pattern == path;
  const std::string_view before = pattern.substr(0, at);
  const std::string_view behind = pattern.substr(at + place.size());
  if (path.size() <= before.size() + behind.size()) return false;
  if (!path.starts_with(before) || !path.ends_with(behind)) return false;
  const std::string_view segment =
      path.substr(before.size(), path.size() - before.size() - behind.size());
  if (segment.find('/') != std::string_view::npos) return false;
  id = percent_decoded(segment, false);
  return true;
}

std::vector<Route> make_routes() {
  using namespace read_routes;
  using namespace write_routes;
  return {
      {"GET", "/", Access::open, "Console", {}, console},
      {"GET", "/metrics", Access::open, "Metrics in the text format of Prometheus", {}, metrics},
      {"GET", "/healthz", Access::open, "Whether the process is alive", {}, alive},
      {"GET", "/readyz", Access::open, "Whether it owns its shards and has caught up", {}, ready},
      {"GET", "/api/openapi.json", Access::open, "This description", {}, openapi},
      {"POST",
       "/api/signals",
       Access::caller,
       "Takes one JSON object, NDJSON or a binary frame; 202 once it is on the bus. Lines count "
       "from 1",
       {},
       signals},
      {"POST",
       "/webhooks/alertmanager",
       Access::caller,
       "Takes a webhook of Alertmanager",
       {},
       alertmanager},
      {"GET",
       "/api/incidents",
       Access::caller,
       "Incidents, newest first",
       {"state", "service", "limit", "after"},
       incidents},
      {"GET",
       "/api/incidents/{id}",
       Access::caller,
       "An incident with its timeline",
       {"after"},
       incident},
      {"GET",
       "/api/proposals",
       Access::caller,
       "Proposals, newest first",
       {"state", "service", "limit", "after"},
       proposals},
      {"GET", "/api/proposals/{id}", Access::caller, "A proposal", {"after"}, proposal},
      {"POST",
       "/api/proposals/{id}/approve",
       Access::change,
       "Approves a held proposal",
       {},
       approve},
      {"POST", "/api/proposals/{id}/deny", Access::change, "Denies a held proposal", {}, deny},
      {"POST",
       "/api/control",
       Access::signer,
       "Takes a signed answer to a held proposal or to a run in doubt",
       {},
       control},
      {"GET",
       "/api/runs",
       Access::caller,
       "Runs, newest first",
       {"state", "service", "limit", "after"},
       runs},
      {"GET",
       "/api/runs/{id}",
       Access::caller,
       "A run with its steps; in doubt, what to look at",
       {"after"},
       run},
      {"POST",
       "/api/runs/{id}/resolve",
       Access::change,
       "Says of a run in doubt whether its effect has happened",
       {},
       resolve},
      {"GET",
       "/api/playbooks",
       Access::caller,
       "Playbooks with what was learnt of them",
       {"after"},
       playbooks},
      {"GET", "/api/playbooks/{id}", Access::caller, "A playbook", {"after"}, playbook},
      {"GET", "/api/policies", Access::caller, "Policies, first match decides", {}, policies},
      {"GET",
       "/api/breakers",
       Access::caller,
       "Circuit breakers that have counted a failure, by shard, playbook and resource kind",
       {"state", "limit", "after"},
       breakers},
      {"GET",
       "/api/locks",
       Access::caller,
       "Locks of targets: who holds them until when, and who waits for what",
       {"state", "service", "limit", "after"},
       locks},
      {"GET",
       "/api/fleet",
       Access::caller,
       "Who holds the fleet-wide role until when, its limits, and its locks",
       {"after"},
       fleet},
      {"GET",
       "/api/audit",
       Access::caller,
       "The latest decisions, oldest first; as text/event-stream: decisions as they come",
       {"type", "incident", "service", "limit", "after"},
       audit},
      {"GET",
       "/api/health/state",
       Access::caller,
       "Health of a service; of a prefix: of every service below it",
       {"service", "after"},
       health_state},
  };
}

}  // namespace

std::string ApiRequest::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? std::string() : found->second;
}

std::string ApiRequest::parameter(const std::string& name) const {
  const auto found = query.find(name);
  return found == query.end() ? std::string() : found->second;
}

SettingsView::SettingsView(std::shared_ptr<const Settings> first,
                           std::shared_ptr<const ReadModel> model)
    : model_(std::move(model)), settings_(std::move(first)) {}

std::shared_ptr<const Settings> SettingsView::get() {
  const std::uint64_t number = model_->settings_number();
  const std::lock_guard lock(mutex_);
  if (number > number_) {
    number_ = number;
    Result<Settings> settings = settings_from_text(model_->settings());
    // Written by a newer build: what was known before is better than nothing.
    if (settings) settings_ = std::make_shared<const Settings>(std::move(*settings));
  }
  return settings_;
}

Result<ApiContext> make_api_context(HttpOptions options) {
  ApiContext context;
  auto first = std::make_shared<const Settings>();
  if (!options.environment->settings.empty()) {
    Result<Settings> settings = settings_from_text(options.environment->settings);
    if (!settings) return settings.error().within("settings for the API");
    first = std::make_shared<const Settings>(std::move(*settings));
  }
  context.view = std::make_shared<SettingsView>(first, options.environment->read_model);
  context.loopback = is_loopback(options.listen);
  context.options = std::move(options);
  return context;
}

ApiResponse json_response(const Json& json, int status) {
  return {.status = status, .body = dump(json) + "\n"};
}

ApiResponse problem(int status, std::string_view code, const std::string& detail) {
  ApiResponse response = json_response({{"type", "about:blank"},
                                        {"title", code},
                                        {"status", status},
                                        {"detail", detail},
                                        {"code", code}},
                                       status);
  response.content_type = "application/problem+json";
  return response;
}

ApiResponse unavailable(const ApiContext& context, const std::string& reason) {
  ApiResponse response =
      json_response({{"type", "about:blank"},
                     {"title", "UNAVAILABLE"},
                     {"status", 503},
                     {"detail", reason},
                     {"code", "UNAVAILABLE"},
                     {"mode", context.settings()->mode},
                     {"reason", reason},
                     {"timestamp", format_rfc3339(context.environment().now_ms())}},
                    503);
  response.content_type = "application/problem+json";
  response.headers.emplace_back("Retry-After", "2");
  return response;
}

const std::vector<Route>& routes() {
  static const std::vector<Route> table = make_routes();
  return table;
}

void route_request(const ApiContext& context, ApiRequest request, Respond respond) {
  split_target(request);
  std::string allowed;
  for (const Route& route : routes()) {
    if (!matches(route.pattern, request.path, request.id)) continue;
    const bool head = request.method == "HEAD" && std::string_view(route.method) == "GET";
    if (request.method != route.method && !head) {
      allowed += (allowed.empty() ? "" : ", ") + std::string(route.method);
      continue;
    }
    if (request.body.size() > request_bytes_max) {
      return respond(problem(413, "TOO_LARGE", "a body holds at most 4 MiB; send several"));
    }
    std::optional<ApiResponse> refusal = refuse_access(context, route, request);
    if (refusal) return respond(std::move(*refusal));
    return route.handle(context, request, std::move(respond));
  }
  if (allowed.empty()) return respond(problem(404, "NOT_FOUND", "no such path"));
  ApiResponse response = problem(405, "METHOD_NOT_ALLOWED", "only " + allowed);
  response.headers.emplace_back("Allow", allowed);
  respond(std::move(response));
}

std::optional<AfterPlace> after_place(const ApiRequest& request) {
  ApiRequest split{.target = request.target};
  split_target(split);
  const std::string text = split.parameter("after");
  AfterPlace place;
  const char* end = text.data() + text.size();
  const auto [colon, bad_shard] = std::from_chars(text.data(), end, place.shard);
  if (bad_shard != std::errc() || colon == end || *colon != ':') return std::nullopt;
  const auto [last, bad_seq] = std::from_chars(colon + 1, end, place.seq);
  if (bad_seq != std::errc() || last != end) return std::nullopt;
  return place;
}

bool has_reached(const ApiContext& context, const AfterPlace& place) {
  return context.environment().read_model->applied(place.shard) >= place.seq;
}

}  // namespace selfheal
