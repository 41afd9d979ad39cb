#include "cli/service_source.hpp"

#include <filesystem>
#include <iostream>

#include "api/access.hpp"
#include "api/routes.hpp"

namespace selfheal {
namespace {

// Settings as the stopped service had them in force; empty where no shard has saved any.
std::string settings_of(PageStore& store, std::int64_t partitions) {
  for (std::int64_t shard = 0; shard < partitions; ++shard) {
    const Result<SavedShard> saved = store.load(shard);
    if (saved && saved->found && !saved->chain.settings.empty()) return saved->chain.settings;
  }
  return {};
}

Result<ApiContext> open_stopped(const std::string& data_dir, std::int64_t partitions) {
  const std::string folder = data_dir + "/state";
  if (!std::filesystem::exists(folder)) {
    return Error{ErrorCode::not_found, folder +
                                           ": not there; --data-dir names the data_dir of a "
                                           "service that has run"};
  }
  Result<std::unique_ptr<PageStore>> store = open_page_store_read_only(folder);
  if (!store) return store.error();
  auto environment = std::make_shared<Environment>();
  environment->store = std::move(*store);
  environment->read_model = std::make_shared<ReadModel>(environment->store);
  const Result<void> loaded = environment->read_model->load();
  if (!loaded) return loaded.error();
  environment->settings = settings_of(*environment->store, partitions);
  environment->now_ms = wall_clock_ms;
  return make_api_context({.listen = "localhost", .environment = std::move(environment)});
}

}  // namespace

void add_client_options(CLI::App& command, SourceOptions& options) {
  add_config_options(command, options.config);
  command.add_option("--url", options.url, "Address of the service; by default http.listen");
  command.add_option("--key", options.key, "Name of the key in keys_dir whose token is sent")
      ->capture_default_str();
}

void add_source_options(CLI::App& command, SourceOptions& options) {
  add_client_options(command, options);
  command.add_option("--data-dir", options.data_dir, "data_dir of a stopped service");
  command.add_flag("--json", options.json, "One JSON object a line");
}

Result<HttpClient> open_client(const SourceOptions& options, const ServiceConfig& config) {
  const std::string address = options.url.empty() ? config.http.listen : options.url;
  std::string_view host = address;
  if (const std::size_t scheme = host.find("://"); scheme != std::string_view::npos) {
    host.remove_prefix(scheme + 3);
  }
  // Neither needed nor sent where only this machine listens.
  if (is_loopback(host)) return HttpClient(address, {});
  const Result<SecretKey> key = load_secret(config.keys_dir, options.key);
  return HttpClient(address, key ? key->token : std::string());
}

Result<ServiceSource> ServiceSource::open(const SourceOptions& options) {
  const Result<LoadedConfig> loaded = load(options.config);
  if (!loaded) return loaded.error();
  ServiceSource source;
  if (!options.data_dir.empty()) {
    Result<ApiContext> stopped = open_stopped(options.data_dir, loaded->config.topics.partitions);
    if (!stopped) return stopped.error();
    source.stopped_ = std::make_shared<ApiContext>(std::move(*stopped));
    return source;
  }
  Result<HttpClient> client = open_client(options, loaded->config);
  if (!client) return client.error();
  source.client_ = std::make_shared<HttpClient>(std::move(*client));
  return source;
}

Result<Json> ServiceSource::get(const std::string& path) const {
  if (client_) {
    const Result<ApiAnswer> answer = client_->get(path);
    if (!answer) return answer.error();
    if (!answer->incomplete.empty()) {
      std::cerr << "note: this process does not know everything yet: " << answer->incomplete
                << "\n";
    }
    return HttpClient::json_of(*answer, path);
  }
  ApiResponse answer{.status = 500};
  route_request(*stopped_, {.target = path}, [&](ApiResponse each) { answer = std::move(each); });
  if (answer.status == 200) return parse_json(answer.body);
  const std::string why = ApiAnswer{answer.status, answer.body, {}}.problem();
  return Error{answer.status == 404 ? ErrorCode::not_found : ErrorCode::internal,
               path + ": " + why};
}

}  // namespace selfheal
