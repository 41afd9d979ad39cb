#pragma once
// The one HTTP listener: metrics, health, signals in, incidents, proposals and approvals.
// Asynchronous: many open event streams never keep /healthz waiting.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "config/automation.hpp"
#include "topics/json_codec.hpp"

namespace selfheal {

struct Environment;

struct HttpOptions {
  std::string listen;  // host:port; port 0 takes a free one
  std::shared_ptr<const Environment> environment;
  std::string keys_dir;  // tokens are checked against its public halves
  std::string bus_kind;
  TrustedAutomation automation = {};
  std::function<std::vector<Json>()> shards;  // {shard, state, reason, unsaved, …}
  std::function<bool()> ready;                // owns or follows every shard
};

class HttpServer {
 public:
  explicit HttpServer(HttpOptions options);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // Listens and serves on threads of its own; the address as clients reach it: "127.0.0.1:8000".
  Result<std::string> start();
  void stop();

 private:
  class Core;
  std::unique_ptr<Core> core_;
};

}  // namespace selfheal
