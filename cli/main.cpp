// selfheal: one binary, a subcommand for each thing it can do.
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "cli/commands.hpp"
#include "decision/shard/fold_version.hpp"
#include "effects/step_effect.hpp"

int main(int argc, char** argv) {
  using namespace selfheal;
  // Logs go to stderr: stdout is for results.
  spdlog::set_default_logger(spdlog::stderr_color_mt("selfheal"));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e %^%l%$ %v");

  // The action shim reads its order from stdin and is started by the service alone.
  if (argc == 2 && std::string_view(argv[1]) == "effect-shim") {
    EffectContext context;
    context.now_ms = wall_clock_ms;
    return effect_shim_main(context);
  }

  CLI::App application("Heals other services: predicts, decides, acts, verifies and learns.");
  application.require_subcommand(1);
  application.set_help_all_flag("--help-all", "Help of every command");
  Action action;
  add_run_command(application, action);
  add_demo_command(application, action);
  add_emit_command(application, action);
  add_topics_command(application, action);
  add_doctor_command(application, action);
  add_list_commands(application, action);
  add_answer_commands(application, action);
  add_keys_command(application, action);
  add_replay_command(application, action);
  add_audit_command(application, action);
  add_predict_command(application, action);
  add_config_command(application, action);
  add_patient_command(application, action);
  CLI::App* version = application.add_subcommand("version", "Name and version of this build");
  const auto as_json = std::make_shared<bool>(false);
  version->add_flag("--json", *as_json, "One JSON object");
  version->callback([&, as_json] {
    action = [as_json] {
      if (*as_json) {
        print_line({{"build", build_name()}, {"fold_version", fold_version}});
      } else {
        std::cout << build_name() << ", fold version " << fold_version << "\n";
      }
      return Exit::done;
    };
  });
  const std::string asked = argc > 1 ? argv[1] : "";
  const auto commands = application.get_subcommands([](const CLI::App*) { return true; });
  const bool is_command = std::ranges::any_of(
      commands, [&](const CLI::App* each) { return each->get_name() == asked; });
  if (!asked.empty() && !asked.starts_with('-') && !is_command) {
    return static_cast<int>(fail(
        {ErrorCode::invalid, "there is no command '" + asked + "'; selfheal --help lists them"}));
  }
  try {
    application.parse(argc, argv);
  } catch (const CLI::ParseError& failure) {
    const int code = application.exit(failure);
    return code == 0 ? 0 : static_cast<int>(Exit::wrong_usage);
  }
  return static_cast<int>(action());
}
