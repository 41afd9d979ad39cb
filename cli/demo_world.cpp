#include "cli/demo_world.hpp"

#include <httplib.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <thread>

#include "cli/demo_teller.hpp"
#include "cli/http_client.hpp"

namespace selfheal {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto start_limit = std::chrono::seconds(30);
constexpr auto stop_limit = std::chrono::seconds(20);
constexpr auto program_limit = std::chrono::seconds(60);
constexpr std::size_t log_excerpt_bytes = 1500;
// Long enough for the service to be killed while the step that starts a patient runs.
constexpr int boot_ms = 3000;

std::string address_of(int port) {
  return "127.0.0.1:" + std::to_string(port);
}

std::string end_of(const std::string& text) {
  return text.size() <= log_excerpt_bytes ? text : text.substr(text.size() - log_excerpt_bytes);
}

std::string ready_line(const std::string& output) {
  const std::size_t begin = output.find("ready ");
  const std::size_t end = begin == std::string::npos ? begin : output.find('\n', begin);
  return end == std::string::npos ? std::string() : output.substr(begin, end - begin);
}

void end_adopted(const std::string& folder) {
  const auto until = Clock::now() + std::chrono::seconds(3);
  std::int64_t process = living_patient(folder);
  if (process > 0) kill(static_cast<pid_t>(process), SIGTERM);
  while (process > 0 && Clock::now() < until) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    process = living_patient(folder);
  }
  if (process > 0) kill(static_cast<pid_t>(process), SIGKILL);
}

// The values of config/selfheal.env, where the environment does not say otherwise already.
std::map<std::string, std::string> switches() {
  std::map<std::string, std::string> values = {{"SELF_HEAL_AUTOPROVE_LOW_RISK", "True"},
                                               {"SELF_HEAL_PREDICTIVE_SHADOW", "False"},
                                               {"SELF_HEAL_OBSERVE_ONLY", "False"},
                                               {"SELF_HEAL_EXECUTE", "True"}};
  std::erase_if(values, [](const auto& each) { return getenv(each.first.c_str()) != nullptr; });
  return values;
}

}  // namespace

Result<std::unique_ptr<DemoWorld>> DemoWorld::build(bool keep) {
  std::error_code failure;
  const std::filesystem::path parent = std::filesystem::temp_directory_path(failure);
  std::string folder = (parent / "selfheal-demo-XXXXXX").string();
  if (failure || mkdtemp(folder.data()) == nullptr) {
    return Error{ErrorCode::unavailable, "cannot make a temporary folder in " + parent.string() +
                                             "; name another one in TMPDIR"};
  }
  DemoPlaces places{.folder = folder, .program = own_executable()};
  std::unique_ptr<DemoWorld> world(new DemoWorld(std::move(places), keep));
  for (const char* name : {"catalog", "payments", "mailer", "search"}) {
    const Result<int> port = free_port();
    if (!port) return port.error();
    world->places_.ports[name] = *port;
  }
  const Result<int> port = free_port();
  if (!port) return port.error();
  world->places_.http_port = *port;
  const Result<void> written = write_demo_files(world->places_);
  if (!written) return written.error();
  return world;
}

DemoWorld::DemoWorld(DemoPlaces places, bool keep) : places_(std::move(places)), keep_(keep) {}

DemoWorld::~DemoWorld() {
  sentinels_.clear();
  if (service_) service_->end(stop_limit);
  // Those that a playbook has started are no children of ours.
  patients_.clear();
  for (const auto& [name, port] : places_.ports) end_adopted(patient_folder(places_, name));
  std::error_code failure;
  if (!keep_) std::filesystem::remove_all(places_.folder, failure);
}

