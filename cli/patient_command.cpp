// `selfheal patient serve|start|check`: services to be healed, for demonstrations and tests.
#include <httplib.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "cli/child_process.hpp"
#include "cli/commands.hpp"
#include "cli/patient_server.hpp"

namespace selfheal {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto look_pause = std::chrono::milliseconds(50);

bool is_healthy(const PatientSettings& settings) {
  httplib::Client client("127.0.0.1", static_cast<int>(settings.port));
  client.set_connection_timeout(1);
  client.set_read_timeout(2);
  const httplib::Result answer = client.Get("/health");
  return answer && answer->status == 200;
}

std::string environment_text(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::string() : value;
}

bool wait_until(std::chrono::milliseconds limit, const std::function<bool()>& holds) {
  const auto until = Clock::now() + limit;
  while (!holds()) {
    if (Clock::now() > until) return false;
    std::this_thread::sleep_for(look_pause);
  }
  return true;
}

// Ends the process that runs in this folder, if one does, and starts another in its place. It
// outlives this command, and the step that runs it.
Exit start(const std::string& folder) {
  const Result<PatientSettings> settings = load_patient(folder);
  if (!settings) return fail(settings.error());
  append_effect(folder,
                {"restart", environment_text("SELF_HEAL_ACTION_ID"),
                 "attempt " + environment_text("SELF_HEAL_ATTEMPT"), false, wall_clock_ms()});
  if (const std::int64_t old = living_patient(folder); old > 0) {
    kill(static_cast<pid_t>(old), SIGTERM);
    const bool ended =
        wait_until(std::chrono::seconds(5), [&] { return living_patient(folder) == 0; });
    if (!ended) kill(static_cast<pid_t>(old), SIGKILL);
  }
  ChildOptions options;
  options.argv = {own_executable(), "patient", "serve", "--folder", folder};
  options.output_file = folder + "/patient.out";
  options.log_file = folder + "/patient.log";
  options.detached = true;
  Result<ChildProcess> patient = ChildProcess::start(options);
  if (!patient) return fail(patient.error());
  const bool healthy = wait_until(std::chrono::seconds(20),
                                  [&] { return !patient->running() || is_healthy(*settings); });
  if (!healthy || !patient->running()) {
    return fail({ErrorCode::refused, settings->name + " has not come up; see " + options.log_file});
  }
  std::cout << settings->name << " runs as process " << patient->pid() << "\n";
  return Exit::done;
}

Exit check(const std::string& folder) {
  const Result<PatientSettings> settings = load_patient(folder);
  if (!settings) return fail(settings.error());
  if (is_healthy(*settings)) return Exit::done;
  return fail({ErrorCode::refused, settings->name + " does not answer"});
}

Exit serve(const std::string& folder, const PatientSettings& given) {
  // Without a port it is started again, as it was.
  PatientSettings settings = given;
  if (given.port == 0) {
    const Result<PatientSettings> saved = load_patient(folder);
    if (!saved) return fail(saved.error());
    settings = *saved;
  }
  const Result<void> served = serve_patient(folder, settings, given.port == 0);
  return served ? Exit::done : fail(served.error());
}

}  // namespace

void add_patient_command(CLI::App& application, Action& action) {
  CLI::App* patient = application.add_subcommand(
      "patient", "A small service that can fall ill, for demonstrations and tests");
  patient->require_subcommand(1);
  auto folder = std::make_shared<std::string>();
  auto settings = std::make_shared<PatientSettings>();
  const auto add = [&](const char* name, const char* help) {
    CLI::App* command = patient->add_subcommand(name, help);
    command->add_option("--folder", *folder, "Where its settings and effects are")->required();
    return command;
  };
  CLI::App* serving = add("serve", "Serves on 127.0.0.1 until SIGTERM");
  serving->add_option("--name", settings->name, "Its name")->capture_default_str();
  serving->add_option("--port", settings->port, "None: as it ran before in this folder");
  serving->add_option("--instances", settings->instances, "That share its load")
      ->capture_default_str();
  serving->add_option("--load", settings->load_rps, "Requests per second")->capture_default_str();
  serving->add_option("--dependencies", settings->dependencies, "Each behind a circuit breaker")
      ->capture_default_str();
  serving->add_option("--boot-ms", settings->boot_ms, "Until it listens, when started again")
      ->capture_default_str();
  serving->add_option("--guardian", settings->guardian, "Process without which it ends itself");
  serving->callback([&action, folder, settings] {
    action = [folder, settings] { return serve(*folder, *settings); };
  });
  add("start", "Starts the patient of this folder anew and waits until it answers")
      ->callback([&action, folder] { action = [folder] { return start(*folder); }; });
  add("check", "Exit 0 if the patient of this folder answers")->callback([&action, folder] {
    action = [folder] { return check(*folder); };
  });
}

}  // namespace selfheal
