#pragma once
// The stories of the demonstration. Each makes a patient ill, follows what the service decides, and
// checks at the patient what really happened.
#include <string>
#include <vector>

#include "cli/demo_teller.hpp"
#include "cli/demo_world.hpp"

namespace selfheal {

struct ScenarioResult {
  std::string name;
  bool passed = false;
  double seconds = 0;
  std::string incident;
  std::string playbook;
  bool auto_approved = false;
  std::string outcome;
};

struct Scenario {
  const char* name;  // s-01
  const char* title;
  // Returns early where something does not hold: the rest of the story would make no sense.
  void (*play)(DemoWorld& world, DemoTeller& teller, ScenarioResult& result);
};

// In the order in which they are played.
const std::vector<Scenario>& scenarios();

ScenarioResult play(const Scenario& scenario, DemoWorld& world, DemoTeller& teller);

}  // namespace selfheal
