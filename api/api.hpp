#pragma once
// Requests, answers and what handlers share. Nothing here knows about sockets, so every route can
// be asked without one. Thread-safe as far as Environment is; the rest is constant.
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "actors/environment.hpp"
#include "api/http_server.hpp"
#include "config/keys.hpp"
#include "decision/settings.hpp"

namespace selfheal {

constexpr std::size_t request_bytes_max = 4 << 20;
// With answers of a process that has not read all of its journals yet: why.
constexpr const char* incomplete_header = "Selfheal-Incomplete";

struct ApiRequest {
  std::string method = "GET";
  std::string target;                          // path and query as they were sent
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;

  // Filled in by route_request().
  std::string path;                          // still percent-encoded
  std::map<std::string, std::string> query;  // decoded
  std::string id;                            // what stands for {id} in the route, decoded
  std::optional<PublicKey> key;              // whose token came with it

  std::string header(const std::string& name) const;
  std::string parameter(const std::string& name) const;
};

struct ApiResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
  bool event_stream = false;  // `body` is only its beginning; decisions follow as they come
};

// Called once for each request, on any thread.
using Respond = std::function<void(ApiResponse)>;

// The settings in force: those of the last CONFIG record that is committed, before the first those
// that the process began with. Thread-safe.
class SettingsView {
 public:
  SettingsView(std::shared_ptr<const Settings> first, std::shared_ptr<const ReadModel> model);
  std::shared_ptr<const Settings> get();

 private:
  std::shared_ptr<const ReadModel> model_;
  std::mutex mutex_;
  std::shared_ptr<const Settings> settings_;
  std::uint64_t number_ = 0;  // of the CONFIG record they came from
};

struct ApiContext {
  HttpOptions options;
  std::shared_ptr<SettingsView> view;
  bool loopback = true;  // only this machine can reach the listener
  // Why the bus cannot be reached, as last looked; empty where it can.
  std::function<std::string()> bus_trouble = [] { return std::string(); };

  const Environment& environment() const { return *options.environment; }
  std::shared_ptr<const Settings> settings() const { return view->get(); }
};

// Fails where the settings that the process begins with cannot be read.
Result<ApiContext> make_api_context(HttpOptions options);

ApiResponse json_response(const Json& json, int status = 200);
// RFC 9457. `code` is the stable word that programs look at.
ApiResponse problem(int status, std::string_view code, const std::string& detail);
// A problem for what cannot be done while `reason` lasts: the fields of every degraded answer.
ApiResponse unavailable(const ApiContext& context, const std::string& reason);

}  // namespace selfheal
