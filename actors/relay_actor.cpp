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

void append(Self self, const RelayedPtr& message) {
  const auto me = caf::actor_cast<relay_actor>(self);
  self->state.environment->log->append(message->where, message->record,
                                       [me, message](const Result<Offset>& stored) {
                                         caf::anon_send(me, message, stored.has_value());
                                       });
}

// Whoever takes the shard over sends again what was not handed on: the sooner it is known, the less
// that is.
void tell_handed_on(Self self, std::int64_t shard) {
  ShardRelay& relay = self->state.shards[shard];
  const std::int64_t seq = relay.open.empty() ? relay.newest_seq : relay.open.begin()->first - 1;
  if (seq <= relay.handed_on_seq) return;
  relay.handed_on_seq = seq;
  self->state.board->set_handed_on(shard, seq);
}

void answered(Self self, const RelayedPtr& message, bool stored) {
  if (!stored) {
    spdlog::warn("shard {}: a decision could not be relayed and is sent again", message->shard);
    self->delayed_send(self, retry_after, message);
    return;
  }
  ShardRelay& relay = self->state.shards[message->shard];
  if (message->in_order) {
    const auto queue = relay.in_order.find(message->where);
    queue->second.pop_front();
    if (queue->second.empty()) {
      relay.in_order.erase(queue);
    } else {
      append(self, queue->second.front());
    }
  }
  const auto open = relay.open.find(message->seq);
  if (--open->second == 0) relay.open.erase(open);
  tell_handed_on(self, message->shard);
  std::erase_if(relay.waiting, [&](auto& waiting) {
    auto& [seq, promise] = waiting;
    if (!relay.has_handed_on(seq)) return false;
    promise.deliver(Flush{message->shard, seq});
    return true;
  });
}

void send_out(Self self, const JournalRecord& of, const TopicPartition& where, NewRecord record,
              bool in_order = false) {
  // No log takes it, however often it is tried.
  if (const Result<void> fits = check_record(record); !fits) {
    spdlog::error("shard {}: what record {} says to {} is not relayed: {}", of.shard, of.seq,
                  where.topic, fits.error().context);
    return;
  }
  ShardRelay& relay = self->state.shards[of.shard];
  ++relay.open[of.seq];
  auto message = std::make_shared<RelayedRecord>(
      RelayedRecord{where, std::move(record), of.shard, of.seq, in_order});
  if (!in_order) return append(self, message);
  std::deque<RelayedPtr>& queue = relay.in_order[where];
  queue.push_back(message);
  if (queue.size() == 1) append(self, message);
}

const LetterSource& read_letter_source(RelayState& state, const TopicPartition& where,
                                       Offset offset) {
  LetterSource& source = state.letter_source;
  if (source.where == where && source.offset == offset) return source;
  source = {where, offset, {}, {}};
  const Result<void> read =
      read_range(*state.environment->log, where, {offset, offset + 1},
                 [&](const RecordBatch& batch, const LogReader&) -> Result<void> {
                   for (const RecordView& record : batch.records) {
                     if (record.offset != offset) continue;
                     source.batch.records = {record};
                     source.batch.owners = batch.owners;
                   }
                   return {};
                 });
  // Expired meanwhile: the letter still says what was lost and where.
  if (!read) source.missing = read.error().context;
  return source;
}

// The original bytes of a record that could not be read, with where it stood.
void send_dead_letter(Self self, const JournalRecord& of, const TopicPartition& stood,
                      Offset offset, std::int64_t line, const std::string& reason) {
  RelayState& state = self->state;
  const LetterSource& source = read_letter_source(state, stood, offset);
  const RecordView* record = source.batch.records.empty() ? nullptr : source.batch.records.data();
  const TopicNames& topics = state.environment->topics;
  send_out(self, of, {topics.deadletter, topics.partition_of(of.shard)},
           state.letters.write(stood, offset, line, reason, record, source.missing));
}

void send_to_shard(Self self, const JournalRecord& of, ShardMessage out) {
  const Environment& environment = *self->state.environment;
  ControlMessage& message = out.message;
  message.key_id = environment.forward_key_id;
  const Result<std::string> signature = sign(environment.journal_secret_key, message.signed_text());
  CHECK(signature, "the journal key cannot sign");
  message.signature = *signature;
  send_out(self, of, environment.topics.control_of(out.target_shard),
           NewRecord{.value = encode_control(message)}, true);
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
  send_out(self, record, {environment.topics.decisions, partition}, std::move(out));
}

void take(Self self, const CommittedRecord& committed) {
  const JournalRecord& record = committed.record;
  const Environment& environment = *self->state.environment;
  ShardRelay& relay = self->state.shards[record.shard];
  relay.newest_seq = std::max(relay.newest_seq, record.seq);
  const TopicPartition signals{environment.topics.signals, static_cast<std::int32_t>(record.shard)};
  if (record.kind == JournalKind::skip) {
    const bool control = record.topic_kind == "control";
    send_dead_letter(self, record, control ? environment.topics.control_of(record.shard) : signals,
                     control ? record.cut.control_begin : record.cut.signals_begin, -1,
                     "skipped: " + record.reason);
  }
  for (std::size_t k = 0; k < record.events.size(); ++k) {
    const Event& event = record.events[k];
    const auto number = static_cast<std::int64_t>(k);
    if (auto message = shard_message(record, k, environment.topics.partitions)) {
      send_to_shard(self, record, std::move(*message));
    }
    // Between shards only: the signals themselves are no decision.
    if (std::holds_alternative<Forwarded>(event.body)) continue;
    if (const auto* dead = std::get_if<DeadLettered>(&event.body)) {
      send_dead_letter(self, record, signals, dead->offset, dead->line, dead->reason);
    }
    send_decision(self, record, number, event);
  }
  tell_handed_on(self, record.shard);
}

}  // namespace

relay_actor::behavior_type relay(Self self, EnvironmentPtr environment,
                                 std::shared_ptr<ShardBoard> board) {
  self->state.environment = std::move(environment);
  self->state.board = std::move(board);
  return {
      [self](const CommittedPtr& committed) { take(self, *committed); },
      [self](const Flush& flush) -> caf::typed_response_promise<Flush> {
        auto promise = self->make_response_promise<Flush>();
        ShardRelay& relay = self->state.shards[flush.shard];
        if (relay.has_handed_on(flush.seq)) return promise.deliver(flush);
        relay.waiting.emplace_back(flush.seq, promise);
        return promise;
      },
      [self](const RelayedPtr& message, bool stored) { answered(self, message, stored); },
      [self](const RelayedPtr& again) { append(self, again); },
  };
}

}  // namespace selfheal
