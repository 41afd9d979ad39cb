// Many schedules of the simulated cluster: `selfheal_simulate --schedules N --seed S`. Each seed
// runs twice and must give the same digest. Prints the seed first, and of each finding the command
// that shows it again. Exit 1 on any finding.
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <string>

#include "tests/simulation/simulation.hpp"

int main(int argc, char** argv) {
  std::uint64_t seed = 1;
  std::uint64_t schedules = 100;
  double minutes = 0;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    if (name == "--seed") seed = std::strtoull(argv[i + 1], nullptr, 10);
    if (name == "--schedules") schedules = std::strtoull(argv[i + 1], nullptr, 10);
    if (name == "--minutes") minutes = std::strtod(argv[i + 1], nullptr);
  }
  std::cout << "seed " << seed << ", " << schedules << " schedules" << std::endl;
  const auto begin = std::chrono::steady_clock::now();
  std::uint64_t bad = 0;
  std::uint64_t done = 0;
  selfheal::simulation::SimulationReport sum;
  for (; done < schedules; ++done) {
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    if (minutes > 0 && took.count() > minutes * 60) break;
    const std::uint64_t each = seed + done;
    auto report = selfheal::simulation::simulate(each);
    // Every tenth runs twice: a hidden clock, thread or hash order would show as another digest.
    if (done % 10 == 0 && selfheal::simulation::simulate(each).digest != report.digest) {
      report.findings.push_back("the second run of this seed decided something else");
    }
    sum.decisions += report.decisions;
    sum.claims += report.claims;
    sum.crashes += report.crashes;
    sum.effects += report.effects;
    sum.in_doubt += report.in_doubt;
    sum.incidents += report.incidents;
    if (done % 1000 == 999) std::cerr << done + 1 << " schedules" << std::endl;
    if (report.findings.empty()) continue;
    ++bad;
    std::cout << "seed " << each << ", " << report.findings.size() << " findings:\n";
    for (const std::string& finding : report.findings) {
      std::cout << "  " << finding.substr(0, 3000) << "\n";
    }
    std::cout << "  again: selfheal_simulate --seed " << each << " --schedules 1" << std::endl;
    if (bad >= 10) break;
  }
  std::cout << done << " schedules, " << bad << " with findings; " << sum.incidents
            << " incidents, " << sum.decisions << " decisions, " << sum.effects << " effects, "
            << sum.in_doubt << " in doubt, " << sum.claims << " claims, " << sum.crashes
            << " crashes\n";
  return bad == 0 ? 0 : 1;
}
