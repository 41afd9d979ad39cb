#include "cli/demo_files.hpp"

#include <filesystem>
#include <fstream>
#include <vector>

#include "topics/json_codec.hpp"

namespace selfheal {
namespace {

struct DemoFile {
  const char* path;
  const char* text;  // @NAME@ is replaced
};

constexpr const char* service_text = R"(# Everything else is as by default.
bus: {kind: embedded}
topics: {partitions: 2}
data_dir: "@FOLDER@/data"
http: {listen: "127.0.0.1:@HTTP_PORT@"}
# The environment decides: see config/selfheal.env.
mode: observe
predictor:
  # The default is a minute; a demonstration cannot wait that long.
  bucket: 1s
  warm_up: 20s
  rules:
    - {code: service_down, metric: up, op: lt, value: 1, for: 1s, confidence: 0.95}
    - {code: circuit_breaker_open, metric: circuit_breakers_open, op: gte, value: 1, for: 1s}
run: {probe_interval: 500ms}
save_interval: 500ms
)";

constexpr const char* graph_text = R"(# Blast radius: catalog 1, payments 3, mailer and search 0.
services:
  - {name: catalog, risk_tier: medium, replicas: 2}
  - {name: shop, risk_tier: medium, depends_on: [catalog]}
  - {name: payments, risk_tier: high}
  - {name: checkout, risk_tier: high, depends_on: [payments]}
  - {name: invoices, risk_tier: medium, depends_on: [payments]}
  - {name: refunds, risk_tier: medium, depends_on: [payments]}
  - {name: mailer, risk_tier: medium}
  - {name: search, risk_tier: medium}
)";

constexpr const char* policies_text = R"(- action: self_heal_execute
  decision: allow
  conditions:
    {impact: [low, medium], blast_radius: {lte: 2}, confidence: {gte: 0.7}, change_window: True}
- action: self_heal_execute_proactive
  decision: allow
  conditions:
    {impact: [low, medium], blast_radius: {lte: 2}, confidence: {gte: 0.8}, change_window: True}
)";

constexpr const char* scale_up_text = R"(name: scale_up_instances
title: Scale up instances
risk: low
auto_approve: true
triggers: [latency_spike, capacity]
scope: {services: [catalog]}
preconditions:
  - {http: {url: "http://127.0.0.1:@CATALOG_PORT@/health", status: 200}}
# The patient adds an instance once for each Idempotency-Key.
effect: idempotent
steps:
  - name: start_instance
    http: {method: POST, url: "http://127.0.0.1:@CATALOG_PORT@/admin/instances?delta=1"}
    retries: 1
    rollback:
      http: {method: POST, url: "http://127.0.0.1:@CATALOG_PORT@/admin/instances?delta=-1"}
verify:
  - {metric: latency_p99_seconds, op: lt, value: @HEALED_LATENCY@, for: 3s, within: 60s}
)";

constexpr const char* warm_cache_text = R"(name: warm_cache
title: Warm cache
risk: low
auto_approve: true
triggers: [latency_spike, cache_cold]
scope: {services: [catalog]}
effect: idempotent
steps:
  - name: warm
    http: {method: POST, url: "http://127.0.0.1:@CATALOG_PORT@/admin/cache/warm"}
    retries: 2
    rollback: {http: {method: DELETE, url: "http://127.0.0.1:@CATALOG_PORT@/admin/cache/warm"}}
verify:
  - {metric: latency_p99_seconds, op: lt, value: @HEALED_LATENCY@, for: 3s, within: 60s}
# Its cache is rarely what ails the catalog: a rival, below the gate of 0.7.
prior: {mean: 0.5, weight: 8}
)";

constexpr const char* flush_text = R"(name: flush_circuit_breakers
title: Flush circuit breakers
risk: moderate
auto_approve: false
triggers: [elevated_errors, circuit_breaker_open, CB_open]
scope: {services: [payments]}
preconditions:
  - {metric: circuit_breakers_open, op: gte, value: 1}
effect: idempotent
steps:
  - name: flush
    http: {method: POST, url: "http://127.0.0.1:@PAYMENTS_PORT@/admin/breakers/flush"}
    retries: 1
    rollback: {http: {method: POST, url: "http://127.0.0.1:@PAYMENTS_PORT@/admin/breakers/open"}}