Result<void> DemoWorld::start_patients(DemoTeller& teller) {
  for (const auto& [name, port] : places_.ports) {
    const std::string folder = patient_folder(places_, name);
    std::error_code failure;
    std::filesystem::create_directories(folder, failure);
    ChildOptions options;
    options.argv = {places_.program,
                    "patient",
                    "serve",
                    "--folder",
                    folder,
                    "--name",
                    name,
                    "--port",
                    std::to_string(port),
                    "--boot-ms",
                    std::to_string(boot_ms),
                    "--guardian",
                    std::to_string(getpid())};
    options.output_file = folder + "/patient.out";
    options.log_file = folder + "/patient.log";
    Result<ChildProcess> patient = ChildProcess::start(options);
    if (!patient) return patient.error();
    patients_.emplace(name, std::move(*patient));
  }
  const bool all = teller.wait_until(start_limit, [&] {
    return std::ranges::all_of(
        places_.ports, [&](const auto& each) { return !patient_metrics(each.first).empty(); });
  });
  if (all) return {};
  return Error{ErrorCode::unavailable, "the patients have not come up"};
}

Result<std::string> DemoWorld::start_service(DemoTeller& teller) {
  const std::string files = places_.folder + "/service-" + std::to_string(++service_starts_);
  ChildOptions options;
  options.argv = {places_.program, "run", "--config", config_file(places_)};
  options.environment = switches();
  options.output_file = files + ".out";
  options.log_file = files + ".log";
  Result<ChildProcess> service = ChildProcess::start(options);
  if (!service) return service.error();
  service_ = std::make_unique<ChildProcess>(std::move(*service));
  std::string line;
  teller.wait_until(start_limit, [&] {
    line = ready_line(file_text(options.output_file));
    return !line.empty() || !service_->running();
  });
  if (!line.empty()) return line;
  return Error{ErrorCode::unavailable,
               "the service has not come up:\n" + end_of(file_text(options.log_file))};
}

void DemoWorld::start_sentinels() {
  watched_since_ = Clock::now();
  for (const auto& [name, port] : places_.ports) {
    sentinels_[name] = std::make_unique<Sentinel>(SentinelOptions{name, port, places_.http_port});
  }
}

void DemoWorld::kill_service() {
  service_->signal(SIGKILL);
  service_->wait_for_exit(stop_limit);
}

int DemoWorld::stop_service() {
  if (!service_) return -1;
  service_->signal(SIGTERM);
  return service_->wait_for_exit(stop_limit).value_or(-1);
}

Result<Json> DemoWorld::get(const std::string& path) const {
  return HttpClient(address_of(places_.http_port), "").get_json(path);
}

Result<ProgramAnswer> DemoWorld::run_selfheal(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), places_.program);
  arguments.insert(arguments.end(), {"--config", config_file(places_)});
  const std::string files = places_.folder + "/program-" + std::to_string(++programs_run_);
  return run_to_end(std::move(arguments), files, program_limit);
}

void DemoWorld::kill_patient(const std::string& name) {
  const auto found = patients_.find(name);
  if (found == patients_.end()) return;
  found->second.signal(SIGKILL);
  found->second.wait_for_exit(stop_limit);
}

Result<void> DemoWorld::ask_patient(const std::string& name, const std::string& path) const {
  const HttpClient client(address_of(places_.ports.at(name)), "");
  const Result<ApiAnswer> answer = client.post(path, "");
  if (!answer) return answer.error();
  if (answer->status == 200) return {};
  return Error{ErrorCode::refused, name + path + ": " + answer->problem()};
}

Json DemoWorld::patient_metrics(const std::string& name) const {
  const Result<Json> metrics =
      HttpClient(address_of(places_.ports.at(name)), "").get_json("/metrics.json");
  return metrics ? *metrics : Json::object();
}

std::vector<PatientEffect> DemoWorld::effects(const std::string& name) const {
  std::vector<PatientEffect> list = effects_of(patient_folder(places_, name));
  std::erase_if(list, &PatientEffect::repeated);
  return list;
}

std::int64_t DemoWorld::count_effects(const std::string& name, const std::string& effect) const {
  const std::vector<PatientEffect> list = effects(name);
  return std::ranges::count(list, effect, &PatientEffect::effect);
}

Sighting DemoWorld::sighting(const std::string& name) const {
  const auto found = sentinels_.find(name);
  return found == sentinels_.end() ? Sighting{} : found->second->sighting();
}

void DemoWorld::forget_peak(const std::string& name) {
  sentinels_.at(name)->forget_peak();
}

double DemoWorld::seconds_watched() const {
  return std::chrono::duration<double>(Clock::now() - watched_since_).count();
}

}  // namespace selfheal
