#include "actors/root_supervisor_actor.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "actors/effect_gateway_actor.hpp"
#include "actors/extra_partitions_actor.hpp"
#include "actors/inputs_end_actor.hpp"
#include "actors/journal_reader_actor.hpp"
#include "actors/placement_actor.hpp"
#include "actors/read_model_actor.hpp"
#include "actors/relay_actor.hpp"
#include "actors/snapshot_actor.hpp"
#include "actors/spawn_io.hpp"
#include "actors/store_actor.hpp"

namespace selfheal {
namespace {

using Self = root_supervisor_actor::stateful_pointer<RootState>;

std::vector<caf::actor> all_of(const SharedActors& shared) {
  return {caf::actor_cast<caf::actor>(shared.relay),
          caf::actor_cast<caf::actor>(shared.read_model),
          caf::actor_cast<caf::actor>(shared.store),
          caf::actor_cast<caf::actor>(shared.effects),
          caf::actor_cast<caf::actor>(shared.inputs_end),
          caf::actor_cast<caf::actor>(shared.bus),
          caf::actor_cast<caf::actor>(shared.journal)};
}

// The order is fixed: whoever is told of a committed record exists before a shard can commit one.
void start(Self self) {
  RootState& state = self->state;
  const EnvironmentPtr& environment = state.environment;
  caf::actor_system& system = self->system();
  constexpr Threading own = Threading::own_thread;
  state.shared.relay = spawn_io(system, own, relay, environment, state.board);
  state.shared.read_model = spawn_io(system, own, read_model, environment);
  state.shared.store = spawn_io(system, own, store, environment, state.shared.relay,
                                state.shared.read_model, state.board);
  state.shared.effects = system.spawn(effect_gateway, environment);
  state.shared.bus = spawn_io(system, own, bus_reader, environment);
  state.shared.inputs_end = spawn_io(system, own, inputs_end, environment, state.shared.bus);
  state.shared.journal = spawn_io(system, own, journal_reader, environment);
  state.shared.root = caf::actor_cast<root_supervisor_actor>(self);
  state.shared.board = state.board;
  // A shared actor that dies takes the process with it: the journal brings everything back.
  for (const caf::actor& each : all_of(state.shared)) self->monitor(each);
  for (std::int64_t shard = 0; shard < environment->shards(); ++shard) {
    state.shards.push_back(
        spawn_io(system, own, shard_supervisor, environment, state.shared, shard));
    self->send(state.shards.back(), Start{});
  }
  state.extra_partitions = spawn_io(system, own, extra_partitions, environment, state.board);
  self->monitor(caf::actor_cast<caf::actor>(state.extra_partitions));
  self->send(state.extra_partitions, Start{});
  if (environment->snapshots) {
    state.snapshot = spawn_io(system, own, snapshot, environment, state.board, state.shared.root);
    self->monitor(caf::actor_cast<caf::actor>(state.snapshot));
    self->send(state.snapshot, Start{});
  }
  // The others hear of this process when it is about to be of use to them.
  if (environment->alone) return;
  state.placement = spawn_io(system, own, placement, environment, state.board, state.shared.root);
  self->monitor(caf::actor_cast<caf::actor>(state.placement));
  self->send(state.placement, Start{});
}

bool is_own(const RootState& state, std::int64_t shard) {
  return shard >= 0 && shard < static_cast<std::int64_t>(state.shards.size());
}

// Where there is one.
template <class Actor>
void end_one(Self self, Actor& actor) {
  if (!actor) return;
  self->demonitor(caf::actor_cast<caf::actor>(actor));
  self->send_exit(actor, caf::exit_reason::user_shutdown);
  actor = nullptr;
}

// The shards have stopped. Threads of their own end only with their actors, and an actor is there
// for as long as another one's state names it: all of them have to go.
void end_all(Self self) {
  for (const shard_supervisor_actor& shard : self->state.shards) {
    self->send_exit(shard, caf::exit_reason::user_shutdown);
  }
  end_one(self, self->state.placement);
  end_one(self, self->state.snapshot);
  end_one(self, self->state.extra_partitions);
  for (const caf::actor& each : all_of(self->state.shared)) {
    self->demonitor(each);
    self->send_exit(each, caf::exit_reason::user_shutdown);
  }
  self->quit();
}

// Every shard has been left: the others learn of it at once, and the store writes the last of it.
void leave(Self self, caf::typed_response_promise<Stop> promise) {
  auto store = [self, promise]() mutable {
    self->request(self->state.shared.store, caf::infinite, Stop{})
        .then(
            [self, promise](const Stop&) mutable {
              promise.deliver(Stop{});
              end_all(self);
            },
            [promise](const caf::error&) mutable { promise.deliver(Stop{}); });
  };
  if (!self->state.placement) return store();
  self->request(self->state.placement, caf::infinite, Stop{})
      .then([store](const Stop&) mutable { store(); },
            [store](const caf::error&) mutable { store(); });
}

void show_shards(Self self) {
  std::map<std::string, std::int64_t> by_state;
  for (const auto& [shard, place] : self->state.board->places()) ++by_state[place.state.state];
  self->state.environment->metrics->set_shards(by_state);
}

}  // namespace

root_supervisor_actor::behavior_type root_supervisor(Self self, EnvironmentPtr environment,
                                                     std::shared_ptr<ShardBoard> board) {
  self->state.environment = std::move(environment);
  self->state.board = std::move(board);
  self->set_down_handler([self](const caf::down_msg& down) {
    if (!down.reason) return;
    spdlog::critical("a shared actor died ({}); ending so that a restart restores everything",
                     self->system().render(down.reason));
    std::abort();
  });
  return {
      [self](const Start&) { start(self); },
      [self](const NewSettings& wanted) {
        for (const shard_supervisor_actor& shard : self->state.shards) self->send(shard, wanted);
      },
      [self](const ShardState& state) {
        self->state.board->set(state);
        show_shards(self);
        if (self->state.placement) self->send(self->state.placement, state);
      },
      [self](const TakeShard& order) {
        if (!is_own(self->state, order.shard)) return;
        self->send(self->state.shards[static_cast<std::size_t>(order.shard)], order);
      },
      [self](const GiveShardAway& order) {
        if (!is_own(self->state, order.shard)) return;
        self->send(self->state.shards[static_cast<std::size_t>(order.shard)], order);
      },
      [self](const SnapshotPtr& written) {
        if (!is_own(self->state, written->shard)) return;
        self->send(self->state.shards[static_cast<std::size_t>(written->shard)], written);
      },
      [self](const Replaced& why) { self->state.environment->replaced(why.reason); },
      [self](const Stop&) -> caf::typed_response_promise<Stop> {
        // The others learn first that this process takes nothing more, then of each shard it has
        // left.
        if (self->state.placement) {
          self->request(self->state.placement, caf::infinite, Stop{}).then([](const Stop&) {});
        }
        auto promise = self->make_response_promise<Stop>();
        auto left = std::make_shared<std::size_t>(self->state.shards.size());
        auto one_less = [self, promise, left]() mutable {
          if (--*left == 0) leave(self, promise);
        };
        for (const shard_supervisor_actor& shard : self->state.shards) {
          self->request(shard, caf::infinite, Stop{})
              .then([one_less](const Stop&) mutable { one_less(); },
                    [one_less](const caf::error&) mutable { one_less(); });
        }
        return promise;
      },
  };
}

}  // namespace selfheal
