#include "actors/bus_reader_actor.hpp"

#include <spdlog/spdlog.h>

namespace selfheal {
namespace {

using Self = bus_reader_actor::stateful_pointer<BusReaderState>;

// Polls both inputs of a shard; control first, because a person's answer must not wait for signals.
Result<SupplyPtr> poll(ShardInputs& inputs, const FetchInputs& wanted) {
  auto supply = std::make_shared<CutSupply>();
  if (wanted.controls_max > 0) {
    const Result<void> polled =
        inputs.control->poll(supply->control, {wanted.controls_max, wanted.bytes_max});
    if (!polled) return polled.error().within("control");
  }
  if (inputs.signals != nullptr && wanted.records_max > 0) {
    const Result<void> polled =
        inputs.signals->poll(supply->signals, {wanted.records_max, wanted.bytes_max});
    if (!polled) return polled.error().within("signals");
  }
  supply->signals.next_offset = inputs.signals != nullptr ? inputs.signals->position() : 0;
  supply->control.next_offset = inputs.control->position();
  supply->signals_at_end = inputs.signals == nullptr || inputs.signals->at_end();
  supply->control_at_end = inputs.control->at_end();
  return supply;
}

bool has_records(const CutSupply& supply) {
  return !supply.signals.records.empty() || !supply.control.records.empty();
}

// How far behind the shard is: how many records wait, and the age of the newest one taken.
void show_lag(Self self, std::int64_t shard, const ShardInputs& inputs, const CutSupply& supply) {
  const Environment& environment = *self->state.environment;
  if (supply.signals_at_end && supply.control_at_end) {
    return environment.metrics->set_lag(shard, 0, 0);
  }
  const RecordBatch& batch = supply.signals.records.empty() ? supply.control : supply.signals;
  if (batch.records.empty()) return environment.metrics->forget_lag(shard);
  const TimeMs age_ms = environment.now_ms() - batch.records.back().append_time_ms;
  std::int64_t records = inputs.control->end() - inputs.control->position();
  if (inputs.signals != nullptr) records += inputs.signals->end() - inputs.signals->position();
  environment.metrics->set_lag(shard, static_cast<double>(std::max<TimeMs>(0, age_ms)) / 1000.0,
                               records);
}

// Answers a waiting cutter where there is something to answer with.
void serve(Self self, std::int64_t shard) {
  const auto found = self->state.shards.find(shard);
  if (found == self->state.shards.end() || !found->second.waiting) return;
  ShardInputs& inputs = found->second;
  Result<SupplyPtr> supply = poll(inputs, inputs.wanted);
  if (!supply) {
    spdlog::error("shard {}: reading inputs: {}", shard, supply.error().context);
    inputs.waiting = false;
    inputs.answer.deliver(caf::make_error(caf::sec::runtime_error, supply.error().context));
    return;
  }
  show_lag(self, shard, inputs, **supply);
  if (!has_records(**supply)) return;
  inputs.waiting = false;
  inputs.answer.deliver(std::move(*supply));
}

// What is handed to the cutter with the answer of a fetch comes to it before this one.
bool has_taken(Self self, const InputsEnd& end) {
  serve(self, end.shard);
  const auto found = self->state.shards.find(end.shard);
  if (found == self->state.shards.end()) return false;
  const ShardInputs& inputs = found->second;
  const bool signals = inputs.signals == nullptr || inputs.signals->position() >= end.signals_end;
  return signals && inputs.control->position() >= end.control_end;
}

// Opens at `next`, or at the oldest record that is kept: what has expired can only be reported.
Result<std::unique_ptr<LogReader>> open_from(Log& log, const TopicPartition& where, Offset next,
                                             const Wake& wake) {
  const Result<OffsetRange> range = log.range(where);
  if (!range) return range.error();
  if (range->begin > next) {
    spdlog::warn("{}/{}: the records {} to {} have expired before they were taken", where.topic,
                 where.partition, next, range->begin - 1);
  }
  if (range->end < next) {
    return Error{ErrorCode::corrupt, where.topic + " ends before what has been taken from it"};
  }
  return log.open(where, std::max(range->begin, next), wake);
}

Opened open_inputs(Self self, const OpenInputs& open) {
  const Environment& environment = *self->state.environment;
  // The wake-up comes on a thread of the log: it only posts a message.
  const auto wake = [me = caf::actor_cast<bus_reader_actor>(self), shard = open.shard] {
    caf::anon_send(me, Woken{shard});
  };
  ShardInputs opened;
  opened.epoch = open.epoch;
  if (!environment.topics.is_fleet(open.shard)) {
    Result<std::unique_ptr<LogReader>> signals = open_from(
        *environment.log, {environment.topics.signals, static_cast<std::int32_t>(open.shard)},
        open.signals_next, wake);
    if (!signals) return {signals.error().context};
    opened.signals = std::move(*signals);
  }
  Result<std::unique_ptr<LogReader>> control = open_from(
      *environment.log, environment.topics.control_of(open.shard), open.control_next, wake);
  if (!control) return {control.error().context};
  opened.control = std::move(*control);
  self->state.shards.insert_or_assign(open.shard, std::move(opened));
  return {};
}

}  // namespace

bus_reader_actor::behavior_type bus_reader(Self self, EnvironmentPtr environment) {
  self->state.environment = std::move(environment);
  return {
      [self](const FetchInputs& wanted) -> caf::typed_response_promise<SupplyPtr> {
        auto promise = self->make_response_promise<SupplyPtr>();
        const auto found = self->state.shards.find(wanted.shard);
        if (found == self->state.shards.end() || found->second.epoch != wanted.epoch) {
          return promise.deliver(caf::make_error(
              caf::sec::runtime_error, "the inputs of this shard are not open for this owner"));
        }
        found->second.waiting = true;
        found->second.wanted = wanted;
        found->second.answer = promise;
        serve(self, wanted.shard);
        return promise;
      },
      [self](const Woken& woken) { serve(self, woken.shard); },
      [self](const InputsEnd& end) { return has_taken(self, end); },
      [self](const OpenInputs& open) { return open_inputs(self, open); },
  };
}

}  // namespace selfheal
