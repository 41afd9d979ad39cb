#include "actors/store_actor.hpp"

#include <spdlog/spdlog.h>

namespace selfheal {
namespace {

using Self = store_actor::stateful_pointer<StoreState>;

void write(Self self, const SavePtr& save) {
  const Result<void> written = self->state.environment->store->write(save->changes);
  if (written) {
    self->state.failing = false;
    return;
  }
  // The journal has everything: what could not be written here is read from there at the next
  // start. But rows that were collected are gone from the stages' lists, so nothing newer may be
  // written on top of the gap.
  spdlog::error("shard {}: {}; the state on disk stays where it is until a restart",
                save->changes.shard, written.error().context);
  self->state.failing = true;
}

void done(Self self) {
  if (--self->state.writing > 0) return;
  for (auto& promise : self->state.stopping) promise.deliver(Stop{});
  self->state.stopping.clear();
}

void flush_then_write(Self self, const SavePtr& save) {
  if (self->state.failing) return;
  ++self->state.writing;
  const Flush flush{save->changes.shard, save->changes.chain.seq};
  const auto failed = [self, save](const caf::error&) {
    spdlog::warn("shard {}: state was not saved: the relay has ended", save->changes.shard);
    done(self);
  };
  self->request(self->state.relay, caf::infinite, flush)
      .then(
          [self, save, flush, failed](const Flush&) {
            self->request(self->state.read_model, caf::infinite, flush)
                .then(
                    [self, save](const Flush&) {
                      write(self, save);
                      done(self);
                    },
                    failed);
          },
          failed);
}

}  // namespace

store_actor::behavior_type store(Self self, EnvironmentPtr environment, relay_actor relay,
                                 read_model_actor read_model) {
  self->state.environment = std::move(environment);
  self->state.relay = std::move(relay);
  self->state.read_model = std::move(read_model);
  return {
      [self](const SavePtr& save) { flush_then_write(self, save); },
      [self](const Stop&) -> caf::typed_response_promise<Stop> {
        auto promise = self->make_response_promise<Stop>();
        if (self->state.writing == 0) return promise.deliver(Stop{});
        self->state.stopping.push_back(promise);
        return promise;
      },
  };
}

}  // namespace selfheal