verify:
  - {metric: error_rate, op: lt, value: 0.05, for: 3s, within: 60s}
)";

constexpr const char* restart_text = R"(name: restart_service
title: Restart service
risk: moderate
auto_approve: false
triggers: [service_down, degraded]
preconditions:
  - {metric: up, op: lt, value: 1}
effect: idempotent
steps:
  - name: restart
    run:
      argv: ["@PROGRAM@", patient, start, --folder, "@FOLDER@/patients/{{service}}"]
      timeout: 30s
verify:
  - {metric: up, op: gte, value: 1, for: 3s, within: 60s}
  - run: {argv: ["@PROGRAM@", patient, check, --folder, "@FOLDER@/patients/{{service}}"]}
    within: 30s
)";

constexpr const char* rollback_flag_text = R"(name: rollback_flag
title: Roll back feature flag
risk: low
auto_approve: true
triggers: [elevated_errors, flag_issue]
scope: {services: [catalog]}
effect: idempotent
steps:
  - name: turn_off
    http:
      method: PUT
      url: "http://127.0.0.1:@CATALOG_PORT@/admin/flags/{{labels.flag}}"
      body: '{"enabled":false}'
    retries: 2
verify:
  - {metric: error_rate, op: lt, value: 0.05, for: 3s, within: 60s}
)";

constexpr const char* increase_logging_text = R"(name: increase_logging
title: Increase logging
risk: low
auto_approve: true
triggers: [degradation, investigation]
scope: {services: [catalog]}
effect: idempotent
steps:
  - name: log_debug
    http:
      method: PUT
      url: "http://127.0.0.1:@CATALOG_PORT@/admin/log-level"
      body: '{"level":"debug","seconds":900}'
    retries: 2
verify:
  - {http: {url: "http://127.0.0.1:@CATALOG_PORT@/health", status: 200}, within: 30s}
)";

const std::vector<DemoFile>& demo_files() {
  static const std::vector<DemoFile> files = {
      {"service.yaml", service_text},
      {"graph.yaml", graph_text},
      {"policies/default.yaml", policies_text},
      {"playbooks/scale_up_instances.yaml", scale_up_text},
      {"playbooks/warm_cache.yaml", warm_cache_text},
      {"playbooks/flush_circuit_breakers.yaml", flush_text},
      {"playbooks/restart_service.yaml", restart_text},
      {"playbooks/rollback_flag.yaml", rollback_flag_text},
      {"playbooks/increase_logging.yaml", increase_logging_text}};
  return files;
}

std::string replaced(std::string text, const std::string& name, const std::string& value) {
  const std::string mark = "@" + name + "@";
  for (std::size_t at = 0; (at = text.find(mark, at)) != std::string::npos; at += value.size()) {
    text.replace(at, mark.size(), value);
  }
  return text;
}

}  // namespace

std::string patient_folder(const DemoPlaces& places, const std::string& name) {
  return places.folder + "/patients/" + name;
}

std::string config_file(const DemoPlaces& places) {
  return places.folder + "/config/service.yaml";
}

std::string data_folder(const DemoPlaces& places) {
  return places.folder + "/data";
}

Result<void> write_demo_files(const DemoPlaces& places) {
  for (const DemoFile& file : demo_files()) {
    std::string text = replaced(file.text, "FOLDER", places.folder);
    text = replaced(text, "PROGRAM", places.program);
    text = replaced(text, "HTTP_PORT", std::to_string(places.http_port));
    text = replaced(text, "CATALOG_PORT", std::to_string(places.ports.at("catalog")));
    text = replaced(text, "PAYMENTS_PORT", std::to_string(places.ports.at("payments")));
    text = replaced(text, "HEALED_LATENCY", dump(Json(healed_latency_seconds)));
    const std::filesystem::path path = places.folder + "/config/" + file.path;
    std::error_code failure;
    std::filesystem::create_directories(path.parent_path(), failure);
    std::ofstream stream(path);
    stream << text;
    stream.close();
    if (!stream) return Error{ErrorCode::unavailable, "cannot write " + path.string()};
  }
  return {};
}

}  // namespace selfheal
