#pragma once
// Where a command reads from: a running service over HTTP, or the data folder of a stopped one.
// Both answer the same paths with the same JSON.
#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <string>

#include "api/api.hpp"
#include "cli/commands.hpp"
#include "cli/http_client.hpp"

namespace selfheal {

struct SourceOptions {
  ConfigOptions config;
  std::string url;       // empty: http.listen
  std::string data_dir;  // of a stopped service; empty: ask a running one
  std::string key = "operator";
  bool json = false;
};

// --config, --set, --url and --key.
void add_client_options(CLI::App& command, SourceOptions& options);
// Those, --data-dir and --json.
void add_source_options(CLI::App& command, SourceOptions& options);

// A client for --url or http.listen. The token of --key goes along where the address is not of
// this machine and the key is there.
Result<HttpClient> open_client(const SourceOptions& options, const ServiceConfig& config);

class ServiceSource {
 public:
  static Result<ServiceSource> open(const SourceOptions& options);
  Result<Json> get(const std::string& path) const;

 private:
  std::shared_ptr<HttpClient> client_;
  std::shared_ptr<ApiContext> stopped_;
};

}  // namespace selfheal
