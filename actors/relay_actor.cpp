#include "actors/relay_actor.hpp"

#include <spdlog/spdlog.h>

#include "base/signature.hpp"
#include "topics/event_codec.hpp"
#include "topics/routing.hpp"
#include "topics/shard_message.hpp"

namespace selfheal {
namespace {

using Self = relay_actor::stateful_pointer<RelayState>;

// An append that failed is tried again: what is relayed has ids that make a second copy harmless.
constexpr std::chrono::milliseconds retry_after{500};

void append(Self self, std::int64_t shard, const TopicPartition& where, const NewRecord& record);

void answered(Self self, std::int64_t shard) {
  ShardRelay& relay = self->state.shards[shard];
  --relay.unanswered;
  if (relay.unanswered > 0) return;
  for (auto& [seq, promise] : relay.waiting) promise.deliver(Flush{shard, seq});
  relay.waiting.clear();
}

void append(Self self, std::int64_t shard, const TopicPartition& where, const NewRecord& record) {
  const auto me = caf::actor_cast<relay_actor>(self);
  self->state.environment->log->append(
      where, record, [me, shard, where, record](Result<Offset> stored) {
        RelayedPtr again;
        if (!stored) again = std::make_shared<RelayedRecord>(RelayedRecord{where, record});
        caf::anon_send(me, shard, std::move(again));
      });
}

void append_forward(Self self, std::int64_t shard) {
  const RelayedPtr& front = self->state.shards[shard].forwards.front();
  const auto me = caf::actor_cast<relay_actor>(self);
  self->state.environment->log->append(
      front->where, front->record,
      [me, shard](Result<Offset> stored) { caf::anon_send(me, shard, stored.has_value()); });
}

void forward_answered(Self self, std::int64_t shard, bool stored) {
  ShardRelay& relay = self->state.shards[shard];
  if (!stored) {
    self->delayed_send(self, retry_after, Woken{shard});
    return;
  }
  relay.forwards.pop_front();
  if (!relay.forwards.empty()) append_forward(self, shard);
  answered(self, shard);
}

void send_out(Self self, std::int64_t shard, const TopicPartition& where, NewRecord record) {
  ++self->state.shards[shard].unanswered;
  append(self, shard, where, record);
}

// The original bytes of a record that could not be read, with where it stood.
void send_dead_letter(Self self, std::int64_t shard, const TopicPartition& stood, Offset offset,
                      std::int64_t line, const std::string& reason) {
  const Environment& environment = *self->state.environment;
  NewRecord letter;
  letter.headers = {{"reason", reason},
                    {"topic", stood.topic},
                    {"partition", std::to_string(stood.partition)},
                    {"offset", std::to_string(offset)}};
  if (line >= 0) letter.headers.emplace_back("line", std::to_string(line));
  const Result<void> read =
      read_range(*environment.log, stood, {offset, offset + 1},
                 [&](const RecordBatch& batch, const LogReader&) -> Result<void> {
                   for (const RecordView& record : batch.records) {
                     if (record.offset != offset) continue;
                     letter.key = std::string(record.key);
                     letter.value = std::string(record.value);
                   }
                   return {};
                 });
  // Expired meanwhile: the letter still says what was lost and where.
  if (!read) letter.headers.emplace_back("missing", read.error().context);
  send_out(self, shard, {environment.topics.deadletter, environment.topics.partition_of(shard)},
           std::move(letter));
}

void send_to_shard(Self self, std::int64_t shard, ShardMessage out_message) {
  const Environment& environment = *self->state.environment;
  ControlMessage& message = out_message.message;
  message.key_id = environment.forward_key_id;
  const Result<std::string> signature = sign(environment.journal_secret_key, message.signed_text());
  CHECK(signature, "the journal key cannot sign");
  message.signature = *signature;
  ShardRelay& relay = self->state.shards[shard];
  ++relay.unanswered;
  auto out = std::make_shared<RelayedRecord>();
  out->where = environment.topics.control_of(out_message.target_shard);
  out->record.value = encode_control(message);
  relay.forwards.push_back(std::move(out));
  if (relay.forwards.size() == 1) append_forward(self, shard);
}

void send_decision(Self self, const JournalRecord& record, std::int64_t k, const Event& event) {
  const Environment& environment = *self->state.environment;
  const DecisionAddress address{environment.topics_prefix, record.shard, record.seq, k,
                                record.cut.tick_ms};
  const auto partitions = static_cast<std::int32_t>(environment.topics.partitions);
  NewRecord out;
  out.key = event.service;
  out.value = cloud_event_text(event, address);
  const std::int32_t partition = event.service.empty()
                                     ? environment.topics.partition_of(record.shard)
                                     : shard_of(event.service, partitions);
  send_out(self, record.shard, {environment.topics.decisions, partition}, std::move(out));
}

void take(Self self, const CommittedRecord& committed) {
  const JournalRecord& record = committed.record;
  const Environment& environment = *self->state.environment;
  const TopicPartition signals{environment.topics.signals, static_cast<std::int32_t>(record.shard)};
  if (record.kind == JournalKind::skip) {
    const bool control = record.topic_kind == "control";
    send_dead_letter(self, record.shard,
                     control ? environment.topics.control_of(record.shard) : signals,
                     control ? record.cut.control_begin : record.cut.signals_begin, -1,
                     "skipped: " + record.reason);
  }
  for (std::size_t k = 0; k < record.events.size(); ++k) {
    const Event& event = record.events[k];
    const auto number = static_cast<std::int64_t>(k);
    if (auto message = shard_message(record, k, environment.topics.partitions)) {
      send_to_shard(self, record.shard, std::move(*message));
    }
    // Between shards only: the signals themselves are no decision.
    if (std::holds_alternative<Forwarded>(event.body)) continue;
    if (const auto* dead = std::get_if<DeadLettered>(&event.body)) {
      send_dead_letter(self, record.shard, signals, dead->offset, dead->line, dead->reason);
    }
    send_decision(self, record, number, event);
  }
}

}  // namespace

relay_actor::behavior_type relay(Self self, EnvironmentPtr environment) {
  self->state.environment = std::move(environment);
  return {
      [self](const CommittedPtr& committed) { take(self, *committed); },
      [self](const Flush& flush) -> caf::typed_response_promise<Flush> {
        auto promise = self->make_response_promise<Flush>();
        ShardRelay& relay = self->state.shards[flush.shard];
        if (relay.unanswered == 0) return promise.deliver(flush);
        relay.waiting.emplace_back(flush.seq, promise);
        return promise;
      },
      [self](std::int64_t shard, const RelayedPtr& failed) {
        if (!failed) return answered(self, shard);
        spdlog::warn("shard {}: a decision could not be relayed and is sent again", shard);
        self->delayed_send(self, retry_after, failed, shard);
      },
      [self](std::int64_t shard, bool stored) { forward_answered(self, shard, stored); },
      [self](const Woken& woken) { append_forward(self, woken.shard); },
      [self](const RelayedPtr& again, std::int64_t shard) {
        append(self, shard, again->where, again->record);
      },
  };
}

}  // namespace selfheal
