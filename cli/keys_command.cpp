// `selfheal keys`: who may read, answer and administrate.
#include "cli/commands.hpp"

namespace selfheal {
namespace {

struct KeysOptions {
  ConfigOptions config;
  std::string role;
  std::string name;
  bool json = false;
};

Exit make(const KeysOptions& options) {
  const Result<LoadedConfig> loaded = load(options.config);
  if (!loaded) return fail(loaded.error());
  const std::string& folder = loaded->config.keys_dir;
  const Result<PublicKey> key = create_key(folder, options.name, options.role);
  if (!key) return fail(key.error());
  // The secrets stay in their file: what a terminal shows is kept in too many places.
  const std::string file = secret_key_file(folder, key->name);
  if (options.json) {
    print_line({{"name", key->name}, {"role", key->role}, {"file", file}});
    return Exit::done;
  }
  std::cout << "made key " << key->name << " (" << key->role << ")\n"
            << "secrets, the API token among them: " << file << "\n"
            << "a running service takes signatures of the key after a reload (SIGHUP)\n";
  return Exit::done;
}

Exit list(const KeysOptions& options) {
  const Result<LoadedConfig> loaded = load(options.config);
  if (!loaded) return fail(loaded.error());
  const Result<std::vector<PublicKey>> keys = list_keys(loaded->config.keys_dir);
  if (!keys) return fail(keys.error());
  for (const PublicKey& key : *keys) {
    if (options.json) {
      print_line({{"name", key.name}, {"role", key.role}, {"public_key", key.public_key}});
    } else {
      std::cout << key.name << "  " << key.role << "  " << key.public_key << "\n";
    }
  }
  return Exit::done;
}

}  // namespace

void add_keys_command(CLI::App& application, Action& action) {
  CLI::App* keys = application.add_subcommand("keys", "Signing keys and API tokens");
  keys->require_subcommand(1);
  auto options = std::make_shared<KeysOptions>();
  CLI::App* create = keys->add_subcommand("new", "Makes a key with its token in keys_dir");
  add_config_options(*create, options->config);
  create->add_option("--role", options->role, "viewer, operator or admin")
      ->required()
      ->check(CLI::IsMember({"viewer", "operator", "admin"}));
  create->add_option("name", options->name, "1 to 64 of a-z, 0-9, _ and -")->required();
  create->add_flag("--json", options->json, "One JSON object");
  create->callback([&action, options] { action = [options] { return make(*options); }; });
  CLI::App* show = keys->add_subcommand("list", "The keys in keys_dir, without secrets");
  add_config_options(*show, options->config);
  show->add_flag("--json", options->json, "One JSON object a line");
  show->callback([&action, options] { action = [options] { return list(*options); }; });
}

}  // namespace selfheal
