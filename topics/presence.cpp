#include "topics/presence.hpp"

#include <algorithm>

#include "base/signature.hpp"
#include "topics/journal.hpp"
#include "topics/json_codec.hpp"

namespace selfheal {

Result<std::string> encode_presence(const Presence& presence, std::string_view secret_key) {
  const std::string body = to_json_text(presence);
  const Result<std::string> signature = sign(secret_key, body);
  if (!signature) return signature.error();
  return wrap_body(*signature, body);
}

Result<Presence> decode_presence(std::string_view value,
                                 const std::vector<std::string>& public_keys) {
  const Result<SignedBody> parts = unwrap_body(value);
  if (!parts) return parts.error();
  const bool trusted = std::any_of(
      public_keys.begin(), public_keys.end(),
      [&](const std::string& key) { return verify(key, parts->body, parts->signature); });
  if (!trusted) {
    return Error{ErrorCode::refused, "a presence that no key of this cluster has signed"};
  }
  Result<Presence> presence = from_json_text<Presence>(parts->body);
  if (!presence) return presence.error().within("presence");
  if (presence->instance.empty() || presence->incarnation.empty()) {
    return Error{ErrorCode::invalid, "a presence without a name"};
  }
  return presence;
}

}  // namespace selfheal
