#include "cli/sentinel.hpp"

#include <httplib.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <deque>
#include <vector>

#include "cli/assembly.hpp"
#include "topics/json_codec.hpp"

namespace selfheal {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto request_interval = std::chrono::milliseconds(100);
constexpr auto publish_interval = std::chrono::milliseconds(500);
constexpr auto latency_window = std::chrono::seconds(1);
constexpr auto error_window = std::chrono::seconds(2);
constexpr int answer_seconds_max = 2;

struct Request {
  Clock::time_point at;
  bool answered = false;
  bool failed = false;
  double seconds = 0;
};

void set_limits(httplib::Client& client) {
  client.set_connection_timeout(1);
  client.set_read_timeout(answer_seconds_max);
  client.set_keep_alive(true);
}

// The nearest rank: of fewer than a hundred requests the slowest.
double percentile_99(std::vector<double> values) {
  std::ranges::sort(values);
  const auto rank = static_cast<std::size_t>(std::ceil(0.99 * static_cast<double>(values.size())));
  return values[rank - 1];
}

Sighting look_back(std::deque<Request>& requests) {
  const Clock::time_point now = Clock::now();
  while (!requests.empty() && requests.front().at < now - error_window) requests.pop_front();
  Sighting seen;
  seen.up = !requests.empty() && requests.back().answered;
  std::vector<double> latencies;
  double answered = 0;
  double failed = 0;
  for (const Request& request : requests) {
    if (!request.answered) continue;
    answered += 1;
    failed += request.failed ? 1 : 0;
    if (request.at >= now - latency_window) latencies.push_back(request.seconds);
  }
  if (answered > 0) seen.error_rate = failed / answered;
  if (!latencies.empty()) seen.latency_p99_seconds = percentile_99(std::move(latencies));
  return seen;
}

std::string metric_line(const std::string& service, const std::string& metric, double value) {
  return dump(Json{{"type", "metric"},
                   {"service", service},
                   {"metric", metric},
                   {"value", value},
                   {"time_ms", wall_clock_ms()},
                   {"sentinel", "demo-" + service}}) +
         "\n";
}

// What the service says of itself, beside what was seen from outside.
std::string told_metrics(httplib::Client& patient, const std::string& service) {
  const httplib::Result answer = patient.Get("/metrics.json");
  if (!answer || answer->status != 200) return {};
  const Result<Json> json = parse_json(answer->body);
  if (!json || !json->is_object()) return {};
  std::string lines;
  for (const char* name : {"circuit_breakers_open", "cache_hit_ratio"}) {
    lines += metric_line(service, name, json->value(name, 0.0));
  }
  return lines;
}

}  // namespace

Sentinel::Sentinel(SentinelOptions options)
    : options_(std::move(options)), thread_([this] { watch(); }) {}

Sentinel::~Sentinel() {
  over_ = true;
  thread_.join();
}

Sighting Sentinel::sighting() const {
  const std::lock_guard lock(mutex_);
  return sighting_;
}

void Sentinel::forget_peak() {
  const std::lock_guard lock(mutex_);
  sighting_.latency_max_seconds = 0;
}

void Sentinel::watch() {
  httplib::Client patient("127.0.0.1", options_.port);
  httplib::Client signals("127.0.0.1", options_.signals_port);
  set_limits(patient);
  set_limits(signals);
  std::deque<Request> requests;
  Clock::time_point publish_at = Clock::now() + publish_interval;
  while (!over_) {
    Request request{.at = Clock::now()};
    const httplib::Result answer = patient.Get("/work");
    request.seconds = std::chrono::duration<double>(Clock::now() - request.at).count();
    request.answered = static_cast<bool>(answer);
    request.failed = !answer || answer->status >= 500;
    const Clock::time_point next = request.at + request_interval;
    requests.push_back(request);
    Sighting seen = look_back(requests);
    {
      const std::lock_guard lock(mutex_);
      seen.latency_max_seconds =
          std::max(sighting_.latency_max_seconds, request.answered ? request.seconds : 0);
      sighting_ = seen;
    }
    if (Clock::now() >= publish_at) {
      publish_at = Clock::now() + publish_interval;
      std::string lines = metric_line(options_.service, "up", seen.up ? 1 : 0);
      // Of a service that does not answer there is nothing else to say.
      if (seen.up) {
        if (seen.latency_p99_seconds > 0) {
          lines += metric_line(options_.service, "latency_p99_seconds", seen.latency_p99_seconds);
        }
        lines += metric_line(options_.service, "error_rate", seen.error_rate);
        lines += told_metrics(patient, options_.service);
      }
      signals.Post("/api/signals", lines, "application/x-ndjson");
    }
    std::this_thread::sleep_until(next);
  }
}

}  // namespace selfheal
