#include "actors/extra_partitions_actor.hpp"

#include <spdlog/spdlog.h>

#include "base/check.hpp"
#include "base/signature.hpp"
#include "topics/control.hpp"
#include "topics/dead_letter.hpp"
#include "topics/routing.hpp"
#include "topics/signal_encoder.hpp"

namespace selfheal {
namespace {

using Self = extra_partitions_actor::stateful_pointer<ExtraPartitionsState>;

// Topics grow seldom; who owns the first shard changes more often.
constexpr std::chrono::seconds look_interval{10};
constexpr std::chrono::seconds idle_look_interval{1};
constexpr std::chrono::milliseconds retry_after{500};
// Of a forward's signals; the envelope and its escapes come on top.
constexpr std::size_t body_bytes_max = std::size_t{256} * 1024;
constexpr std::size_t forwards_max = 256;

// One process drains them: the owner of the first shard.
bool is_mine(const ExtraPartitionsState& state) {
  const auto places = state.board->places();
  const auto first = places.find(0);
  return first != places.end() && first->second.state.state == "live";
}

void add_forward(Self self, std::int32_t partition, Offset offset, std::int64_t k,
                 std::int32_t target, const std::string& body) {
  const Environment& environment = *self->state.environment;
  ControlMessage message;
  message.kind = "forward";
  message.body = body;
  // Beyond the shards' numbers: the target keeps a mark for each source, and takes nothing twice.
  // Without a time: its offsets alone say what is new.
  message.source_shard = partition;
  message.source_seq = offset;
  message.source_k = k;
  message.key_id = environment.forward_key_id;
  const Result<std::string> signature = sign(environment.journal_secret_key, message.signed_text());
  CHECK(signature, "the journal key cannot sign");
  message.signature = *signature;
  auto out = std::make_shared<RelayedRecord>();
  out->where = {environment.topics.control, target};
  out->record.value = encode_control(message);
  self->state.partitions.at(partition).forwards.push_back(std::move(out));
}

void add_dead_letters(Self self, std::int32_t partition, const RecordView& record,
                      const SignalBatch& batch) {
  const TopicNames& topics = self->state.environment->topics;
  DeadLetterWriter letters;
  for (const DecodeFailure& failure : told_failures(batch.failures)) {
    self->state.environment->metrics->count_dead_letter(failure.reason);
    auto out = std::make_shared<RelayedRecord>();
    out->where = {topics.deadletter, static_cast<std::int32_t>(partition % topics.partitions)};
    out->record = letters.write({topics.signals, partition}, record.offset, failure.line,
                                failure.reason, &record);
    self->state.partitions.at(partition).forwards.push_back(std::move(out));
  }
}

void forward_record(Self self, std::int32_t partition, const RecordView& record) {
  ExtraPartitionsState& state = self->state;
  SignalBatch batch;
  state.decode(record, batch);
  std::map<std::int32_t, std::string> bodies;
  std::int64_t k = 0;
  const auto shards = static_cast<std::int32_t>(state.environment->topics.partitions);
  for (const Signal& signal : batch.signals) {
    const std::int32_t target = shard_of(signal.service, shards);
    std::string& body = bodies[target];
    body += signal_to_json(signal);
    body += '\n';
    if (body.size() < body_bytes_max) continue;
    add_forward(self, partition, record.offset, k++, target, body);
    body.clear();
  }
  for (auto& [target, body] : bodies) {
    if (!body.empty()) add_forward(self, partition, record.offset, k++, target, body);
  }
  add_dead_letters(self, partition, record, batch);
}

// One message at a time: a target takes a source's messages in order and drops what is not beyond
// the last.
void send_first(Self self, std::int32_t partition) {
  ExtraPartition& extra = self->state.partitions.at(partition);
  if (extra.waiting || extra.forwards.empty()) return;
  extra.waiting = true;
  const RelayedPtr& first = extra.forwards.front();
  self->state.environment->log->append(first->where, first->record,
                                       [me = caf::actor_cast<extra_partitions_actor>(self),
                                        partition](const Result<Offset>& stored) {
                                         caf::anon_send(me, std::int64_t{partition},
                                                        stored.has_value());
                                       });
}

void read_on(Self self, std::int32_t partition) {
  const auto found = self->state.partitions.find(partition);
  if (found == self->state.partitions.end()) return;
  ExtraPartition& extra = found->second;
  while (extra.forwards.size() < forwards_max) {
    RecordBatch batch;
    // One record may make a hundred letters.
    const Result<void> polled = extra.reader->poll(batch, {.records_max = 10});
    if (!polled) {
      spdlog::warn("partition {} of the signals: {}", partition, polled.error().context);
      self->state.partitions.erase(found);
      return;
    }
    if (batch.records.empty()) break;
    for (const RecordView& record : batch.records) forward_record(self, partition, record);
  }
  send_first(self, partition);
}

void open_partition(Self self, std::int32_t partition) {
  ExtraPartitionsState& state = self->state;
  Log& log = *state.environment->log;
  const TopicPartition where{state.environment->topics.signals, partition};
  const Result<OffsetRange> range = log.range(where);
  if (!range) return;
  // From the oldest that is kept: what was forwarded before is dropped where it arrives.
  Result<std::unique_ptr<LogReader>> reader = log.open(
      where, range->begin, [me = caf::actor_cast<extra_partitions_actor>(self), partition] {
        caf::anon_send(me, Woken{partition});
      });
  if (!reader) return;
  spdlog::warn(
      "partition {} of {} is beyond the {} that the journal pins: its signals are routed to their "
      "shards from here",
      partition, where.topic, state.environment->topics.partitions);
  state.partitions[partition].reader = std::move(*reader);
  read_on(self, partition);
}

void look(Self self) {
  ExtraPartitionsState& state = self->state;
  const bool mine = is_mine(state);
  if (!mine) {
    state.partitions.clear();
  } else if (const auto count =
                 state.environment->log->partitions(state.environment->topics.signals);
             count) {
    const auto pinned = static_cast<std::int32_t>(state.environment->topics.partitions);
    for (std::int32_t partition = pinned; partition < *count; ++partition) {
      if (!state.partitions.contains(partition)) open_partition(self, partition);
    }
    state.environment->metrics->set_extra_partitions(std::max(0, *count - pinned));
  }
  self->delayed_send(self, mine ? look_interval : idle_look_interval, Start{});
}

void answered(Self self, std::int32_t partition, bool stored) {
  const auto found = self->state.partitions.find(partition);
  if (found == self->state.partitions.end()) return;
  ExtraPartition& extra = found->second;
  extra.waiting = false;
  if (!stored) return self->delayed_send(self, retry_after, Woken{partition});
  extra.forwards.pop_front();
  read_on(self, partition);
}

}  // namespace

extra_partitions_actor::behavior_type extra_partitions(Self self, EnvironmentPtr environment,
                                                       std::shared_ptr<ShardBoard> board) {
  self->state.decode = environment->make_decoder();
  self->state.environment = std::move(environment);
  self->state.board = std::move(board);
  return {
      [self](const Start&) { look(self); },
      [self](const Woken& woken) { read_on(self, static_cast<std::int32_t>(woken.shard)); },
      [self](std::int64_t partition, bool stored) {
        answered(self, static_cast<std::int32_t>(partition), stored);
      },
  };
}

}  // namespace selfheal
