#include "topics/shard_message.hpp"

#include "topics/json_codec.hpp"

namespace selfheal {

std::optional<ShardMessage> shard_message(const JournalRecord& record, std::size_t k,
                                          std::int64_t fleet_shard) {
  const EventBody& body = record.events[k].body;
  ShardMessage out;
  ControlMessage& message = out.message;
  if (const auto* forwarded = std::get_if<Forwarded>(&body)) {
    out.target_shard = forwarded->target_shard;
    message.kind = "forward";
    message.body = forwarded->body;
  } else if (const auto* requested = std::get_if<LockRequested>(&body)) {
    out.target_shard = fleet_shard;
    message.kind = "lock_request";
    message.body = to_json_text(*requested);
  } else if (const auto* released = std::get_if<LockReleased>(&body)) {
    out.target_shard = fleet_shard;
    message.kind = "lock_release";
    message.body = to_json_text(*released);
  } else if (const auto* granted = std::get_if<LockGranted>(&body)) {
    out.target_shard = granted->asker.shard;
    message.kind = "lock_grant";
    message.body = to_json_text(*granted);
  } else if (const auto* queued = std::get_if<LockQueued>(&body)) {
    out.target_shard = queued->asker.shard;
    message.kind = "lock_wait";
    message.body = to_json_text(*queued);
  } else {
    return std::nullopt;
  }
  message.source_shard = record.shard;
  message.source_seq = record.seq;
  message.source_k = static_cast<std::int64_t>(k);
  message.time_ms = record.cut.tick_ms;
  return out;
}

}  // namespace selfheal
