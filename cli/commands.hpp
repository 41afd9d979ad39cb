#pragma once
// Every subcommand adds itself to the application; what it does runs after parsing and sets the
// exit code. Results go to stdout, everything else to stderr.
#include <CLI/CLI.hpp>
#include <functional>
#include <iostream>
#include <string>

#include "cli/assembly.hpp"
#include "topics/json_codec.hpp"

namespace selfheal {

// What the chosen command does; set by the callback of its subcommand.
using Action = std::function<Exit()>;

// --config and --set.
void add_config_options(CLI::App& command, ConfigOptions& options);

// Says what went wrong on stderr and returns the exit code for it.
Exit fail(const Error& error);
// With another one, where it is the place that tells what kind of mistake it is.
Exit fail(const Error& error, Exit as);

// A list is one object a line.
void print_line(const Json& json);

void add_run_command(CLI::App& application, Action& action);
void add_topics_command(CLI::App& application, Action& action);
void add_doctor_command(CLI::App& application, Action& action);
void add_config_command(CLI::App& application, Action& action);
void add_keys_command(CLI::App& application, Action& action);
void add_predict_command(CLI::App& application, Action& action);
void add_replay_command(CLI::App& application, Action& action);
void add_audit_command(CLI::App& application, Action& action);
void add_emit_command(CLI::App& application, Action& action);
void add_list_commands(CLI::App& application, Action& action);
void add_answer_commands(CLI::App& application, Action& action);
void add_patient_command(CLI::App& application, Action& action);
void add_demo_command(CLI::App& application, Action& action);

}  // namespace selfheal
