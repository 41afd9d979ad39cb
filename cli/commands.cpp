#include "cli/commands.hpp"

namespace selfheal {

void add_config_options(CLI::App& command, ConfigOptions& options) {
  command.add_option("-c,--config", options.file, "Configuration file; none: the defaults");
  command
      .add_option("--set", options.overrides, "key=value, in place of what the file says; repeat")
      ->expected(1)
      ->take_all();
}

Exit fail(const Error& error) {
  return fail(error, exit_for(error));
}

Exit fail(const Error& error, Exit as) {
  std::cerr << "selfheal: " << error.context << "\n";
  return as;
}

void print_line(const Json& json) {
  std::cout << dump(json) << "\n";
}

}  // namespace selfheal
