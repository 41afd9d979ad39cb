#pragma once
// Follows one incident of the running service over its API, and tells what it decides.
#include <optional>
#include <string>

#include "cli/demo_scenarios.hpp"

namespace selfheal {

class DemoIncident {
 public:
  DemoIncident(DemoWorld& world, DemoTeller& teller, ScenarioResult& result);

  // The next incident of this service, opened from now on, with this code.
  bool await_opened(const std::string& service, const std::string& code);
  // Tells every candidate, and checks which of them was chosen.
  bool await_proposal(const std::string& playbook);
  // Tells every check, and compares the verdict: approved, held_for_person.
  bool await_verdict(const std::string& verdict);
  // A person says yes, by the command line.
  bool approve(const std::string& reason);
  // Verified, learnt and closed.
  bool await_recovery();

  // Data of the latest event of this type in its timeline; null where there is none.
  Json event(const std::string& type) const;
  bool has_run() const;
  // Step attempts that ended, over all its runs.
  std::int64_t steps_finished() const;
  const std::string& id() const { return result_.incident; }

 private:
  Json read() const;
  Json await_event(const std::string& type);

  DemoWorld& world_;
  DemoTeller& teller_;
  ScenarioResult& result_;
  TimeMs since_ms_;
  std::string service_;
  Json proposal_;
};

}  // namespace selfheal
