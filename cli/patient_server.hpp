#pragma once
// A patient: a small HTTP service that can really fall ill and be healed, for demonstrations and
// tests. How long it takes to answer depends on its load and on how many instances share it; its
// calls to dependencies fail through circuit breakers that stay open until somebody closes them.
//
//   GET  /work                          one request: really waits, really fails
//   GET  /health, /metrics.json
//   POST /admin/load?rps=60             requests per second that it pretends to be under
//   POST /admin/fail?dependencies=2&seconds=3   that many dependencies are ill for a while
//   POST /admin/instances?delta=1       one instance more; once for each Idempotency-Key
//   POST /admin/breakers/flush|open
//   POST|DELETE /admin/cache/warm, PUT /admin/flags/NAME, PUT /admin/log-level
//
// Every effect is a line of <folder>/effects.log with the key that came with it.
#include <cstdint>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "base/fields.hpp"
#include "base/result.hpp"
#include "base/time.hpp"

namespace selfheal {

// Kept as <folder>/patient.json, from which a dead patient can be started again.
struct PatientSettings {
  std::string name;
  std::int64_t port = 0;
  std::int64_t instances = 2;
  double load_rps = 40;
  double capacity_rps = 50;  // of one instance
  double work_ms = 60;       // of one request on an idle instance
  std::int64_t dependencies = 3;
  std::int64_t boot_ms = 0;   // until it listens, when it is started again
  std::int64_t guardian = 0;  // process without which it ends itself; 0: none
  std::int64_t process = 0;   // its own
  static constexpr auto fields() {
    return std::tuple{field("name", &PatientSettings::name),
                      field("port", &PatientSettings::port),
                      field("instances", &PatientSettings::instances),
                      field("load_rps", &PatientSettings::load_rps),
                      field("capacity_rps", &PatientSettings::capacity_rps),
                      field("work_ms", &PatientSettings::work_ms),
                      field("dependencies", &PatientSettings::dependencies),
                      field("boot_ms", &PatientSettings::boot_ms),
                      field("guardian", &PatientSettings::guardian),
                      field("process", &PatientSettings::process)};
  }
};

// One line of effects.log.
struct PatientEffect {
  std::string effect;  // instances, flush, restart …
  std::string key;     // that the caller sent
  std::string detail;
  bool repeated = false;  // the key had come before: nothing was done
  TimeMs time_ms = 0;
  static constexpr auto fields() {
    return std::tuple{field("effect", &PatientEffect::effect), field("key", &PatientEffect::key),
                      field("detail", &PatientEffect::detail),
                      field("repeated", &PatientEffect::repeated),
                      field("time_ms", &PatientEffect::time_ms)};
  }
};

void append_effect(const std::string& folder, const PatientEffect& effect);
std::vector<PatientEffect> effects_of(const std::string& folder);

Result<void> save_patient(const std::string& folder, const PatientSettings& settings);
Result<PatientSettings> load_patient(const std::string& folder);

// The process of this folder's patient if it lives; 0 otherwise. A number that another program has
// taken over does not count.
std::int64_t living_patient(const std::string& folder);

// Serves until SIGTERM or until its guardian is gone. `boots`: not before its boot_ms are over.
Result<void> serve_patient(const std::string& folder, PatientSettings settings, bool boots);

}  // namespace selfheal
