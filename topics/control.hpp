#pragma once
// Control messages: what people, the API and other shards say to a shard. Every envelope that can
// change something is signed; a forward between shards is signed by the process that committed it.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/fields.hpp"
#include "base/result.hpp"
#include "base/time.hpp"

namespace selfheal {

// kind: approve, deny        `target` a proposal id, `content_hash` what exactly is approved
//       resolve              `target` an action id in doubt, `body` happened or not_happened
//       forward              `body` NDJSON of signals
//       lock_request, lock_release, lock_grant, lock_wait
//                            `body` the event (lock_events.hpp) that the message tells of
// What comes from a shard names the event that it stands for: `source_shard`/`source_seq`/
// `source_k`, its tick in `time_ms`.
struct ControlMessage {
  static constexpr const char* kName = "control";
  std::string kind;
  std::string target;
  std::string content_hash;
  std::string reason;
  std::string body;
  std::int64_t source_shard = -1;
  std::int64_t source_seq = -1;
  std::int64_t source_k = -1;
  TimeMs time_ms = 0;     // when it was said, by the sender's clock
  std::string key_id;     // name of the key in the settings' key list
  std::string nonce;      // used once; 16 random bytes in hex
  std::string signature;  // Ed25519 over signed_text()
  static constexpr auto fields() {
    return std::tuple{field("kind", &ControlMessage::kind),
                      field("target", &ControlMessage::target),
                      field("content_hash", &ControlMessage::content_hash),
                      field("reason", &ControlMessage::reason),
                      field("body", &ControlMessage::body),
                      field("source_shard", &ControlMessage::source_shard),
                      field("source_seq", &ControlMessage::source_seq),
                      field("source_k", &ControlMessage::source_k),
                      field("time_ms", &ControlMessage::time_ms),
                      field("key_id", &ControlMessage::key_id),
                      field("nonce", &ControlMessage::nonce),
                      field("signature", &ControlMessage::signature)};
  }
  bool operator==(const ControlMessage&) const = default;

  // The canonical JSON of the message without its signature.
  std::string signed_text() const;
};

// How an event names the control message that caused it, by the message's offset, and the reverse;
// nothing where the text names none.
std::string cause_of_control(std::int64_t offset);
std::optional<std::int64_t> control_of_cause(std::string_view cause);

std::string encode_control(const ControlMessage& message);
Result<ControlMessage> decode_control(std::string_view text);

}  // namespace selfheal
