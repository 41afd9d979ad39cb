// The part of the predictor that suspects the way here: where many services fall silent at once,
// something between them and this shard is broken, and what else is seen may be as wrong.
#include <algorithm>

#include "decision/predictor/predictor.hpp"

namespace selfheal {
namespace {

const std::string one_row = "way";

std::string count_of(std::int64_t silent, std::int64_t services, const std::string& what) {
  return std::to_string(silent) + " of " + std::to_string(services) + " services " + what;
}

}  // namespace

bool Predictor::is_input_suspected() const {
  const InputPath* path = input_path_.find(one_row);
  return path != nullptr && path->since_ms > 0;
}

void Predictor::on_input_path(const InputPathChanged& changed, const EventPlace& place) {
  input_path_.put(one_row,
                  {changed.suspected ? place.tick_ms : 0, changed.silent, changed.services});
}

// Silence itself needs no timer: it is judged in every cut, by how far the input has been taken.
// Whatever could cause an action, a signal or another's timer, is judged after it in the same cut.
TimeMs Predictor::silence_due_ms() const {
  return is_input_suspected() ? input_path_.find(one_row)->since_ms + settings().silence.hold_max.ms
                              : Token::no_due;
}

void Predictor::watch_silence(Token& token) {
  const TimeMs through_ms = std::max<TimeMs>(token.cut.caught_up_through_ms, 0);
  const auto through_seconds = static_cast<std::uint32_t>(through_ms / one_second_ms);
  // A cut that took nothing and says nothing may be dropped, and must not have moved anything.
  const bool took = (token.signals != nullptr && !token.signals->signals.empty()) ||
                    !token.controls.empty() || !token.cut.inputs.empty();
  if (took) pulses_.advance(through_seconds);
  const auto [silent, speaking] = pulses_.count_at(through_seconds);
  const std::int64_t services = silent + speaking;
  const SilenceSettings& limits = settings().silence;
  const bool many = silent >= limits.services_min &&
                    static_cast<double>(silent) >= limits.share * static_cast<double>(services);
  if (!is_input_suspected()) {
    if (!many) return;
    pulses_.advance(through_seconds);
    emit(token, {"", "", "timer",
                 InputPathChanged{true, silent, services,
                                  count_of(silent, services, "fell silent together")}});
    return;
  }
  const InputPath path = *input_path_.find(one_row);
  // Half of them, and few enough silent not to be suspected again at once.
  const bool back = !many && 2 * (path.services - speaking) <= path.silent;
  const bool long_ago = path.since_ms + limits.hold_max.ms <= token.cut.tick_ms;
  if (!back && !long_ago) return;
  pulses_.advance(through_seconds);
  std::string reason = count_of(speaking, path.services, "speak again");
  if (!back) {
    pulses_.forget_silent();
    reason = "only " + reason + "; the others are taken for gone";
  }
  emit(token, {"", "", "timer", InputPathChanged{false, silent, services, std::move(reason)}});
}

}  // namespace selfheal
