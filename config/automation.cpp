#include "config/automation.hpp"

#include <algorithm>

#include "base/hash.hpp"
#include "config/yaml_tree.hpp"

namespace selfheal {
namespace {

// A shorter one could be tried out.
constexpr std::size_t secret_bytes_min = 16;

// As the server hands headers over.
std::string lower_case(std::string text) {
  for (char& each : text) {
    if (each >= 'A' && each <= 'Z') each = static_cast<char>(each - 'A' + 'a');
  }
  return text;
}

bool is_header_name(const std::string& text) {
  return !text.empty() && std::ranges::all_of(text, [](char each) {
    return (each >= 'a' && each <= 'z') || (each >= '0' && each <= '9') || each == '-' ||
           each == '_';
  });
}

Result<std::string> read_secret(const std::string& file) {
  Result<std::string> text = read_text_file(file);
  if (!text) return text;
  // Editors end a file with a line break.
  while (text->ends_with('\n') || text->ends_with('\r')) text->pop_back();
  return text;
}

}  // namespace

Result<TrustedAutomation> load_automation(const AutomationConfig& config,
                                          const EnvironmentLookup& environment) {
  TrustedAutomation trusted{.models = config.models};
  std::erase(trusted.models, "");
  trusted.headers = {lower_case(config.header), "x-arcanos-automation"};
  const std::string alias = environment("ARCANOS_AUTOMATION_HEADER").value_or("");
  if (!alias.empty()) trusted.headers.push_back(lower_case(alias));
  for (const std::string& header : trusted.headers) {
    if (is_header_name(header)) continue;
    return Error{ErrorCode::invalid, "automation.header: '" + header + "' is not a header"};
  }
  std::string secret = environment("ARCANOS_AUTOMATION_SECRET").value_or("");
  if (!config.secret_file.empty()) {
    Result<std::string> read = read_secret(config.secret_file);
    if (!read) return read.error().within("automation.secret_file");
    secret = std::move(*read);
    if (secret.empty()) return Error{ErrorCode::invalid, config.secret_file + " is empty"};
  }
  if (secret.empty()) return trusted;
  if (secret.size() < secret_bytes_min) {
    return Error{ErrorCode::invalid, "the secret of automation must have at least 16 characters"};
  }
  trusted.secret_sha256 = to_hex(sha256(secret));
  return trusted;
}

}  // namespace selfheal
