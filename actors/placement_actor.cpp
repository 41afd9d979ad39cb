#include "actors/placement_actor.hpp"

#include <spdlog/spdlog.h>

#include <utility>

#include "actors/clocks.hpp"
#include "base/signature.hpp"

namespace selfheal {
namespace {

using Self = placement_actor::stateful_pointer<PlacementState>;

// Records of the topic's end to begin with: some seconds of a large cluster.
constexpr std::int64_t tail_records = 1000;
// A bus that does not answer gets no more records than these.
constexpr std::int64_t unanswered_max = 3;
// A shard that has fallen and is being brought back is still its owner's for so long.
constexpr std::int64_t hold_us = 3'000'000;
constexpr std::chrono::seconds retry_after{1};

TimeMs log_now_ms(const PlacementState& state) {
  // No further ahead than one interval: a log that says nothing is away, and nobody is dead for it.
  const DurationMs since_ms = (steady_us() - state.heard_us) / 1000;
  return state.log_time_ms + std::min(since_ms, state.environment->heartbeat_interval_ms);
}

std::string told_state(PlacementState& state, const ShardState& shard) {
  if (shard.state == "standby") return "standby";
  if (shard.state == "parked" || shard.state == "stopped") return "away";
  if (!shard.owned) return "catching_up";
  if (shard.state == "live" || shard.state == "draining" || shard.state == "claiming") {
    state.unowned_locally_us.erase(shard.shard);
    return "live";
  }
  const auto since = state.unowned_locally_us.try_emplace(shard.shard, steady_us()).first->second;
  return steady_us() - since < hold_us ? "live" : "away";
}

enum class Word : std::uint8_t { one_of_many, last };

void speak(Self self, Word word = Word::one_of_many) {
  PlacementState& state = self->state;
  const Environment& environment = *state.environment;
  // What is left out is said again by the next one; the last has no next.
  const bool too_many = word != Word::last && *state.in_flight >= unanswered_max;
  if (!state.speaking || too_many) return;
  Presence presence;
  presence.instance = environment.instance;
  presence.incarnation = state.incarnation;
  presence.build = environment.build;
  presence.leaving = state.leaving;
  for (const auto& [shard, place] : state.board->places()) {
    presence.shards.push_back(
        {shard, told_state(state, place.state), place.state.epoch, place.handed_on_seq});
  }
  Result<std::string> value = encode_presence(presence, environment.journal_secret_key);
  CHECK(value, "the journal key cannot sign");
  ++*state.in_flight;
  environment.log->append({environment.topics.presence, 0}, NewRecord{.value = std::move(*value)},
                          [count = state.in_flight](const Result<Offset>&) { --*count; });
}

void take(Self self, const RecordView& read) {
  PlacementState& state = self->state;
  Result<Presence> presence = decode_presence(read.value, state.environment->shard_keys);
  if (!presence) {
    return state.environment->metrics->count_ignored("presence: " +
                                                     std::string(to_string(presence.error().code)));
  }
  state.log_time_ms = std::max(state.log_time_ms, read.append_time_ms);
  state.heard_us = steady_us();
  state.placement->take(*presence, read.append_time_ms);
  const bool reading_tail = state.silent_since_us == 0;
  const bool namesake = !reading_tail && presence->instance == state.environment->instance &&
                        presence->incarnation != state.incarnation;
  // What a process had sent before it was killed comes at once; who still speaks after a while
  // lives.
  const std::int64_t lives_after_us = state.environment->placement.heartbeat_timeout_ms * 500;
  if (namesake && !state.speaking && steady_us() - state.silent_since_us > lives_after_us) {
    self->send(state.root,
               Replaced{"another running process has the name '" + state.environment->instance +
                        "': give each one its own with `instance`"});
  }
}

void give_orders(Self self) {
  PlacementState& state = self->state;
  Placement& placement = *state.placement;
  const TimeMs now_ms = log_now_ms(state);
  if (placement.replaced()) {
    self->send(state.root, Replaced{"this process was silent for so long that another one took "
                                    "its name and its place"});
    return;
  }
  for (std::int64_t shard = 0; shard < state.environment->shards(); ++shard) {
    const std::string owner = placement.owner_of(shard, now_ms);
    state.board->set_owner(shard, owner, placement.present_until_ms(owner),
                           placement.saved_seq_of(shard));
  }
  state.environment->metrics->set_members(placement.members_present(now_ms), placement.lapses());
  if (state.leaving || !state.speaking) return;
  const PlacementOrders orders = placement.orders(now_ms);
  for (const PlacementClaim& claim : orders.claims) {
    self->send(state.root, TakeShard{claim.shard, claim.reason, claim.from});
  }
  if (orders.give_away) self->send(state.root, GiveShardAway{*orders.give_away});
}

void read_on(Self self) {
  PlacementState& state = self->state;
  if (!state.reader) return;
  while (true) {
    RecordBatch batch;
    const Result<void> polled = state.reader->poll(batch, {});
    if (!polled) {
      spdlog::warn("presence: {}; reading from its end again", polled.error().context);
      state.reader.reset();
      self->delayed_send(self, retry_after, Start{});
      return;
    }
    if (batch.records.empty()) break;
    for (const RecordView& read : batch.records) take(self, read);
  }
  const bool at_tail = state.reader->position() >= state.tail_end;
  if (at_tail && state.silent_since_us == 0) state.silent_since_us = steady_us();
  give_orders(self);
}

Result<void> open_reader(Self self) {
  PlacementState& state = self->state;
  const Environment& environment = *state.environment;
  const TopicPartition where{environment.topics.presence, 0};
  const Result<OffsetRange> range = environment.log->range(where);
  if (!range) return range.error();
  const Offset from = std::max(range->begin, range->end - tail_records);
  Result<std::unique_ptr<LogReader>> reader = environment.log->open(
      where, from, [me = caf::actor_cast<placement_actor>(self)] { caf::anon_send(me, Woken{}); });
  if (!reader) return reader.error();
  state.reader = std::move(*reader);
  state.tail_end = range->end;
  return {};
}

void start(Self self) {
  PlacementState& state = self->state;
  if (state.reader) return;
  const Result<void> opened = open_reader(self);
  if (!opened) {
    spdlog::warn("presence: {}", opened.error().context);
    self->delayed_send(self, retry_after, Start{});
    return;
  }
  read_on(self);
}

void tick(Self self) {
  PlacementState& state = self->state;
  // A process of this name that was killed a moment ago and one that lives look the same at first.
  const std::int64_t quiet_us = state.environment->placement.heartbeat_timeout_ms * 1000;
  const bool heard_namesake = state.placement->namesake_heard_ms() > 0;
  if (!state.speaking && state.silent_since_us > 0) {
    state.speaking = !heard_namesake || steady_us() - state.silent_since_us > quiet_us;
  }
  speak(self);
  give_orders(self);
  self->delayed_send(self, std::chrono::milliseconds(state.environment->heartbeat_interval_ms),
                     Tick{});
}

}  // namespace

placement_actor::behavior_type placement(Self self, EnvironmentPtr environment,
                                         std::shared_ptr<ShardBoard> board,
                                         root_supervisor_actor root) {
  PlacementState& state = self->state;
  state.incarnation = random_hex(8);
  state.in_flight = std::make_shared<std::atomic<std::int64_t>>(0);
  state.placement = std::make_unique<Placement>(environment->instance, state.incarnation,
                                                environment->shards(), environment->placement);
  state.environment = std::move(environment);
  state.board = std::move(board);
  state.root = std::move(root);
  return {
      [self](const Start&) {
        start(self);
        if (!std::exchange(self->state.ticking, true)) self->send(self, Tick{});
      },
      [self](const Woken&) { read_on(self); },
      [self](const Tick&) { tick(self); },
      [self](const ShardState&) { speak(self); },
      [self](const Stop&) {
        // The first time it takes nothing more, the second time it has left every shard.
        const bool left = std::exchange(self->state.leaving, true);
        speak(self, left ? Word::last : Word::one_of_many);
        return Stop{};
      },
  };
}

}  // namespace selfheal
