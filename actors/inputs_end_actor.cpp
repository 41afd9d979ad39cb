#include "actors/inputs_end_actor.hpp"

#include <spdlog/spdlog.h>

namespace selfheal {
namespace {

using Self = inputs_end_actor::stateful_pointer<InputsEndState>;

// Where the inputs of a shard end, as the log itself says at this moment. A reader would say it
// without asking, but not while its broker is away: then it takes the last it heard for the end.
Result<InputsEnd> look(const Environment& environment, std::int64_t shard) {
  InputsEnd end{.shard = shard};
  if (!environment.topics.is_fleet(shard)) {
    const Result<OffsetRange> signals =
        environment.log->range({environment.topics.signals, static_cast<std::int32_t>(shard)});
    if (!signals) return signals.error();
    end.signals_end = signals->end;
  }
  const Result<OffsetRange> control = environment.log->range(environment.topics.control_of(shard));
  if (!control) return control.error();
  end.control_end = control->end;
  return end;
}

}  // namespace

inputs_end_actor::behavior_type inputs_end(Self self, EnvironmentPtr environment,
                                           bus_reader_actor bus) {
  self->state.environment = std::move(environment);
  self->state.bus = std::move(bus);
  return {
      [self](const AskInputsEnd& asked) -> caf::typed_response_promise<bool> {
        auto promise = self->make_response_promise<bool>();
        const Result<InputsEnd> end = look(*self->state.environment, asked.shard);
        if (!end) {
          spdlog::debug("shard {}: the end of its inputs: {}", asked.shard, end.error().context);
          return promise.deliver(false);
        }
        // The reader answers in this actor's place: a promise that waited here for its answer would
        // keep this actor, and with it its thread, where both are ended in between.
        return promise.delegate(self->state.bus, *end);
      },
  };
}

}  // namespace selfheal
