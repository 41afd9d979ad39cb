#include "topics/forward_body.hpp"

#include "base/hash.hpp"
#include "topics/frame_codec.hpp"

namespace selfheal {
namespace {

constexpr std::string_view frame_prefix = "frame:";

}  // namespace

Result<std::string> framed_forward(std::span<const Signal> signals) {
  Result<std::string> frame = encode_frame(signals);
  if (!frame) return frame.error();
  return std::string(frame_prefix) + to_hex(*frame);
}

std::string_view forward_value(std::string_view body, std::string& frame) {
  if (!body.starts_with(frame_prefix)) return body;
  Result<std::string> bytes = from_hex(body.substr(frame_prefix.size()));
  // The decoder says that it is no signal.
  if (!bytes) return body;
  frame = std::move(*bytes);
  return frame;
}

}  // namespace selfheal
