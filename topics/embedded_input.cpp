#include "topics/embedded_input.hpp"

namespace selfheal {

Json embedded_to_json(const EmbeddedInput& input) {
  return std::visit(
      [](const auto& each) {
        Json json = to_json_value(each);
        json["type"] = std::decay_t<decltype(each)>::kName;
        return json;
      },
      input);
}

Result<EmbeddedInput> embedded_from_json(const Json& json) {
  const std::string type = json.is_object() ? json.value("type", std::string()) : std::string();
  std::string wrong = ": unknown type '" + type + "'";
  EmbeddedInput input;
  if (type == StepResult::kName) wrong = from_json_value(json, input.emplace<StepResult>());
  if (type == ProbeResult::kName) wrong = from_json_value(json, input.emplace<ProbeResult>());
  if (!wrong.empty()) return Error{ErrorCode::corrupt, "embedded input" + wrong};
  return input;
}

}  // namespace selfheal
