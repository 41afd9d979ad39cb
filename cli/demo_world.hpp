#pragma once
// Everything that the demonstration starts on this machine, in one temporary folder: patients,
// sentinels, the service. All of it is ended and removed with the object. Not thread-safe.
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cli/child_process.hpp"
#include "cli/demo_files.hpp"
#include "cli/patient_server.hpp"
#include "cli/sentinel.hpp"
#include "topics/json_codec.hpp"

namespace selfheal {

class DemoTeller;

class DemoWorld {
 public:
  // `keep`: the folder stays. Writes the configuration.
  static Result<std::unique_ptr<DemoWorld>> build(bool keep);
  ~DemoWorld();
  DemoWorld(const DemoWorld&) = delete;
  DemoWorld& operator=(const DemoWorld&) = delete;

  const DemoPlaces& places() const { return places_; }

  Result<void> start_patients(DemoTeller& teller);
  // Returns its ready line.
  Result<std::string> start_service(DemoTeller& teller);
  void start_sentinels();
  void kill_service();  // SIGKILL
  int stop_service();   // SIGTERM; the exit code, -1 where it has not ended

  Result<Json> get(const std::string& path) const;  // of the service
  // The program itself, with --config, to its end.
  Result<ProgramAnswer> run_selfheal(std::vector<std::string> arguments);

  void kill_patient(const std::string& name);  // SIGKILL
  Result<void> ask_patient(const std::string& name, const std::string& path) const;
  Json patient_metrics(const std::string& name) const;  // empty where it does not answer
  // What was done to it, repetitions that changed nothing left out.
  std::vector<PatientEffect> effects(const std::string& name) const;
  std::int64_t count_effects(const std::string& name, const std::string& effect) const;

  Sighting sighting(const std::string& name) const;
  void forget_peak(const std::string& name);
  double seconds_watched() const;

 private:
  DemoWorld(DemoPlaces places, bool keep);

  DemoPlaces places_;
  bool keep_;
  std::map<std::string, ChildProcess> patients_;
  std::unique_ptr<ChildProcess> service_;
  std::map<std::string, std::unique_ptr<Sentinel>> sentinels_;
  std::chrono::steady_clock::time_point watched_since_;
  int service_starts_ = 0;
  int programs_run_ = 0;
};

}  // namespace selfheal
