#include "actors/store_actor.hpp"

#include <spdlog/spdlog.h>

#include "actors/clocks.hpp"

namespace selfheal {
namespace {

using Self = store_actor::stateful_pointer<StoreState>;

// What is written is in memory until this: it bounds how much of the journal a restart reads again
// after the process was killed.
constexpr std::int64_t flush_interval_us = 10'000'000;

void flush_now_and_then(Self self) {
  if (steady_us() - self->state.flushed_us < flush_interval_us) return;
  self->state.flushed_us = steady_us();
  const Result<void> flushed = self->state.environment->store->flush();
  if (!flushed) spdlog::warn("{}", flushed.error().context);
}

void write(Self self, const SavePtr& save) {
  const std::int64_t seq = save->changes.chain.seq;
  std::int64_t& newest = self->state.written[save->changes.shard];
  // Of an incarnation that has ended: the next one has already written what was beyond it.
  if (seq < newest) return;
  const Result<void> written = self->state.environment->store->write(save->changes);
  if (written) {
    self->state.failing = false;
    newest = seq;
    self->state.board->set_saved(save->changes.shard, seq);
    return flush_now_and_then(self);
  }
  // The journal has everything: what could not be written here is read from there at the next
  // start. But rows that were collected are gone from the stages' lists, so nothing newer may be
  // written on top of the gap.
  const std::string why = written.error().context + "; free its disk and restart the service";
  spdlog::error("shard {} is not saved: {}", save->changes.shard, why);
  self->state.board->set_unsaved(save->changes.shard, why);
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
                                 read_model_actor read_model, std::shared_ptr<ShardBoard> board) {
  self->state.environment = std::move(environment);
  self->state.relay = std::move(relay);
  self->state.read_model = std::move(read_model);
  self->state.board = std::move(board);
  self->state.flushed_us = steady_us();
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
