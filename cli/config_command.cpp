// `selfheal config`: what is in force, and whether a file would be taken.
#include "cli/commands.hpp"
#include "config/automation.hpp"
#include "config/reference.hpp"
#include "topics/kafka_log.hpp"

namespace selfheal {
namespace {

struct CheckOptions {
  ConfigOptions config;
  bool defaults = false;
  bool json = false;
};

Exit show(const CheckOptions& options) {
  if (options.defaults) {
    if (options.json) {
      print_line(to_json_value(ServiceConfig{}));
    } else {
      std::cout << service_yaml();
    }
    return Exit::done;
  }
  const Result<LoadedConfig> loaded = load(options.config);
  if (!loaded) return fail(loaded.error());
  const Json json = to_json_value(loaded->config);
  // JSON is YAML: what is printed can be given to --config again.
  std::cout << (options.json ? dump(json) : json.dump(2)) << "\n";
  return Exit::done;
}

Exit check(const CheckOptions& options) {
  const Result<LoadedConfig> loaded = load(options.config);
  if (!loaded) return fail(loaded.error());
  const Result<Settings> settings = build_settings(loaded->config);
  if (!settings) return fail(settings.error(), Exit::wrong_usage);
  const Result<TrustedAutomation> automation =
      load_automation(loaded->config.automation, process_environment);
  if (!automation) return fail(automation.error(), Exit::wrong_usage);
  const BusConfig& bus = loaded->config.bus;
  if (bus.kind == "kafka") {
    // Only the client library knows its properties. It needs no broker to judge them.
    const auto log = KafkaLog::open({.brokers = bus.brokers, .properties = bus.properties});
    if (!log) {
      return fail(log.error().within("bus.properties").within(loaded->file), Exit::wrong_usage);
    }
  }
  const Json found{{"file", loaded->file},
                   {"mode", settings->mode},
                   {"playbooks", settings->playbooks.size()},
                   {"policies", settings->policies.size()},
                   {"services", settings->graph.services.size()},
                   {"keys", settings->keys.size()}};
  if (options.json) {
    print_line(found);
    return Exit::done;
  }
  std::cout << (loaded->file.empty() ? "the defaults" : loaded->file) << ": good. mode "
            << settings->mode << ", " << settings->playbooks.size() << " playbooks, "
            << settings->policies.size() << " policies, " << settings->graph.services.size()
            << " services, " << settings->keys.size() << " keys\n";
  return Exit::done;
}

}  // namespace

void add_config_command(CLI::App& application, Action& action) {
  CLI::App* config = application.add_subcommand("config", "The configuration");
  config->require_subcommand(1);
  auto options = std::make_shared<CheckOptions>();

  CLI::App* shown = config->add_subcommand("show", "Every key as it is in force");
  add_config_options(*shown, options->config);
  shown->add_flag("--defaults", options->defaults, "The defaults, with what each key means");
  shown->add_flag("--json", options->json, "One JSON object on one line");
  shown->callback([&action, options] { action = [options] { return show(*options); }; });

  CLI::App* checked = config->add_subcommand("check", "Reads a file and every file that it names");
  checked->add_option("file", options->config.file, "Configuration file")->required();
  checked->add_option("--set", options->config.overrides, "key=value")->expected(1)->take_all();
  checked->add_flag("--json", options->json, "One JSON object on one line");
  checked->callback([&action, options] { action = [options] { return check(*options); }; });

  config->add_subcommand("reference", "Every key and form, as Markdown")->callback([&action] {
    action = [] {
      std::cout << configuration_markdown();
      return Exit::done;
    };
  });
}

}  // namespace selfheal
