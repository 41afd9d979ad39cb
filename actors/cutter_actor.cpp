#include "actors/cutter_actor.hpp"

#include <algorithm>
#include <chrono>

#include "base/check.hpp"

namespace selfheal {
namespace {

using Self = cutter_actor::stateful_pointer<CutterState>;

// A shard whose input is older than this is behind.
constexpr DurationMs behind_ms = 2000;
// A timer is never set further ahead than this, so that a wrong clock heals by itself.
constexpr DurationMs sleep_ms_max = 1000;
// How old the log's answer about the end of the inputs may be, and how long a timer waits for one:
// while the log is away timers fire all the same, and take nothing for silent.
constexpr std::int64_t answer_age_us_max = 1'000'000;
constexpr std::int64_t answer_wait_us_max = 250'000;

TimeMs tick_now(const CutterState& state) {
  const TimeMs now_ms = state.environment->now_ms();
  return CutPlanner::tick_held_to(now_ms, state.log_time.now_ms());
}

// A shard that is behind touches most of its pages within any interval, and would mostly save. What
// it has not saved it reads again at the next start: some more of what waits anyway.
DurationMs save_interval_ms(const CutterState& state) {
  constexpr std::int64_t longer_while_behind = 4;
  const bool behind = state.chain.caught_up_through_ms + behind_ms < tick_now(state);
  return state.environment->save_interval_ms * (behind ? longer_while_behind : 1);
}

// What a cut of few records costs is mostly the cut's own: it says little about a record.
void learn_record_cost(CutterState& state, double records, double work_us) {
  if (records <= 0) return;
  constexpr double telling_records = 200;
  const double weight = records / (records + telling_records);
  state.record_us += weight * (work_us / records - state.record_us);
}

// A burst of troubles says many times what it reads, and a cut must fit one record. Rises at once,
// falls slowly; a cut of few bytes says little about it.
void learn_growth(CutterState& state, std::int64_t record_bytes) {
  constexpr std::size_t telling_bytes = 4096;
  if (state.read_bytes < telling_bytes) return;
  const double growth = static_cast<double>(record_bytes) / static_cast<double>(state.read_bytes);
  constexpr double fall = 0.1;
  state.growth = std::max(growth, state.growth + fall * (growth - state.growth));
}

CutLimits current_limits(const CutterState& state) {
  CutLimits limits = state.environment->cut_limits;
  const double affordable =
      static_cast<double>(state.environment->cut_budget_us) / std::max(state.record_us, 0.05);
  // Twenty frames of a hundred signals cost a cut about what it is worth.
  constexpr std::size_t records_least = 20;
  limits.records_max = std::clamp<std::size_t>(static_cast<std::size_t>(affordable), records_least,
                                               limits.records_max);
  constexpr double record_bytes_wanted = record_bytes_max / 2.0;
  constexpr std::size_t bytes_least = std::size_t{16} * 1024;
  limits.bytes_max =
      std::clamp(static_cast<std::size_t>(record_bytes_wanted / std::max(state.growth, 0.1)),
                 std::min(bytes_least, limits.bytes_max), limits.bytes_max);
  return CutPlanner::limits_for(state.chain, limits);
}

bool has_more_than_timers(const CutterState& state) {
  return state.supply || !state.inputs.empty() || state.follow_up || state.settings_changed;
}

bool has_work(const CutterState& state, TimeMs tick_ms) {
  return has_more_than_timers(state) || state.next_due_ms <= tick_ms;
}

void try_cut(Self self);

void wake_after(Self self, DurationMs wait_ms) {
  CutterState& state = self->state;
  wait_ms = std::clamp<DurationMs>(wait_ms, 1, sleep_ms_max);
  // A timer that comes earlier looks again by itself: a new one for every cut would wake the
  // clock's thread as often.
  const std::int64_t due_us = steady_us() + wait_ms * 1000;
  if (state.timer_due_us != 0 && state.timer_due_us <= due_us) return;
  state.timer_due_us = due_us;
  self->delayed_send(self, std::chrono::milliseconds(wait_ms), Tick{++state.timer});
}

void sleep_until_due(Self self) {
  const CutterState& state = self->state;
  DurationMs wait_ms = std::min(state.next_due_ms - tick_now(state), sleep_ms_max);
  if (state.unsaved) {
    const TimeMs save_ms = state.last_save_ms + save_interval_ms(state);
    wait_ms = std::min(wait_ms, save_ms - state.environment->now_ms());
  }
  wake_after(self, wait_ms);
}

void ask_end(Self self) {
  CutterState& state = self->state;
  state.asked_at_us = steady_us();
  const auto answered = [self](TimeMs taken_through_ms) {
    CutterState& state = self->state;
    state.asked_at_us = 0;
    state.answered_at_us = steady_us();
    state.taken_through_ms = std::max(state.taken_through_ms, taken_through_ms);
    try_cut(self);
  };
  self->request(state.inputs_end, caf::infinite, AskInputsEnd{state.chain.shard})
      .then([answered, now_ms = tick_now(state)](bool taken) { answered(taken ? now_ms : 0); },
            [answered](const caf::error&) { answered(0); });
}

// No reader says anything where nothing comes, and silence is judged by how far the input has been
// taken: a cut that only the clock asks for asks the log first. True while the answer is awaited.
bool waits_for_end(Self self) {
  const CutterState& state = self->state;
  if (has_more_than_timers(state)) return false;
  const std::int64_t now_us = steady_us();
  const bool fresh = state.answered_at_us != 0 && now_us - state.answered_at_us < answer_age_us_max;
  if (fresh) return false;
  if (state.asked_at_us == 0) ask_end(self);
  const std::int64_t left_us = state.asked_at_us + answer_wait_us_max - now_us;
  if (left_us <= 0) return false;
  wake_after(self, left_us / 1000 + 1);
  return true;
}

void fetch(Self self) {
  CutterState& state = self->state;
  if (state.fetching || state.supply || state.stopped) return;
  state.fetching = true;
  const CutLimits limits = current_limits(state);
  const FetchInputs wanted{state.chain.shard, state.chain.epoch, limits.records_max,
                           limits.bytes_max, limits.controls_max};
  self->request(state.bus, caf::infinite, wanted)
      .then(
          [self](SupplyPtr& supply) {
            self->state.fetching = false;
            self->state.supply = std::move(supply);
            try_cut(self);
          },
          [self](const caf::error& error) {
            // What was decided stays decided; this incarnation can take nothing more.
            self->state.stopped = true;
            self->send(self->state.committer,
                       Delivery{-1, false, "inputs: " + self->system().render(error)});
          });
}

void skip_poison(Self self) {
  CutterState& state = self->state;
  state.supply->now_ms = tick_now(state);
  PoisonSkip left_out = CutPlanner::skip_of(state.chain, *state.supply);
  auto skip = std::make_shared<SkipOrder>();
  skip->cut = std::move(left_out.cut);
  skip->topic_kind = std::move(left_out.topic_kind);
  skip->reason = "it has killed its shard twice";
  // The next incarnation begins behind it.
  state.stopped = true;
  self->send(state.committer, SkipPtr(std::move(skip)));
}

void begin_save(Self self) {
  CutterState& state = self->state;
  state.saving = true;
  auto save = std::make_shared<SavePass>();
  save->changes.shard = state.chain.shard;
  if (state.last_token) {
    save->last_events = {state.last_token, &state.last_token->events};
    save->last_facts = state.last_token->facts;
    save->last_tick_ms = state.last_token->cut.tick_ms;
  }
  self->send(state.first_stage, SavePtr(std::move(save)));
}

// Null where an input breaks the decoder: the shard ends, and the next incarnation takes less at
// once until that one input is found, as with a stage that fails.
TokenPtr plan(Self self, CutSupply supply) {
  CutterState& state = self->state;
  const std::int64_t began_us = thread_cpu_us();
  auto token = std::make_shared<Token>(CutPlanner::outline(state.chain, supply));
  try {
    const StageScope
        scope;  // a broken invariant costs the shard a restart, not the process its life
    const CrashScope mark(state.chain.shard, token->cut, "decoder");
    state.planner->fill(*token, supply);
    if (std::optional<CutSupply> rest = CutPlanner::split(*token->signals, supply)) {
      state.supply = std::make_shared<CutSupply>(std::move(*rest));
      supply.inputs = std::move(token->cut.inputs);
      *token = CutPlanner::outline(state.chain, supply);
      state.planner->fill(*token, supply);
    }
    state.read_bytes = supply.signals.bytes + supply.control.bytes;
    token->work_us = thread_cpu_us() - began_us;
    return token;
  } catch (const std::exception& failure) {
    auto failed = std::make_shared<FailedCut>();
    failed->cut = token->cut;
    failed->stage = "decoder";
    failed->reason = failure.what();
    state.stopped = true;
    self->send(state.committer, FailedCutPtr(std::move(failed)));
    return nullptr;
  }
}

void cut_now(Self self) {
  CutterState& state = self->state;
  CutSupply supply;
  if (state.supply) {
    supply = std::move(*state.supply);
    state.supply.reset();
  } else {
    supply.signals.next_offset = state.chain.signals_next;
    supply.control.next_offset = state.chain.control_next;
  }
  const std::size_t inputs_max = state.environment->cut_limits.inputs_max;
  while (!state.inputs.empty() && supply.inputs.size() < inputs_max) {
    supply.inputs.push_back(std::move(state.inputs.front()));
    state.inputs.pop_front();
  }
  supply.taken_through_ms = state.taken_through_ms;
  supply.now_ms = tick_now(state);
  const TokenPtr token = plan(self, std::move(supply));
  if (!token) return;
  token->settings = state.settings;
  token->settings_changed = state.settings_changed;
  if (state.last_token) {
    token->previous_events = {state.last_token, &state.last_token->events};
    token->previous_facts = state.last_token->facts;
    token->previous_tick_ms = state.last_token->cut.tick_ms;
    // Only the latest is kept: a chain of tokens would keep all of them alive.
    state.last_token->previous_events.reset();
  }
  state.settings_changed = false;
  state.last_token = token;
  state.busy = true;
  self->send(state.first_stage, token);
  // The next inputs come while these are decided on. Not under a guard: which kind may be taken
  // then depends on how far this cut takes the chain.
  if (state.chain.poison.records_max == 0) fetch(self);
}

void try_cut(Self self) {
  CutterState& state = self->state;
  const bool held =
      !state.started || state.busy || state.saving || state.stopped || state.waiting_for_record;
  if (held) return;
  // What is saved does not know that settings have not reached the stages yet: the cut that takes
  // them there comes before any save.
  if (state.draining && !state.settings_changed) {
    if (state.in_flight == 0) begin_save(self);
    return;
  }
  const TimeMs now_ms = state.environment->now_ms();
  if (!state.new_settings.empty() && !state.draining) {
    if (state.in_flight > 0) return;  // the last commit comes back here
    state.waiting_for_record = true;
    self->send(state.committer, NewSettings{std::move(state.new_settings.front())});
    state.new_settings.pop_front();
    return;
  }
  if (state.snapshot && !state.draining) {
    if (state.in_flight > 0) return;
    state.waiting_for_record = true;
    self->send(state.committer, std::move(state.snapshot));
    state.snapshot = nullptr;
    return;
  }
  const bool save_due = state.unsaved && now_ms - state.last_save_ms >= save_interval_ms(state);
  if (save_due && !state.settings_changed) {
    if (state.in_flight > 0) return;
    return begin_save(self);
  }
  if (state.in_flight >= credit_max) return;
  if (!has_work(state, tick_now(state))) {
    fetch(self);
    return sleep_until_due(self);
  }
  if (CutPlanner::is_poisoned(state.chain)) {
    if (!state.supply) return fetch(self);
    return skip_poison(self);
  }
  if (waits_for_end(self)) return fetch(self);
  cut_now(self);
}

void cut_done(Self self, const CutDone& done) {
  CutterState& state = self->state;
  const Cut& cut = state.last_token->cut;
  state.busy = false;
  state.next_due_ms = done.next_due_ms;
  state.follow_up = done.said_something;
  if (!done.dropped) {
    learn_record_cost(state, static_cast<double>(cut.records()),
                      static_cast<double>(state.last_token->work_us));
    learn_growth(state, done.record_bytes);
    ++state.in_flight;
    ++state.chain.seq;
    state.chain.signals_next = cut.signals_end;
    state.chain.control_next = cut.control_end;
    state.chain.tick_ms = cut.tick_ms;
    state.chain.caught_up_through_ms = cut.caught_up_through_ms;
    const bool beyond = state.chain.signals_next >= state.chain.poison.signals_until &&
                        state.chain.control_next >= state.chain.poison.control_until;
    state.chain.poison.single_failures = 0;
    if (beyond) state.chain.poison = {};
    state.unsaved = true;
  }
  try_cut(self);
}

void wire(Self self, const CutterWiring& wiring) {
  CutterState& state = self->state;
  state.bus = wiring.bus;
  state.inputs_end = wiring.inputs_end;
  state.first_stage = wiring.first_stage;
  state.committer = wiring.committer;
  state.chain = wiring.chain;
  state.settings = wiring.settings;
  state.settings_changed = wiring.settings_changed;
  state.log_time.hear(wiring.log_time_ms);
  // Shards save one after another, not all at once: what is on its way to the disk is a copy.
  const std::int64_t share = state.chain.shard % state.environment->topics.partitions;
  state.last_save_ms = state.environment->now_ms() - state.environment->save_interval_ms * share /
                                                         state.environment->topics.partitions;
  state.unsaved = true;
  state.started = true;
  fetch(self);
  try_cut(self);
}

void settings_in_force(Self self, const SettingsInForce& active) {
  CutterState& state = self->state;
  const Result<Settings> settings = settings_from_text(active.content);
  CHECK(settings, "settings that were validated do not decode");
  state.settings = std::make_shared<const Settings>(*settings);
  state.settings_changed = true;
  state.chain.seq = active.seq;
  state.chain.generation = active.generation;
  state.waiting_for_record = false;
  try_cut(self);
}

}  // namespace

cutter_actor::behavior_type cutter(Self self, EnvironmentPtr environment) {
  self->state.planner =
      std::make_unique<CutPlanner>(environment->make_decoder(), environment->signal_pool);
  self->state.environment = std::move(environment);
  return {
      [self](const CutterWiringPtr& wiring) { wire(self, *wiring); },
      [self](const CutDone& done) { cut_done(self, done); },
      [self](const CreditBack& credit) {
        self->state.in_flight = std::max(0, self->state.in_flight - 1);
        self->state.log_time.hear(credit.log_time_ms);
        try_cut(self);
      },
      [self](const EffectPtr& effect) {
        self->state.inputs.push_back(effect->input);
        try_cut(self);
      },
      [self](const SettingsInForce& active) { settings_in_force(self, active); },
      [self](const NewSettings& wanted) {
        self->state.new_settings.push_back(wanted.content);
        try_cut(self);
      },
      [self](const SnapshotPtr& written) {
        self->state.snapshot = written;
        try_cut(self);
      },
      [self](const SnapshotRecorded& recorded) {
        self->state.chain.seq = recorded.seq;
        self->state.waiting_for_record = false;
        try_cut(self);
      },
      [self](const SaveCollected&) {
        self->state.saving = false;
        self->state.unsaved = false;
        self->state.last_save_ms = self->state.environment->now_ms();
        if (self->state.draining) {
          self->state.stopped = true;
          self->send(self->state.committer, Stop{});
          return;
        }
        try_cut(self);
      },
      [self](const Stop&) {
        self->state.draining = true;
        try_cut(self);
      },
      [self](const Tick& tick) {
        if (tick.number != self->state.timer) return;
        self->state.timer_due_us = 0;
        try_cut(self);
      },
  };
}

}  // namespace selfheal
