#pragma once
// Which programs may change something without a person's confirmation: those that name a listed
// model, or that send a shared secret. Of the secret only its hash is kept.
#include <string>
#include <vector>

#include "base/result.hpp"
#include "config/service_config.hpp"

namespace selfheal {

struct TrustedAutomation {
  std::vector<std::string> models;   // in the header x-gpt-id
  std::vector<std::string> headers;  // in lower case; any of them may bear the secret
  std::string secret_sha256;         // hex; empty: no secret is trusted
};

// Reads the secret. ARCANOS_AUTOMATION_SECRET and ARCANOS_AUTOMATION_HEADER in the environment, and
// the header x-arcanos-automation, mean the same as the keys: callers of another service know them.
Result<TrustedAutomation> load_automation(const AutomationConfig& config,
                                          const EnvironmentLookup& environment);

}  // namespace selfheal
