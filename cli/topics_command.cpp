// `selfheal topics create`: the topics of the configured bus.
#include "cli/commands.hpp"
#include "topics/topic_table.hpp"

namespace selfheal {
namespace {

Exit create(const ConfigOptions& options) {
  const Result<LoadedConfig> loaded = load(options);
  if (!loaded) return fail(loaded.error());
  const ServiceConfig& config = loaded->config;
  const Result<std::shared_ptr<Log>> log = open_log(config);
  if (!log) return fail(log.error());
  const std::vector<TopicSpec> specs =
      topic_specs(config.topics.prefix, static_cast<std::int32_t>(config.topics.partitions));
  const Result<void> created = (*log)->create_topics(specs);
  if (!created) return fail(created.error());
  for (const TopicSpec& spec : specs) {
    const Result<std::int32_t> partitions = (*log)->partitions(spec.name);
    if (!partitions) return fail(partitions.error());
    print_line({{"topic", spec.name}, {"partitions", *partitions}});
  }
  return Exit::done;
}

}  // namespace

void add_topics_command(CLI::App& application, Action& action) {
  CLI::App* topics = application.add_subcommand("topics", "The topics on the bus");
  topics->require_subcommand(1);
  CLI::App* command =
      topics->add_subcommand("create", "Makes what is missing; a second run changes nothing");
  auto options = std::make_shared<ConfigOptions>();
  add_config_options(*command, *options);
  command->add_flag("--json")->description("One JSON object a topic, as without it");
  command->callback([&action, options] { action = [options] { return create(*options); }; });
}

}  // namespace selfheal
