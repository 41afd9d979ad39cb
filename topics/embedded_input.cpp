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

void append_embedded(std::string& out, const EmbeddedInput& input) {
  std::visit(
      [&]<class Input>(const Input& each) {
        static_assert(json_detail::sorted_names<Input>.back() < "type",
                      "the type is written last, so it has to sort last");
        JsonObjectWriter object(out);
        append_json_members(object, each);
        append_json(object.member("type"), std::string_view(Input::kName));
        object.end();
      },
      input);
}

bool read_embedded(JsonReader& in, EmbeddedInput& input) {
  std::string_view type;
  if (!in.peek_member("type", type)) return false;
  if (type == StepResult::kName) {
    input.emplace<StepResult>();
  } else if (type == ProbeResult::kName) {
    input.emplace<ProbeResult>();
  } else {
    return false;
  }
  int types = 0;
  const auto rest = [&](JsonReader& at, std::string_view name) {
    if (name == "type") ++types;
    return at.skip_value();
  };
  const bool read =
      std::visit([&](auto& each) { return json_detail::read_fields(in, each, rest); }, input);
  return read && types == 1;
}

}  // namespace selfheal
