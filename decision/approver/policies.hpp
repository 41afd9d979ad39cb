#pragma once
// Policies as data: the first whose action and conditions match decides; no match means a person.
#include <map>
#include <string>
#include <vector>

#include "decision/settings.hpp"
#include "topics/events.hpp"

namespace selfheal {

// What conditions may ask for: impact, blast_radius, confidence, change_window, proactive, service,
// code, playbook, risk, tier, resource_kind. Numbers and truth values as canonical text.
using PolicyFacts = std::map<std::string, std::string>;

const std::vector<std::string>& policy_fields();

struct PolicyRuling {
  std::string decision = "require_approval";  // allow, deny or require_approval
  std::string hash;  // of the policy that decided; empty where none matched
};

PolicyRuling rule(const std::vector<Policy>& policies, const std::string& action,
                  const PolicyFacts& facts);

// Whether `time_ms` lies in a change window. No windows: always.
bool in_change_window(const Settings& settings, TimeMs time_ms);

// The next minute boundary at or after `time_ms` that lies in a window, looking a week ahead.
// Returns 0 where there is none.
TimeMs next_change_window_ms(const Settings& settings, TimeMs time_ms);

}  // namespace selfheal
