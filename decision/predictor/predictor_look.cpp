// The part of the predictor that looks at series without samples: a bucket that no later value
// closes is closed by time, so that what its values show is seen although the series fell silent.
#include <algorithm>

#include "decision/predictor/predictor.hpp"

namespace selfheal {
namespace {

const std::string one_row = "walk";
// A walk over all series takes this long: each is looked at at least every 30 s, with some room for
// a shard that is busy.
constexpr DurationMs walk_ms = 25 * one_second_ms;
// Series looked at in one cut, less than 0.1 ms of work: a million come up 40 times a second.
constexpr std::size_t stretch_series = 1024;
// Values of the bucket may still be on their way for so long.
constexpr DurationMs late_ms = 5 * one_second_ms;

std::uint32_t seconds_of(TimeMs time_ms) {
  return static_cast<std::uint32_t>(std::clamp<TimeMs>(time_ms / one_second_ms, 0, UINT32_MAX));
}

}  // namespace

// While no bucket is open nothing is due, so that a shard without input makes no cuts.
void Predictor::plan_look(Token& token) {
  const LookRow* const known = looks_.find(one_row);
  const LookRow before = known == nullptr ? LookRow{} : *known;
  LookRow look = before;
  look.again = look.again || opened_;
  opened_ = false;
  const TimeMs now_ms = token.cut.tick_ms;
  if (look.due_ms > 0 && look.due_ms <= now_ms) {
    look_at_stretch(token, look);
  } else if (look.due_ms == 0 && look.again) {
    look.due_ms = now_ms + walk_ms;
    look.again = false;
  }
  if (!(look == before)) looks_.put(one_row, look);
}

void Predictor::look_at_stretch(Token& token, LookRow& look) {
  const std::size_t begin = static_cast<std::size_t>(look.next_series);
  const std::size_t stretches = std::max<std::size_t>(1, table_.size() / stretch_series);
  const std::size_t end = std::min(begin + table_.size() / stretches + 1, table_.size());
  // What has not been taken yet may still bring a value: silence is judged by the input's time.
  const TimeMs through_ms = token.cut.caught_up_through_ms - late_ms;
  const std::uint32_t through_seconds = seconds_of(through_ms);
  for (std::size_t i = begin; i < end; ++i) {
    const auto series = static_cast<SeriesNumber>(i);
    if (table_.fast(series).bucket_count == 0) continue;
    const DetectorSettings& detector =
        uses_[table_.entry(series).metric].latency ? latency_ : plain_;
    const Observation seen =
        close_bucket(table_.fast(series), table_.wide(series), through_seconds, detector);
    if (seen.used) {
      note_silent(token, series, seen);
    } else {
      look.again = true;
    }
  }
  look.next_series = static_cast<std::int64_t>(end);
  look.due_ms =
      std::max(look.due_ms + walk_ms / static_cast<DurationMs>(stretches), token.cut.tick_ms);
  if (end < table_.size()) return;
  look.next_series = 0;
  if (!look.again) look.due_ms = 0;
  look.again = false;
}

// As if the closing value had come, at the time of the last one.
void Predictor::note_silent(Token& token, SeriesNumber series, const Observation& seen) {
  table_.mark_changed(series);
  token.touched_digest = hash64(table_.fast_bytes(series), token.touched_digest + series);
  const SeriesEntry& entry = table_.entry(series);
  const SeriesCore& core = table_.wide(series).core;
  Signal signal;
  signal.type = SignalType::metric;
  signal.offset = -1;
  signal.time_ms = static_cast<TimeMs>(table_.fast(series).core.time_seconds) * one_second_ms;
  signal.received_ms = token.cut.tick_ms;
  signal.service = table_.services().text(entry.service);
  signal.metric = table_.metrics().text(entry.metric);
  signal.value = core.reference + static_cast<double>(core.previous);
  note_observation(token, signal, series, seen);
}

void Predictor::forget_soft() {
  table_.clear();
  crossings_.clear();
  error_rates_.clear();
  seen_.clear();
  looks_.clear();
  pulses_.clear();
  uses_.clear();
  is_watched_.clear();
  to_publish_.clear();
  opened_ = false;
}

}  // namespace selfheal
