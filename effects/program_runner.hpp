#pragma once
// Runs one program to its end or to its time limit, in a process group of its own, with its output
// captured. Used by the shim for steps and by the service for probes.
#include <map>
#include <string>

#include "base/time.hpp"
#include "decision/playbook.hpp"
#include "effects/output_capture.hpp"

namespace selfheal {

struct RunLimits {
  DurationMs limit_ms = 0;
  // Inherited by the program; -1: nothing is, beside stdin, stdout and stderr.
  int kept_descriptor = -1;
  // At the limit, also end descendants that left the group. Only in a process that runs nothing
  // else: it adopts them, and cannot tell them from other children.
  bool owns_descendants = false;
};

struct ProgramEnd {
  bool began = false;  // else `failure` says why not
  std::string failure;
  bool timed_out = false;
  int exit_code = 0;  // 128 + the signal, 127 not found, 126 not executable
  OutputCapture output;
};

// A small clean base: PATH, HOME, LANG. Nothing of the service's own environment leaks.
std::map<std::string, std::string> base_environment();

// `environment` is complete; the program's own must be merged into it before.
ProgramEnd run_program(const Program& program,
                       const std::map<std::string, std::string>& environment,
                       const RunLimits& limits);

}  // namespace selfheal
