#include "topics/control.hpp"

#include "base/parse_number.hpp"
#include "topics/json_codec.hpp"

namespace selfheal {
namespace {

constexpr std::string_view from_control = "control:";

}  // namespace

std::string ControlMessage::signed_text() const {
  std::string text;
  JsonObjectWriter object(text);
  append_json_members(object, *this, "signature");
  object.end();
  return text;
}

std::string cause_of_control(std::int64_t offset) {
  return std::string(from_control) + std::to_string(offset);
}

std::optional<std::int64_t> control_of_cause(std::string_view cause) {
  if (!cause.starts_with(from_control)) return {};
  cause.remove_prefix(from_control.size());
  const std::optional<std::int64_t> offset = parse_number<std::int64_t>(cause);
  return offset && *offset >= 0 ? offset : std::nullopt;
}

std::string encode_control(const ControlMessage& message) {
  return to_json_text(message);
}

Result<ControlMessage> decode_control(std::string_view text) {
  Result<ControlMessage> message = from_json_text<ControlMessage>(text);
  if (!message) return message.error().within("control message");
  if (message->kind.empty()) return Error{ErrorCode::invalid, "control message without a kind"};
  return message;
}

}  // namespace selfheal
