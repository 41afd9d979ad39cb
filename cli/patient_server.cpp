#include "cli/patient_server.hpp"

#include <fcntl.h>
#include <httplib.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <mutex>
#include <set>
#include <thread>

#include "base/parse_number.hpp"
#include "cli/assembly.hpp"
#include "cli/child_process.hpp"
#include "topics/json_codec.hpp"

namespace selfheal {
namespace {

constexpr double utilisation_max = 0.95;
constexpr int failures_that_open = 3;

// Everything that can change while it runs. Thread-safe.
class PatientModel {
 public:
  PatientModel(std::string folder, const PatientSettings& settings)
      : folder_(std::move(folder)),
        settings_(settings),
        breakers_(static_cast<std::size_t>(settings.dependencies)) {
    for (const PatientEffect& effect : effects_of(folder_)) keys_.insert(effect.key);
  }

  // As in any queue, the wait grows without bound as the load nears what the instances can take.
  double answer_ms() const {
    const std::lock_guard lock(mutex_);
    return locked_answer_ms();
  }

  // One call to the next dependency: 200, 502 where it failed, 503 where its breaker is open.
  int call_dependency() {
    const std::lock_guard lock(mutex_);
    if (breakers_.empty()) return 200;
    const std::size_t index = next_++ % breakers_.size();
    Breaker& breaker = breakers_[index];
    if (breaker.open) return 503;
    const bool ill = index < ill_dependencies_ && wall_clock_ms() < ill_until_ms_;
    breaker.failures = ill ? breaker.failures + 1 : 0;
    breaker.open = breaker.failures >= failures_that_open;
    return ill ? 502 : 200;
  }

  void set_load(double rps) {
    const std::lock_guard lock(mutex_);
    settings_.load_rps = rps;
  }

  void make_ill(std::size_t dependencies, TimeMs until_ms) {
    const std::lock_guard lock(mutex_);
    ill_dependencies_ = dependencies;
    ill_until_ms_ = until_ms;
  }

  // Logs the effect, and has it unless its key has come before.
  void once(PatientEffect effect, const std::function<void()>& change) {
    const std::lock_guard lock(mutex_);
    effect.repeated = !effect.key.empty() && !keys_.insert(effect.key).second;
    if (!effect.repeated) change();
    effect.time_ms = wall_clock_ms();
    append_effect(folder_, effect);
  }

  // For changes inside once(), which holds the lock.
  void add_instances(std::int64_t delta) {
    settings_.instances = std::max<std::int64_t>(1, settings_.instances + delta);
  }
  void set_breakers(bool open) {
    for (Breaker& breaker : breakers_) breaker = {open ? failures_that_open : 0, open};
  }

  Json metrics() const {
    const std::lock_guard lock(mutex_);
    std::int64_t open = 0;
    for (const Breaker& breaker : breakers_) open += breaker.open ? 1 : 0;
    const bool ill = wall_clock_ms() < ill_until_ms_;
    return Json{{"name", settings_.name},
                {"process", getpid()},
                {"instances", settings_.instances},
                {"load_rps", settings_.load_rps},
                {"answer_ms", locked_answer_ms()},
                {"circuit_breakers_open", open},
                {"ill_dependencies", ill ? ill_dependencies_ : 0},
                {"cache_hit_ratio", 0.95}};
  }

 private:
  struct Breaker {
    int failures = 0;  // in a row
    bool open = false;
  };

  double locked_answer_ms() const {
    const double capacity_rps = static_cast<double>(settings_.instances) * settings_.capacity_rps;
    const double utilisation = std::min(utilisation_max, settings_.load_rps / capacity_rps);
    return settings_.work_ms / (1 - utilisation);
  }

