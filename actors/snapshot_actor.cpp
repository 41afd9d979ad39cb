#include "actors/snapshot_actor.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "actors/clocks.hpp"
#include "storage/snapshot.hpp"

namespace selfheal {
namespace {

using Self = snapshot_actor::stateful_pointer<SnapshotState>;

// Between two tries of one shard: a snapshot that was written and not recorded is not written again
// at once.
constexpr std::int64_t pause_us = 20'000'000;

// A journal without any snapshot is still short: the first waits until the backlog of a start is
// worked off, which it would only slow down.
constexpr DurationMs first_after_ms = 60'000;

// Due by age even where nothing happens, so that there always is one that has not expired; and by
// the records that a restore would have to decide again.
bool is_due(const Environment& environment, const ShardPlace& place, DurationMs live_ms,
            TimeMs now_ms) {
  if (place.state.state != "live" || place.saved_seq <= 0) return false;
  const bool far = place.saved_seq - place.snapshot_seq >= environment.snapshot_records;
  if (place.snapshot_ms == 0) {
    return far || live_ms >= std::min(first_after_ms, environment.snapshot_interval_ms);
  }
  return far || now_ms - place.snapshot_ms >= environment.snapshot_interval_ms;
}

void look(Self self) {
  SnapshotState& state = self->state;
  const Environment& environment = *state.environment;
  const TimeMs now_ms = environment.now_ms();
  for (const auto& [shard, place] : state.board->places()) {
    if (place.state.state == "live" && place.snapshot_ms > 0) {
      const DurationMs age_ms = std::max<TimeMs>(0, now_ms - place.snapshot_ms);
      environment.metrics->set_snapshot(shard, static_cast<double>(age_ms) / 1000.0,
                                        static_cast<double>(inputs_kept_ms - age_ms) / 1000.0);
    }
    const auto tried = state.tried_us.find(shard);
    if (tried != state.tried_us.end() && steady_us() - tried->second < pause_us) continue;
    const std::int64_t seen_us = state.seen_us.try_emplace(shard, steady_us()).first->second;
    if (!is_due(environment, place, (steady_us() - seen_us) / 1000, now_ms)) continue;
    state.tried_us[shard] = steady_us();
    const Result<SnapshotManifest> manifest =
        write_snapshot(*environment.log, environment.topics, *environment.store, shard);
    if (!manifest) {
      spdlog::warn("shard {}: no snapshot: {}", shard, manifest.error().context);
      continue;
    }
    auto written = std::make_shared<SnapshotWritten>();
    written->shard = shard;
    written->manifest = *manifest;
    self->send(state.root, SnapshotPtr(std::move(written)));
  }
}

}  // namespace

snapshot_actor::behavior_type snapshot(Self self, EnvironmentPtr environment,
                                       std::shared_ptr<ShardBoard> board,
                                       root_supervisor_actor root) {
  self->state.environment = std::move(environment);
  self->state.board = std::move(board);
  self->state.root = std::move(root);
  const auto again = [self] {
    self->delayed_send(self, std::chrono::milliseconds(self->state.environment->snapshot_look_ms),
                       Tick{});
  };
  return {
      [again](const Start&) { again(); },
      [self, again](const Tick&) {
        look(self);
        again();
      },
  };
}

}  // namespace selfheal
