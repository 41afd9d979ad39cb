#include "actors/shard_supervisor_actor.hpp"

#include <spdlog/spdlog.h>

#include "actors/committer_actor.hpp"
#include "actors/shard_claim.hpp"
#include "actors/stage_actor.hpp"
#include "decision/runner/runner.hpp"
#include "decision/shard/fold_version.hpp"

namespace selfheal {
namespace {

using Self = shard_supervisor_actor::stateful_pointer<ShardSupervisorState>;

// A shard that falls more often than this within a minute is parked and reported: restarting it
// for ever would hide what is wrong.
constexpr std::size_t restarts_a_minute_max = 3;
// Halving a cut down to its one poisonous record takes a restart for each halving.
constexpr std::size_t halvings_a_minute_max = 20;
constexpr std::chrono::seconds unavailable_retry{2};
// How often a standby looks what it need not hold any longer, and how often it saves.
constexpr std::chrono::milliseconds standby_look{500};
constexpr DurationMs standby_save_interval_ms = 10000;

void enter(Self self, const std::string& phase, const std::string& reason = {}) {
  self->state.phase = phase;
  self->send(self->state.shared.root,
             ShardState{self->state.shard, phase, reason, self->state.epoch, self->state.owned});
}

// Records that are held back for a takeover; what is older has long been handed on by its owner, or
// is sent a second time, which its ids make harmless.
constexpr std::size_t held_max = 4096;

void hand_on(ShardSupervisorState& state, Self self) {
  for (const CommittedPtr& committed : state.held) self->send(state.shared.relay, committed);
  state.held.clear();
}

void drop_handed_on(ShardSupervisorState& state) {
  state.handed_on_seq =
      std::max(state.handed_on_seq, state.shared.board->owner_handed_on_seq(state.shard));
  while (!state.held.empty() && state.held.front()->record.seq <= state.handed_on_seq) {
    state.held.pop_front();
  }
}

// Readers of this process learn of a record that it did not write.
CommittedPtr show(Self self, const WalkedRecord& walked,
                  const std::shared_ptr<const Settings>& settings) {
  auto committed = std::make_shared<CommittedRecord>();
  committed->record = *walked.record;
  committed->settings = settings;
  committed->append_ms = walked.read->append_time_ms;
  self->send(self->state.shared.read_model, CommittedPtr(committed));
  return committed;
}

void note_claim(ShardSupervisorState& state, const JournalRecord& claim) {
  // Older starts than these have long been settled.
  constexpr std::size_t owners_max = 64;
  state.claimed_ms = state.environment->now_ms();
  state.owners[claim.epoch] = claim.owner;
  if (state.owners.size() > owners_max) state.owners.erase(state.owners.begin());
}

// What a record of the journal means to a process that did not write it, or has forgotten that it
// did: it is shown, and kept to be handed on.
Result<void> see(Self self, const std::shared_ptr<const Settings>& settings,
                 const WalkedRecord& walked) {
  ShardSupervisorState& state = self->state;
  if (walked.acceptance != Acceptance::accepted) {
    state.environment->metrics->count_ignored(to_string(walked.acceptance));
    return {};
  }
  if (!walked.difference.empty()) {
    return Error{ErrorCode::corrupt, "deciding again differs: " + walked.difference};
  }
  if (walked.record->kind == JournalKind::claim) {
    note_claim(state, *walked.record);
    return {};
  }
  CommittedPtr committed = show(self, walked, settings);
  const JournalRecord& record = committed->record;
  const bool quiet = record.kind == JournalKind::batch && record.events.empty();
  if (quiet || record.seq <= state.handed_on_seq) return {};
  state.held.push_back(std::move(committed));
  if (state.held.size() > held_max) {
    self->send(state.shared.relay, state.held.front());
    state.held.pop_front();
  }
  return {};
}

JournalWalk::Visit see_all(Self self, JournalWalk& walk) {
  return [self, &walk](const WalkedRecord& walked) { return see(self, walk.settings(), walked); };
}

Result<std::shared_ptr<JournalWalk>> restore(Self self) {
  const Environment& environment = *self->state.environment;
  const std::int64_t shard = self->state.shard;
  self->state.held.clear();
  const Result<LoadedState> loaded_state = load_state(environment, shard);
  if (!loaded_state) return loaded_state.error();
  const SavedShard* saved = &loaded_state->saved;
  // First, because another number of shards gives some of them another journal.
  Result<void> checked;
  if (saved->found) checked = check_partitions(environment, saved->chain);
  if (checked) checked = check_saved_position(*environment.log, environment.topics, *saved);
  if (!checked) return checked.error();
  auto walk = std::make_shared<JournalWalk>(*environment.log, environment.topics, shard,
                                            environment.make_decoder());
  if (saved->found) {
    const Result<void> loaded = walk->load(*saved);
    if (!loaded) return loaded.error();
    self->state.owners[saved->chain.epoch] = saved->chain.owner;
  }
  if (loaded_state->from_snapshot) {
    const Result<void> shown =
        read_history(environment, saved->chain, [&](const WalkedRecord& walked) -> Result<void> {
          if (walked.acceptance == Acceptance::accepted) show(self, walked, walk->settings());
          return {};
        });
    if (!shown) return shown.error();
  }
  // State is saved only once everything up to it has been handed on.
  self->state.saved_seq = self->state.handed_on_seq = saved->chain.seq;
  self->state.saved_ms = environment.now_ms();
  const Result<OffsetRange> range = environment.log->range(environment.topics.journal_of(shard));
  if (!range) return range.error();
  const Result<void> read = walk->read_to(range->end, see_all(self, *walk));
  if (!read) return read.error();
  return walk;
}

// The read model follows what the committer publishes; settings that were agreed upon before there
// is one would stay unseen.
void show_settings(Self self, const JournalWalk& walk) {
  auto committed = std::make_shared<CommittedRecord>();
  committed->record.kind = JournalKind::config;
  committed->record.shard = self->state.shard;
  committed->record.seq = walk.chain().seq;
  committed->record.content = walk.chain().settings;
  committed->settings = walk.settings();
  self->send(self->state.shared.read_model, CommittedPtr(std::move(committed)));
}

void spawn_pipeline(Self self, JournalWalk& walk) {
  ShardSupervisorState& state = self->state;
  const EnvironmentPtr& environment = state.environment;
  const Chain& chain = walk.chain();
  const auto settings = walk.settings();
  std::vector<std::unique_ptr<Stage>> stages = walk.fold().release();
  auto adopt = std::make_shared<AdoptShard>();
  for (const auto& stage : stages) {
    const auto* runner = dynamic_cast<const Runner*>(stage.get());
    if (runner == nullptr) continue;
    for (const auto& [id, run] : runner->runs().rows()) {
      const RunLock* lock = runner->locks().find(id);
      adopt->runs.push_back({run, lock == nullptr ? 0 : lock->until_ms});
    }
  }
  state.cutter = self->spawn(cutter, environment);
  CommitterWiring wiring{chain,
                         walk.last_offset(),
                         walk.last_record_hash(),
                         settings,
                         state.cutter,
                         caf::actor_cast<shard_supervisor_actor>(self),
                         state.shared.relay,
                         state.shared.read_model,
                         state.shared.effects,
                         state.shared.store,
                         state.shared.board};
  state.committer = self->spawn(committer, environment, std::move(wiring));
  state.children = {caf::actor_cast<caf::actor>(state.cutter),
                    caf::actor_cast<caf::actor>(state.committer)};
  stage_actor next;
  for (auto each = stages.rbegin(); each != stages.rend(); ++each) {
    std::shared_ptr<Stage> shared(std::move(*each));
    next = self->spawn(stage, environment, std::move(shared), next, state.committer);
    state.children.push_back(caf::actor_cast<caf::actor>(next));
  }
  // One falls, all fall: half a pipeline must never decide.
  for (const caf::actor& child : state.children) self->monitor(child);
  auto follow = std::make_shared<FollowJournal>();
  follow->shard = state.shard;
  follow->from = chain.journal_next;
  follow->committer = state.committer;
  self->send(state.shared.journal, FollowJournalPtr(std::move(follow)));
  adopt->shard = state.shard;
  adopt->epoch = chain.epoch;
  adopt->cutter = state.cutter;
  adopt->settings = settings;
  adopt->owners = state.owners;
  adopt->log_time_ms = walk.last_append_ms();
  self->send(state.shared.effects, AdoptShardPtr(std::move(adopt)));
  auto cutting = std::make_shared<CutterWiring>();
  cutting->bus = state.shared.bus;
  cutting->inputs_end = state.shared.inputs_end;
  cutting->first_stage = next;
  cutting->committer = state.committer;
  cutting->chain = chain;
  cutting->settings = settings;
  cutting->settings_changed = walk.settings_pending();
  cutting->log_time_ms = walk.last_append_ms();
  self->send(state.cutter, CutterWiringPtr(std::move(cutting)));
}

void fall(Self self, const std::string& kind, const std::string& reason);

// A broken invariant in what was saved, or while deciding again, parks the shard and is said:
// without this the actor would end, and nobody would know.
template <class Work>
void guarded(Self self, Work&& work) {
  try {
    work();
  } catch (const std::exception& failure) {
    fall(self, "corrupt", failure.what());
  }
}

void open_and_go(Self self, const std::shared_ptr<JournalWalk>& walk) {
  const Chain& chain = walk->chain();
  const OpenInputs open{self->state.shard, chain.epoch, chain.signals_next, chain.control_next};
  self->request(self->state.shared.bus, caf::infinite, open)
      .then(
          [self, walk](const Opened& opened) {
            if (self->state.stopping) return;  // said before this answer came
            if (!opened.error.empty()) return fall(self, "unavailable", opened.error);
            guarded(self, [&] {
              spawn_pipeline(self, *walk);
              self->state.live = true;
              enter(self, "live");
            });
          },
          [self](const caf::error& error) {
            fall(self, "unavailable", self->system().render(error));
          });
}

// A journal that lost its tail while this process was not reading has another history than it has
// followed. A claim names no record before it: nobody would refuse it.
Result<void> check_followed(const Environment& environment, const JournalWalk& walk) {
  SavedShard followed;
  followed.found = true;
  followed.chain.shard = walk.chain().shard;
  followed.last_offset = walk.last_offset();
  followed.last_record_hash = walk.last_record_hash();
  return check_saved_position(*environment.log, environment.topics, followed);
}

// Claims the shard that has been followed to the end of its journal as it was a moment ago.
void take_over(Self self, const std::string& reason) {
  ShardSupervisorState& state = self->state;
  const Environment& environment = *state.environment;
  const std::shared_ptr<JournalWalk> walk = std::move(state.walk);
  state.walk = nullptr;
  state.journal = nullptr;
  state.owned = true;
  state.epoch = walk->chain().epoch + 1;
  enter(self, "claiming");
  const JournalWalk::Visit visit = see_all(self, *walk);
  Result<void> done = check_followed(environment, *walk);
  if (done) done = claim_shard(environment, *walk, state.shard, visit);
  state.epoch = walk->chain().epoch;
  const std::int64_t claimed_seq = walk->chain().seq;
  if (done) done = record_crash(environment, *walk, visit);
  if (done) done = agree_on_settings(environment, *walk, state.wanted_settings, visit);
  if (done && walk->chain().seq > claimed_seq) show_settings(self, *walk);
  if (!done) return fall(self, to_string(done.error().code), done.error().context);
  hand_on(state, self);
  state.shared.board->set_snapshot(state.shard, walk->chain().snapshot_seq,
                                   walk->chain().snapshot_ms);
  walk->close_readers();
  environment.metrics->count_takeover(reason);
  open_and_go(self, walk);
}

void follow_on(Self self);

// Follows the journal of a shard that another process owns, deciding every cut again.
void follow(Self self, const std::shared_ptr<JournalWalk>& walk) {
  ShardSupervisorState& state = self->state;
  const Environment& environment = *state.environment;
  const auto wake = [me = caf::actor_cast<shard_supervisor_actor>(self), shard = state.shard] {
    caf::anon_send(me, Woken{shard});
  };
  Result<std::unique_ptr<LogReader>> reader = environment.log->open(
      environment.topics.journal_of(state.shard), walk->chain().journal_next, wake);
  if (!reader) return fall(self, to_string(reader.error().code), reader.error().context);
  state.walk = walk;
  state.journal = std::move(*reader);
  enter(self, "catching_up");
  self->delayed_send(self, standby_look, Tick{++state.timer});
  follow_on(self);
}

void follow_on(Self self) {
  ShardSupervisorState& state = self->state;
  if (!state.journal) return;
  while (true) {
    RecordBatch batch;
    Result<void> done = state.journal->poll(batch, {});
    if (done && batch.records.empty()) break;
    if (done) done = state.walk->take(batch, see_all(self, *state.walk));
    if (!done) return fall(self, to_string(done.error().code), done.error().context);
    drop_handed_on(state);
  }
  if (state.phase != "standby" && state.journal->at_end()) enter(self, "standby");
}

// What a start from it would not know: that something learnt from signals is missing, or that
// settings have not yet reached the stages.
bool is_whole(const JournalWalk& walk) {
  return !walk.has_lost_inputs() && !walk.settings_pending() &&
         walk.chain().fold_version == fold_version;
}

// A standby keeps what it has followed, so that its own restart begins near the end. Only once the
// owner has handed everything on: what is saved counts as handed on.
void save_now_and_then(Self self) {
  ShardSupervisorState& state = self->state;
  const TimeMs now_ms = state.environment->now_ms();
  const std::int64_t seq = state.walk->chain().seq;
  const bool due = now_ms - state.saved_ms >= standby_save_interval_ms && seq > state.saved_seq;
  if (!due || !state.held.empty() || !is_whole(*state.walk)) return;
  auto save = std::make_shared<SavePass>();
  save->changes = state.walk->changes();
  state.saved_ms = now_ms;
  state.saved_seq = seq;
  self->send(state.shared.store, SavePtr(std::move(save)));
}

void look_after_standby(Self self, const Tick& tick) {
  ShardSupervisorState& state = self->state;
  if (!state.walk || tick.number != state.timer) return;
  follow_on(self);
  if (!state.walk) return;
  drop_handed_on(state);
  save_now_and_then(self);
  self->delayed_send(self, standby_look, Tick{++state.timer});
}

// The order may come before the end of the journal is reached: reading on to it is part of a claim.
void take_when_followed(Self self, const TakeShard& order) {
  ShardSupervisorState& state = self->state;
  if (!state.walk || state.stopping) return;  // owned, or not yet restored: the order comes again
  // Somebody else has just claimed and may not yet have said so.
  const DurationMs since_ms = state.environment->now_ms() - state.claimed_ms;
  if (since_ms >= 0 && since_ms < state.environment->placement.heartbeat_timeout_ms) return;
  spdlog::info("shard {}: taking over{} ({})", state.shard,
               order.from.empty() ? std::string() : " from " + order.from, order.reason);
  state.environment->failpoint("before_claim");
  take_over(self, order.reason);
}

bool owned_elsewhere(const ShardSupervisorState& state) {
  const auto places = state.shared.board->places();
  const auto found = places.find(state.shard);
  return found != places.end() && !found->second.owner.empty() &&
         found->second.owner != state.environment->instance;
}

void begin(Self self) {
  ShardSupervisorState& state = self->state;
  const Environment& environment = *state.environment;
  if (state.owned && owned_elsewhere(state)) state.owned = false;
  enter(self, "restoring");
  Result<std::shared_ptr<JournalWalk>> walk = restore(self);
  if (!walk) return fall(self, to_string(walk.error().code), walk.error().context);
  if (environment.alone || state.owned) {
    state.walk = *walk;
    return take_over(self, environment.alone ? "alone" : "restarted");
  }
  follow(self, *walk);
}

void end_children(Self self) {
  ShardSupervisorState& state = self->state;
  self->send(state.shared.journal, UnfollowJournal{state.shard});
  self->send(state.shared.effects, ReleaseShard{state.shard});
  for (const caf::actor& child : state.children) {
    self->demonitor(child);
    self->send_exit(child, caf::exit_reason::kill);
  }
  state.children.clear();
  state.cutter = nullptr;
  state.committer = nullptr;
  state.live = false;
  state.journal = nullptr;
  state.walk = nullptr;
}

void fall(Self self, const std::string& kind, const std::string& reason) {
  ShardSupervisorState& state = self->state;
  end_children(self);
  if (state.stopping) {
    state.owned = false;
    enter(self, "stopped");
    if (state.stopped.pending()) state.stopped.deliver(Stop{});
    return;
  }
  const bool lost = kind == "fenced" && !state.environment->alone;
  if (lost || state.giving_away) {
    // Somebody else's now: followed from here on.
    if (lost) spdlog::warn("shard {}: another process has taken it over: {}", state.shard, reason);
    state.owned = state.giving_away = false;
    self->send(self, Start{});
    return enter(self, "restoring");
  }
  state.environment->metrics->count_restart(kind);
  // The bus or the disk being away is no fault of the shard: it waits, and says so.
  const bool waits = kind == "unavailable" || kind == "unknown_delivery" || kind == "exhausted" ||
                     kind == "not_found";
  if (waits) {
    spdlog::warn("shard {}: waiting: {}", state.shard, reason);
    enter(self, "restoring", reason);
    self->delayed_send(self, unavailable_retry, Start{});
    return;
  }
  if (kind == "corrupt" || kind == "refused") {
    spdlog::error("shard {}: stopped: {}", state.shard, reason);
    state.owned = false;
    return enter(self, "parked", reason);
  }
  const TimeMs now_ms = state.environment->now_ms();
  state.restarts.push_back(now_ms);
  while (state.restarts.front() < now_ms - 60000) state.restarts.pop_front();
  const bool halving = kind == "bug" || kind == "skipped";
  if (state.restarts.size() > (halving ? halvings_a_minute_max : restarts_a_minute_max)) {
    spdlog::error("shard {}: parked after {} restarts within a minute: {}", state.shard,
                  state.restarts.size(), reason);
    state.owned = false;
    return enter(self, "parked", reason);
  }
  spdlog::warn("shard {}: restarting ({}): {}", state.shard, kind, reason);
  self->send(self, Start{});
}

}  // namespace

shard_supervisor_actor::behavior_type shard_supervisor(Self self, EnvironmentPtr environment,
                                                       SharedActors shared, std::int64_t shard) {
  self->state.wanted_settings = {environment->settings, environment->now_ms()};
  self->state.environment = std::move(environment);
  self->state.shared = std::move(shared);
  self->state.shard = shard;
  self->set_down_handler([self](const caf::down_msg& down) {
    if (!self->state.children.empty()) {
      fall(self, "actor_died", self->system().render(down.reason));
    }
  });
  return {
      [self](const Start&) {
        if (!self->state.stopping) guarded(self, [self] { begin(self); });
      },
      [self](const TakeShard& order) { guarded(self, [&] { take_when_followed(self, order); }); },
      [self](const GiveShardAway&) {
        ShardSupervisorState& state = self->state;
        if (!state.live || state.stopping || state.giving_away) return;
        state.giving_away = true;
        enter(self, "draining");
        self->send(state.cutter, Stop{});
      },
      [self](const Woken&) { guarded(self, [self] { follow_on(self); }); },
      [self](const Tick& tick) { guarded(self, [&] { look_after_standby(self, tick); }); },
      [self](const ShardFault& fault) {
        if (self->state.children.empty()) return;  // of an incarnation that has ended
        fall(self, fault.kind,
             fault.stage.empty() ? fault.reason : fault.stage + ": " + fault.reason);
      },
      [self](const NewSettings& wanted) {
        self->state.wanted_settings = {wanted.content, self->state.environment->now_ms()};
        if (self->state.cutter) self->send(self->state.cutter, wanted);
      },
      [self](const SnapshotPtr& written) {
        if (self->state.live) self->send(self->state.cutter, written);
      },
      [self](const Stop&) -> caf::typed_response_promise<Stop> {
        auto promise = self->make_response_promise<Stop>();
        self->state.stopping = true;
        if (!self->state.live) {
          self->state.journal = nullptr;
          self->state.owned = false;
          enter(self, "stopped");
          return promise.deliver(Stop{});
        }
        enter(self, "draining");
        self->state.stopped = promise;
        if (!self->state.giving_away) self->send(self->state.cutter, Stop{});
        return promise;
      },
  };
}

}  // namespace selfheal