  mutable std::mutex mutex_;
  std::string folder_;
  PatientSettings settings_;
  std::vector<Breaker> breakers_;
  std::size_t next_ = 0;
  std::size_t ill_dependencies_ = 0;
  TimeMs ill_until_ms_ = 0;
  std::set<std::string> keys_;
};

std::string key_of(const httplib::Request& request) {
  return request.has_header("Idempotency-Key") ? request.get_header_value("Idempotency-Key")
                                               : request.get_param_value("key");
}

double number_of(const httplib::Request& request, const char* name, double otherwise) {
  const std::optional<double> value = parse_number<double>(request.get_param_value(name));
  return value && std::isfinite(*value) ? *value : otherwise;
}

void add_work_routes(httplib::Server& server, PatientModel& model) {
  server.Get("/work", [&model](const httplib::Request&, httplib::Response& response) {
    std::this_thread::sleep_for(std::chrono::duration<double, std::milli>(model.answer_ms()));
    response.status = model.call_dependency();
  });
  server.Get("/health", [](const httplib::Request&, httplib::Response& response) {
    response.set_content(R"({"status":"ok"})", "application/json");
  });
  server.Get("/metrics.json", [&model](const httplib::Request&, httplib::Response& response) {
    response.set_content(dump(model.metrics()), "application/json");
  });
  server.Post("/admin/load", [&model](const httplib::Request& request, httplib::Response&) {
    model.set_load(std::max(0.0, number_of(request, "rps", 0)));
  });
  server.Post("/admin/fail", [&model](const httplib::Request& request, httplib::Response&) {
    const double seconds = number_of(request, "seconds", 3);
    model.make_ill(static_cast<std::size_t>(std::max(0.0, number_of(request, "dependencies", 1))),
                   wall_clock_ms() + static_cast<DurationMs>(seconds * one_second_ms));
  });
}

void add_effect_routes(httplib::Server& server, PatientModel& model) {
  server.Post("/admin/instances", [&model](const httplib::Request& request, httplib::Response&) {
    const auto delta = static_cast<std::int64_t>(number_of(request, "delta", 1));
    model.once({"instances", key_of(request), std::to_string(delta)},
               [&] { model.add_instances(delta); });
  });
  server.Post("/admin/breakers/flush",
              [&model](const httplib::Request& request, httplib::Response&) {
                model.once({"flush", key_of(request)}, [&] { model.set_breakers(false); });
              });
  server.Post("/admin/breakers/open",
              [&model](const httplib::Request& request, httplib::Response&) {
                model.once({"open", key_of(request)}, [&] { model.set_breakers(true); });
              });
  // These change nothing that /work depends on; that they came is all there is to see.
  const auto noted = [&model](const char* effect) {
    return [&model, effect](const httplib::Request& request, httplib::Response&) {
      model.once({effect, key_of(request), request.path}, [] {});
    };
  };
  server.Post("/admin/cache/warm", noted("warm"));
  server.Delete("/admin/cache/warm", noted("stop_warming"));
  server.Put("/admin/log-level", noted("log_level"));
  server.Put("/admin/flags/[a-z0-9_-]+", noted("flag"));
}

// Ends the server when it is asked to, or when nobody is left to whom it matters.
void watch(httplib::Server& server, const PatientSettings& settings, const sigset_t& signals,
           const std::atomic<bool>& over) {
  constexpr timespec pause{0, 200'000'000};
  while (!over) {
    const bool asked = sigtimedwait(&signals, nullptr, &pause) > 0;
    const auto guardian = static_cast<pid_t>(settings.guardian);
    const bool alone = guardian > 0 && kill(guardian, 0) != 0 && errno == ESRCH;
    if (asked || alone) server.stop();
  }
}

}  // namespace

void append_effect(const std::string& folder, const PatientEffect& effect) {
  const std::string line = dump(to_json_value(effect)) + "\n";
  const int file = open((folder + "/effects.log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  if (file < 0) return;
  // One write: lines of two writers do not mix.
  [[maybe_unused]] const ssize_t written = write(file, line.data(), line.size());
  close(file);
}

std::vector<PatientEffect> effects_of(const std::string& folder) {
  std::vector<PatientEffect> effects;
  std::ifstream stream(folder + "/effects.log");
  for (std::string line; std::getline(stream, line);) {
    const Result<Json> json = parse_json(line);
    PatientEffect effect;
    if (json && from_json_value(*json, effect).empty()) effects.push_back(std::move(effect));
  }
  return effects;
}

Result<void> save_patient(const std::string& folder, const PatientSettings& settings) {
  const std::string file = folder + "/patient.json";
  std::error_code failure;
  std::filesystem::create_directories(folder, failure);
  std::ofstream(file + ".new") << dump(to_json_value(settings)) << "\n";
  std::filesystem::rename(file + ".new", file, failure);
  if (!failure) return {};
  return Error{ErrorCode::unavailable, "cannot write " + file + ": " + failure.message()};
}

Result<PatientSettings> load_patient(const std::string& folder) {
  const std::string file = folder + "/patient.json";
  const std::string text = file_text(file);
  if (text.empty()) return Error{ErrorCode::not_found, "no patient has ever run in " + folder};
  const Result<Json> json = parse_json(text);
  if (!json) return json.error().within(file);
  PatientSettings settings;
  const std::string wrong = from_json_value(*json, settings);
  if (!wrong.empty()) return Error{ErrorCode::corrupt, file + wrong};
  return settings;
}

std::int64_t living_patient(const std::string& folder) {
  const Result<PatientSettings> settings = load_patient(folder);
  if (!settings || settings->process <= 0) return 0;
  const std::string arguments =
      file_text("/proc/" + std::to_string(settings->process) + "/cmdline");
  return arguments.find(folder) == std::string::npos ? 0 : settings->process;
}

Result<void> serve_patient(const std::string& folder, PatientSettings settings, bool boots) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  // Before any thread: all of them inherit it, and one waits for the signals.
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  settings.process = getpid();
  Result<void> saved = save_patient(folder, settings);
  if (!saved) return saved;
  if (boots) std::this_thread::sleep_for(std::chrono::milliseconds(settings.boot_ms));

  PatientModel model(folder, settings);
  httplib::Server server;
  add_work_routes(server, model);
  add_effect_routes(server, model);
  const auto port = static_cast<int>(settings.port);
  if (!server.bind_to_port("127.0.0.1", port)) {
    return Error{ErrorCode::unavailable, "cannot listen on 127.0.0.1:" + std::to_string(port)};
  }
  std::atomic<bool> over = false;
  std::thread watcher([&] { watch(server, settings, signals, over); });
  server.listen_after_bind();
  over = true;
  watcher.join();
  return {};
}

}  // namespace selfheal
