#pragma once
// The configuration of the demonstration: as shipped, with times that fit into two minutes and
// playbooks that act on the patients. Names, risks, approvals and triggers are the shipped ones.
#include <map>
#include <string>

#include "base/result.hpp"

namespace selfheal {

// A request may take this long before its users notice; the first scenario must stay below it.
constexpr double latency_limit_seconds = 0.5;
// What the verification asks for after one instance more.
constexpr double healed_latency_seconds = 0.135;

struct DemoPlaces {
  std::string folder;
  std::string program;               // this executable
  int http_port = 0;                 // of the service
  std::map<std::string, int> ports;  // of the patients
};

std::string patient_folder(const DemoPlaces& places, const std::string& name);
std::string config_file(const DemoPlaces& places);
std::string data_folder(const DemoPlaces& places);

// service.yaml, graph, policies and the six playbooks.
Result<void> write_demo_files(const DemoPlaces& places);

}  // namespace selfheal
