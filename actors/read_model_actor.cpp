#include "actors/read_model_actor.hpp"

#include <spdlog/spdlog.h>

namespace selfheal {

read_model_actor::behavior_type read_model(read_model_actor::stateful_pointer<ReadModelState> self,
                                           EnvironmentPtr environment) {
  self->state.environment = std::move(environment);
  return {
      [self](const CommittedPtr& committed) {
        self->state.environment->read_model->apply(committed->record);
      },
      [self](const Flush& flush) {
        // Its rows are written before the shard's: what is ahead is applied again without harm.
        const Result<void> saved = self->state.environment->read_model->save();
        if (!saved && !self->state.failing) spdlog::error("read model: {}", saved.error().context);
        self->state.failing = !saved;
        return flush;
      },
  };
}

}  // namespace selfheal
