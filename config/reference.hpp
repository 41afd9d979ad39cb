#pragma once
// What is written about the configuration, generated from the field lists: it cannot be out of
// date. Pure functions.
#include <string>

namespace selfheal {

// docs/configuration.md: every key with its default and meaning, and the forms of the files that a
// configuration names.
std::string configuration_markdown();

// config/service.yaml: every key with its default.
std::string service_yaml();

}  // namespace selfheal
