#include "actors/store_actor.hpp"

#include <spdlog/spdlog.h>

#include "actors/clocks.hpp"

namespace selfheal {
namespace {

using Self = store_actor::stateful_pointer<StoreState>;

// What is written is in memory until this: it bounds how much of the journal a restart reads again
// after the process was killed.
constexpr std::int64_t flush_interval_us = 10'000'000;
constexpr auto retry_interval = std::chrono::seconds(5);

void flush_now_and_then(Self self) {
  if (steady_us() - self->state.flushed_us < flush_interval_us) return;
  self->state.flushed_us = steady_us();
  const Result<void> flushed = self->state.environment->store->flush();
  if (!flushed) spdlog::warn("{}", flushed.error().context);
}

// The page store keeps what there was no room for, and writes it with the shard's next save. A
// quiet shard has none, hence this.
void try_again_later(Self self, std::int64_t shard, std::int64_t seq) {
  SavePtr& again = self->state.without_room[shard];
  if (again) return;
  again = std::make_shared<SavePass>();
  again->changes.shard = shard;
  again->changes.chain.seq = seq;
  self->delayed_send(self, retry_interval, again);
}

void refused(Self self, const ShardChanges& changes, const Error& error) {
  const bool is_final = error.code != ErrorCode::exhausted;
  const std::string why =
      error.context + (is_final ? "; free its disk and restart the service" : "; free its disk");
  const bool is_known = !is_final && self->state.without_room.contains(changes.shard);
  if (!is_known) spdlog::error("shard {} is not saved: {}", changes.shard, why);
  self->state.board->set_unsaved(changes.shard, why);
  if (!is_final) return try_again_later(self, changes.shard, changes.chain.seq);
  // The journal has everything: what could not be written here is read from there at the next
  // start. But rows that were collected are gone from the stages' lists, so nothing newer may be
  // written on top of the gap.
  self->state.failing = true;
}

void written(Self self, std::int64_t shard, std::int64_t seq) {
  if (self->state.without_room.erase(shard) > 0) spdlog::info("shard {} is saved again", shard);
  self->state.written[shard] = seq;
  self->state.board->set_saved(shard, seq);
  flush_now_and_then(self);
}

void write(Self self, const SavePtr& save) {
  const ShardChanges& changes = save->changes;
  // Of an incarnation that has ended: the next one has already written what was beyond it.
  if (changes.chain.seq < self->state.written[changes.shard]) return;
  const Result<void> done = self->state.environment->store->write(changes);
  if (!done) return refused(self, changes, done.error());
  written(self, changes.shard, changes.chain.seq);
}

void write_kept(Self self, const SavePtr& save) {
  const auto done = self->state.environment->store->write_kept(save->changes.shard);
  if (!done) return refused(self, save->changes, done.error());
  if (*done) written(self, save->changes.shard, **done);
}

void done(Self self) {
  if (--self->state.writing > 0) return;
  for (auto& promise : self->state.stopping) promise.deliver(Stop{});
  self->state.stopping.clear();
}

void flush_then_write(Self self, const SavePtr& save) {
  if (self->state.failing) return;
  const auto without_room = self->state.without_room.find(save->changes.shard);
  const bool again = without_room != self->state.without_room.end() && without_room->second == save;
  if (again) without_room->second = nullptr;
  ++self->state.writing;
  const Flush flush{save->changes.shard, save->changes.chain.seq};
  const auto failed = [self, save](const caf::error&) {
    spdlog::warn("shard {}: state was not saved: the relay has ended", save->changes.shard);
    done(self);
  };
  self->request(self->state.relay, caf::infinite, flush)
      .then(
          [self, save, flush, failed, again](const Flush&) {
            self->request(self->state.read_model, caf::infinite, flush)
                .then(
                    [self, save, again](const Flush&) {
                      again ? write_kept(self, save) : write(self, save);
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
