#include <algorithm>
#include <filesystem>
#include <map>

#include "config/keys.hpp"
#include "config/service_config.hpp"
#include "config/yaml_reader.hpp"

namespace selfheal {
namespace {

namespace fs = std::filesystem;

Result<std::vector<Policy>> read_policies(const std::string& file) {
  const Result<std::string> text = read_text_file(file);
  if (!text) return text.error();
  const Result<YamlNode> node = parse_yaml(*text, file);
  if (!node) return node.error();
  std::vector<Policy> policies;
  Result<void> done;
  if (node->kind == YamlNode::Kind::map) {
    // One policy alone, as it is often pasted.
    done = read_yaml_node(*node, file, policies.emplace_back());
  } else {
    done = read_yaml_node(*node, file, policies);
  }
  if (!done) return done.error();
  const Result<void> valid = validate_policies(policies);
  if (!valid) return valid.error().within(file);
  return policies;
}

// Checked here and not with the rest, so that the message names the file.
Result<GraphSettings> read_graph(const std::string& file) {
  Result<GraphSettings> graph = read_yaml_file<GraphSettings>(file);
  if (!graph) return graph;
  const Result<void> valid = validate_graph(*graph);
  if (!valid) return valid.error().within(file);
  return graph;
}

// Tokens stay behind: settings are journaled, and a token's hash is nobody else's business.
Result<std::vector<KeyEntry>> read_keys(const std::string& directory) {
  const Result<std::vector<PublicKey>> found = list_keys(directory);
  if (!found) return found.error();
  std::vector<KeyEntry> keys;
  for (const PublicKey& key : *found) keys.push_back({key.name, key.role, key.public_key});
  return keys;
}

}  // namespace

// Hidden files are what editors leave behind while they save.
Result<std::vector<std::string>> playbook_files(const std::string& directory) {
  std::vector<std::string> files;
  std::error_code failure;
  fs::directory_iterator each(directory, failure);
  for (; !failure && each != fs::directory_iterator(); each.increment(failure)) {
    const fs::path& path = each->path();
    const bool is_yaml = path.extension() == ".yaml" || path.extension() == ".yml";
    if (!is_yaml || path.filename().string().starts_with('.')) continue;
    files.push_back(path.string());
  }
  if (failure) {
    return Error{ErrorCode::not_found,
                 directory + ": playbooks_dir cannot be read (" + failure.message() + ")"};
  }
  // Directory order differs between machines; settings must not.
  std::ranges::sort(files);
  return files;
}

Result<Playbook> read_playbook(const std::string& file, const std::string& topics_prefix) {
  Result<Playbook> playbook = read_yaml_file<Playbook>(file);
  if (!playbook) return playbook;
  const Result<void> valid = validate_playbook(*playbook);
  if (!valid) return valid.error().within(file);
  const Result<void> elsewhere = validate_publish_topics(*playbook, topics_prefix);
  if (!elsewhere) return elsewhere.error().within(file);
  return playbook;
}

Result<Settings> build_settings(const ServiceConfig& config) {
  Settings settings = decision_settings(config);
  if (!config.playbooks_dir.empty()) {
    const Result<std::vector<std::string>> files = playbook_files(config.playbooks_dir);
    if (!files) return files.error();
    std::map<std::string, std::string> file_of;  // by name
    for (const std::string& file : *files) {
      Result<Playbook> playbook = read_playbook(file, config.topics.prefix);
      if (!playbook) return playbook.error();
      const auto [first, is_new] = file_of.emplace(playbook->name, file);
      if (!is_new) {
        return Error{ErrorCode::invalid, file + ": the playbook is named '" + playbook->name +
                                             "', as is that in " + first->second};
      }
      settings.playbooks.push_back(std::move(*playbook));
    }
  }
  if (!config.policies_file.empty()) {
    Result<std::vector<Policy>> policies = read_policies(config.policies_file);
    if (!policies) return policies.error();
    settings.policies = std::move(*policies);
  }
  if (!config.graph_file.empty()) {
    Result<GraphSettings> graph = read_graph(config.graph_file);
    if (!graph) return graph.error();
    settings.graph = std::move(*graph);
  }
  Result<std::vector<KeyEntry>> keys = read_keys(config.keys_dir);
  if (!keys) return keys.error();
  settings.keys = std::move(*keys);
  const Result<void> valid = validate(settings);
  if (!valid) return valid.error();
  return settings;
}

}  // namespace selfheal
