#include "decision/shard/cut_planner.hpp"

#include <algorithm>

#include "base/check.hpp"
#include "decision/shard/shard_fold.hpp"
#include "topics/forward_body.hpp"

namespace selfheal {
namespace {

// The journal accepts ticks up to 2 s ahead of the log's clock; half of that is left for its
// latency.
constexpr DurationMs tick_off_ms_max = 1000;

std::uint64_t digest_batch(const RecordBatch& batch, std::uint64_t digest) {
  for (const RecordView& record : batch.records) {
    digest = hash64(record.value, digest);
    // It decides as much as the value does, where it is there.
    if (!record.event_time.empty()) digest = hash64(record.event_time, digest);
  }
  return digest;
}

// Each may become a diagnosis and an incident, with some kilobytes to both.
constexpr std::size_t troubles_max = 200;

bool may_be_trouble(const Signal& signal) {
  switch (signal.type) {
    case SignalType::failure:
    case SignalType::degradation:
    case SignalType::alert:
    case SignalType::prediction:
      return true;
    case SignalType::metric:
    case SignalType::heartbeat:
    case SignalType::dispatch:
      return false;
  }
  return false;
}

// The time through which all input has been taken, as one partition knows it.
TimeMs caught_up(const RecordBatch& batch, bool at_end, TimeMs now_ms, TimeMs before_ms) {
  if (at_end) return now_ms;
  return batch.records.empty() ? before_ms : batch.records.back().append_time_ms;
}

}  // namespace

std::uint64_t digest_inputs(const RecordBatch& signals, const RecordBatch& control) {
  return digest_batch(control, digest_batch(signals, 0));
}

CutPlanner::CutPlanner(DecodeSignals decode, std::shared_ptr<SignalBatchPool> pool)
    : decode_(std::move(decode)), pool_(std::move(pool)) {}

CutLimits CutPlanner::limits_for(const Chain& chain, const CutLimits& usual) {
  if (chain.poison.records_max == 0) return usual;
  CutLimits limits = usual;
  const auto guarded = static_cast<std::size_t>(chain.poison.records_max);
  const bool control_guarded = chain.control_next < chain.poison.control_until;
  limits.records_max = std::min(limits.records_max, guarded);
  limits.controls_max = std::min(limits.controls_max, guarded);
  // One kind at a time, so that a cut of one record names the one that kills.
  if (control_guarded) {
    limits.records_max = 0;
  } else {
    limits.controls_max = 0;
  }
  return limits;
}

TimeMs CutPlanner::tick_held_to(TimeMs own_ms, TimeMs log_ms) {
  return std::clamp(own_ms, log_ms - tick_off_ms_max, log_ms + tick_off_ms_max);
}

bool CutPlanner::is_poisoned(const Chain& chain) {
  return chain.poison.records_max == 1 && chain.poison.single_failures >= 2;
}

PoisonSkip CutPlanner::skip_of(const Chain& chain, const CutSupply& supply) {
  const bool control = chain.control_next < chain.poison.control_until;
  PoisonSkip skip;
  skip.topic_kind = control ? "control" : "signals";
  skip.cut.signals_begin = chain.signals_next;
  skip.cut.control_begin = chain.control_next;
  skip.cut.signals_end = control ? chain.signals_next : supply.signals.next_offset;
  skip.cut.control_end = control ? supply.control.next_offset : chain.control_next;
  skip.cut.tick_ms = std::max(chain.tick_ms, supply.now_ms);
  skip.cut.caught_up_through_ms = chain.caught_up_through_ms;
  skip.cut.inputs_digest = digest_inputs(supply.signals, supply.control);
  return skip;
}

void CutPlanner::fill(Token& token, const CutSupply& supply) const {
  std::shared_ptr<SignalBatch> signals = pool_->take();
  signals->signals.reserve(supply.signals.records.size());
  for (const RecordView& record : supply.signals.records) decode_(record, *signals);
  token.signals = std::move(signals);
  for (const RecordView& record : supply.control.records) {
    ControlInput input;
    input.offset = record.offset;
    Result<ControlMessage> message = decode_control(record.value);
    if (message) {
      input.message = std::move(*message);
      if (input.message.kind == "forward") {
        std::shared_ptr<SignalBatch> forwarded = pool_->take();
        RecordView body = record;
        std::string frame;
        body.value = forward_value(input.message.body, frame);
        decode_(body, *forwarded);
        input.signals = std::move(forwarded);
      }
    } else {
      input.unreadable = message.error().context;
    }
    token.controls.push_back(std::move(input));
  }
}

Token CutPlanner::plan(const Chain& chain, CutSupply supply) const {
  Token token = outline(chain, supply);
  fill(token, supply);
  return token;
}

Token CutPlanner::outline(const Chain& chain, CutSupply& supply) {
  Token token;
  token.facts = facts_after(chain);
  token.generation = chain.generation;
  Cut& cut = token.cut;
  cut.signals_begin = chain.signals_next;
  cut.signals_end = std::max(chain.signals_next, supply.signals.next_offset);
  cut.control_begin = chain.control_next;
  cut.control_end = std::max(chain.control_next, supply.control.next_offset);
  cut.tick_ms = std::max(chain.tick_ms, supply.now_ms);
  const TimeMs before_ms = chain.caught_up_through_ms;
  const TimeMs heard_ms =
      std::min(caught_up(supply.signals, supply.signals_at_end, supply.now_ms, before_ms),
               caught_up(supply.control, supply.control_at_end, supply.now_ms, before_ms));
  const TimeMs through_ms = std::max(heard_ms, supply.taken_through_ms);
  cut.caught_up_through_ms = std::max(before_ms, std::min(through_ms, cut.tick_ms));
  cut.inputs = std::move(supply.inputs);
  cut.inputs_digest = digest_inputs(supply.signals, supply.control);
  return token;
}

std::optional<CutSupply> CutPlanner::split(const SignalBatch& decoded, CutSupply& supply) {
  std::size_t troubles = 0;
  const auto over = std::find_if(
      decoded.signals.begin(), decoded.signals.end(),
      [&](const Signal& each) { return may_be_trouble(each) && ++troubles > troubles_max; });
  if (over == decoded.signals.end()) return std::nullopt;
  std::vector<RecordView>& records = supply.signals.records;
  auto first = std::find_if(records.begin(), records.end(),
                            [&](const RecordView& each) { return each.offset >= over->offset; });
  if (first == records.begin() && first != records.end()) ++first;
  if (first == records.end()) return std::nullopt;
  CutSupply rest;
  rest.signals.records.assign(first, records.end());
  for (const RecordView& each : rest.signals.records) rest.signals.bytes += each.value.size();
  rest.signals.owners = supply.signals.owners;
  rest.signals.next_offset = supply.signals.next_offset;
  rest.signals_at_end = supply.signals_at_end;
  rest.control.next_offset = supply.control.next_offset;
  rest.control_at_end = supply.control_at_end;
  supply.signals.bytes -= rest.signals.bytes;
  supply.signals.next_offset = first->offset;
  supply.signals_at_end = false;
  supply.taken_through_ms = 0;
  records.erase(first, records.end());
  return rest;
}

Result<Token> CutPlanner::recall(const Chain& before, const Cut& cut, CutSupply supply) const {
  if (digest_inputs(supply.signals, supply.control) != cut.inputs_digest) {
    return Error{ErrorCode::corrupt, "shard " + std::to_string(before.shard) +
                                         ": the inputs of seq " + std::to_string(before.seq + 1) +
                                         " (signals " + std::to_string(cut.signals_begin) + "-" +
                                         std::to_string(cut.signals_end) +
                                         ") are not those that were decided on"};
  }
  Token token;
  token.facts = facts_after(before);
  token.generation = before.generation;
  token.cut = cut;
  fill(token, supply);
  return token;
}

}  // namespace selfheal
