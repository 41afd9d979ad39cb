#include "topics/control.hpp"

#include "topics/json_codec.hpp"

namespace selfheal {

std::string ControlMessage::signed_text() const {
  std::string text;
  JsonObjectWriter object(text);
  append_json_members(object, *this, "signature");
  object.end();
  return text;
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
