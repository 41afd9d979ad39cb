#include "tests/simulation/simulated_owner.hpp"

#include <algorithm>

#include "base/check.hpp"
#include "base/signature.hpp"
#include "decision/runner/runner.hpp"
#include "decision/shard/fold_version.hpp"
#include "topics/event_codec.hpp"
#include "topics/shard_message.hpp"
#include "topics/signal_decoder.hpp"

namespace selfheal::simulation {
namespace {

StepResult answer(const RunStarted& started, const std::string& status) {
  StepResult result;
  result.action_id = started.action_id;
  result.attempt = started.attempt;
  result.step = started.step;
  result.rollback = started.rollback;
  result.status = status;
  return result;
}

}  // namespace

std::uint64_t Dice::next() {
  // SplitMix64 (Steele et al., 2014).
  std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

bool Dice::chance(double probability) {
  return static_cast<double>(next() >> 11) * 0x1p-53 < probability;
}

SimulatedOwner::SimulatedOwner(SharedWorld& world, PageStore& store, std::string name,
                               std::int64_t shard, DurationMs clock_skew_ms)
    : world_(world),
      store_(store),
      name_(std::move(name)),
      shard_(shard),
      skew_ms_(clock_skew_ms) {}

void SimulatedOwner::crash() {
  // What was appended stays on its way: the log does not know that its client is gone.
  walk_.reset();
  window_.reset();
  fold_.reset();
  journal_.reset();
  signals_.reset();
  control_.reset();
  inputs_.clear();
  to_start_.clear();
  awaited_.clear();
  intents_.clear();
  claimed_pending_ = false;
  settings_changed_ = false;
  follow_up_ = true;
  written_.reset();
  snapshot_next_ = -2;
  saved_next_ = -1;
  failed_.reset();
  stopped_ = false;
  ++incarnation_;
}

void SimulatedOwner::end() {
  crash();
}

bool SimulatedOwner::step() {
  if (!window_) return walk_ ? claim() : restore();
  // One thread reads the journal and another decides: what is decided may be out of date.
  const bool late = world_.dice.chance(world_.reads_late);
  if (!late && read_back()) return true;
  if (!window_) return true;
  if (act()) return true;
  if (take_effect_ends()) return true;
  if (waits_for_settings()) return false;
  if (wants_settings() && !stopped_) {
    // Between cuts, as live: what is on its way was decided with the settings before.
    if (!window_->idle()) return false;
    reload();
    return true;
  }
  if (world_.snapshots.is_on && !stopped_ && snapshot()) return true;
  return stopped_ ? record_failure() : cut();
}

bool SimulatedOwner::restore() {
  const Result<SavedShard> saved = load_state();
  const Result<void> checked = check_saved_position(world_.log, world_.topics, *saved);
  if (!checked) {
    trouble_ = checked.error().context;
    return false;
  }
  auto walk = std::make_unique<JournalWalk>(world_.log, world_.topics, shard_, world_.decode);
  if (saved->found) {
    const Result<void> loaded = walk->load(*saved);
    if (!loaded) trouble_ = loaded.error().context;
  }
  const Result<OffsetRange> range = world_.log.range(world_.topics.journal_of(shard_));
  const Result<void> read =
      walk->read_to(range->end, [&](const WalkedRecord& walked) -> Result<void> {
        if (!walked.difference.empty()) return Error{ErrorCode::corrupt, walked.difference};
        if (walked.acceptance == Acceptance::accepted) relay(*walked.record);
        return {};
      });
  if (!read) {
    trouble_ = read.error().context;
    return false;
  }
  walk_ = std::move(walk);
  return true;
}

bool SimulatedOwner::claim() {
  const TopicPartition where = world_.topics.journal_of(shard_);
  if (!claimed_pending_) {
    JournalRecord record;
    record.shard = shard_;
    const Chain& chain = walk_->chain();
    if (!is_owner_in_chain() && !wants_to_claim()) return follow();
    if (is_owner_in_chain() && chain.settings != world_.settings) {
      record.kind = JournalKind::config;
      record.epoch = chain.epoch;
      record.seq = chain.seq + 1;
      record.prev_hash = to_hex(chain.head);
      record.generation = chain.generation + 1;
      record.content = world_.settings;
    } else {
      record.kind = JournalKind::claim;
      record.epoch = chain.epoch + 1;
      record.owner = name_ + std::to_string(incarnation_);
      record.build = "simulation";
      record.fold_version = fold_version;
      record.partitions = world_.partitions;
      record.public_key = world_.public_key;
      record.shard_seed = 77 + static_cast<std::uint64_t>(shard_);
    }
    claim_body_ = encode_body(record);
    world_.log.append(
        where, NewRecord{.value = wrap_body(*sign(world_.secret_key, claim_body_), claim_body_)},
        [](Result<Offset>) {});
    claimed_pending_ = true;
    return true;
  }
  const Result<OffsetRange> range = world_.log.range(where);
  if (range->end <= walk_->chain().journal_next) {
    // The append may have been refused: nothing says so to who has crashed since.
    if (world_.log.pending() == 0) claimed_pending_ = false;
    return false;
  }
  bool seen = false;
  bool mine = false;
  const Result<void> read =
      walk_->read_to(range->end, [&](const WalkedRecord& walked) -> Result<void> {
        if (!walked.difference.empty()) return Error{ErrorCode::corrupt, walked.difference};
        const Result<SignedBody> parts = unwrap_body(walked.read->value);
        if (parts && parts->body == claim_body_) {
          seen = true;
          mine = mine || walked.acceptance == Acceptance::accepted;
        }
        // Of the owner before, who may be gone before it has handed them on.
        if (walked.acceptance == Acceptance::accepted) relay(*walked.record);
        return {};
      });
  if (!read) {
    trouble_ = read.error().context;
    return false;
  }
  if (!seen) {
    // The append may have been refused: try again from time to time.
    if (world_.dice.chance(0.2)) claimed_pending_ = false;
    return true;
  }
  claimed_pending_ = false;
  // Somebody may have claimed after us in what was just read.
  if (!mine || !is_owner_in_chain()) return true;
  if (walk_->chain().settings != world_.settings) return true;
  go_live();
  return true;
}

bool SimulatedOwner::wants_to_claim() {
  return ordered_ && (world_.claims >= 1 || world_.dice.chance(world_.claims));
}

bool SimulatedOwner::is_owner_in_chain() const {
  return walk_->chain().owner == name_ + std::to_string(incarnation_);
}

bool SimulatedOwner::follow() {
  const Result<OffsetRange> range = world_.log.range(world_.topics.journal_of(shard_));
  if (range->end <= walk_->chain().journal_next) return false;
  const Result<void> read =
      walk_->read_to(range->end, [&](const WalkedRecord& walked) -> Result<void> {
        if (!walked.difference.empty()) return Error{ErrorCode::corrupt, walked.difference};
        if (walked.acceptance == Acceptance::accepted) relay(*walked.record);
        return {};
      });
  if (!read) trouble_ = read.error().context;
  return true;
}

ShardPresence SimulatedOwner::presence() const {
  ShardPresence said{.shard = shard_, .state = "catching_up"};
  if (window_) {
    said.state = "live";
    said.epoch = window_->committed().epoch;
  } else if (walk_) {
    said.state = is_owner_in_chain() ? "live" : "standby";
    said.epoch = walk_->chain().epoch;
  }
  return said;
}

void SimulatedOwner::go_live() {
  const Chain& chain = walk_->chain();
  window_ = std::make_unique<CommitWindow>(chain, world_.secret_key);
  window_->set_last_record(walk_->last_offset(), walk_->last_record_hash());
  settings_ = walk_->settings();
  settings_changed_ = walk_->settings_pending();
  reloads_taken_ = world_.reloads;
  log_time_ms_ = walk_->last_append_ms();
  planner_ = std::make_unique<CutPlanner>(world_.decode);
  const bool fleet = world_.topics.is_fleet(shard_);
  const TopicPartition signals{world_.topics.signals, static_cast<std::int32_t>(shard_)};
  const TopicPartition control = world_.topics.control_of(shard_);
  std::vector<std::unique_ptr<Stage>> stages = walk_->fold().release();
  // Some stages have decided before the bug strikes and some have not.
  const auto place = static_cast<std::ptrdiff_t>(world_.dice.below(stages.size() + 1));
  stages.insert(stages.begin() + place,
                std::make_unique<PoisonStage>(world_.poison, signals, control));
  fold_ = std::make_unique<ShardFold>(std::move(stages));
  fold_->configure(settings_);
  journal_ = std::move(
      world_.log.open(world_.topics.journal_of(shard_), chain.journal_next, [] {}).value());
  if (!fleet) signals_ = std::move(world_.log.open(signals, chain.signals_next, [] {}).value());
  control_ = std::move(world_.log.open(control, chain.control_next, [] {}).value());
  world_.target.raise_fence(shard_, chain.epoch);
  take_over_runs();
  walk_.reset();
  next_due_ms_ = 0;
  follow_up_ = true;
}

// What the owner before had started: its answer is waited for, or it never began.
void SimulatedOwner::take_over_runs() {
  for (const auto& stage : fold_->stages()) {
    const auto* runner = dynamic_cast<const Runner*>(stage.get());
    if (runner == nullptr) continue;
    for (const auto& [id, run] : runner->runs().rows()) {
      intents_[id] = run.intent;
      if (run.phase != "started" || run.due_ms > 0) continue;
      const RunStarted started{.action_id = id,
                               .attempt = run.attempt,
                               .step = run.step,
                               .rollback = run.rollback,
                               .epoch = run.epoch,
                               .valid_until_ms = run.valid_until_ms};
      const ShimFiles* files = world_.target.files(started);
      if (files == nullptr || !files->started) {
        inputs_.push_back(answer(started, "expired"));
      } else {
        awaited_.push_back(started);
      }
    }
  }
}

bool SimulatedOwner::read_back() {
  RecordBatch batch;
  const Result<void> polled = journal_->poll(batch, {.records_max = 1 + world_.dice.below(3)});
  if (!polled) {
    end();
    return true;
  }
  for (const RecordView& read : batch.records) {
    Acceptance acceptance = Acceptance::accepted;
    if (window_->read(read, acceptance)) {
      end();
      return true;
    }
  }
  bool moved = !batch.records.empty();
  while (window_) {
    std::optional<PendingRecord> done = window_->pop_committed();
    if (!done) break;
    log_time_ms_ = done->append_ms;
    on_committed(*done);
    moved = true;
  }
  return moved;
}

void SimulatedOwner::relay(const JournalRecord& record) {
  for (std::size_t k = 0; k < record.events.size(); ++k) {
    std::optional<ShardMessage> out = shard_message(record, k, world_.partitions);
    if (!out) continue;
    ControlMessage& message = out->message;
    message.key_id = "journal";
    message.signature = *sign(world_.secret_key, message.signed_text());
    world_.log.append(world_.topics.control_of(out->target_shard),
                      NewRecord{.value = encode_control(message)}, [](Result<Offset>) {});
  }
}

void SimulatedOwner::on_committed(const PendingRecord& committed) {
  // The next incarnation begins with what this record says.
  const JournalKind kind = committed.record.kind;
  if (kind == JournalKind::failed || kind == JournalKind::skip) return end();
  if (kind == JournalKind::snapshot) point_to_snapshot(committed);
  if (kind == JournalKind::config) {
    settings_ = std::make_shared<const Settings>(*settings_from_text(committed.record.content));
    settings_changed_ = true;
  }
  relay(committed.record);
  for (const Event& event : committed.record.events) {
    if (const auto* intent = std::get_if<RunIntent>(&event.body)) {
      intents_[intent->action_id] = *intent;
    } else if (const auto* started = std::get_if<RunStarted>(&event.body)) {
      const auto intent = intents_.find(started->action_id);
      // The wait steps of the simulated playbooks are timers of the runner itself.
      if (intent == intents_.end() || started->step_name != "act") continue;
      to_start_.emplace_back(intent->second.service, *started);
    }
  }
}

bool SimulatedOwner::act() {
  if (to_start_.empty() || world_.dice.chance(0.5)) return false;
  const auto [service, started] = to_start_.front();
  to_start_.pop_front();
  const bool heals = !world_.dice.chance(world_.effect_fails);
  const bool dies = world_.dice.chance(world_.shim_dies);
  const TimeMs done_ms = world_.now_ms + static_cast<TimeMs>(world_.dice.below(3000));
  const std::string refused =
      world_.target.start(service, shard_, started, world_.now_ms, done_ms, heals, dies);
  if (refused.empty()) {
    awaited_.push_back(started);
  } else {
    inputs_.push_back(answer(started, refused));
  }
  return true;
}

bool SimulatedOwner::take_effect_ends() {
  for (std::size_t i = 0; i < awaited_.size(); ++i) {
    const RunStarted started = awaited_[i];
    const ShimFiles* files = world_.target.files(started);
    if (files == nullptr || files->done_ms > world_.now_ms) continue;
    awaited_.erase(awaited_.begin() + static_cast<std::ptrdiff_t>(i));
    inputs_.push_back(answer(started, files->died ? "in_doubt" : files->status));
    return true;
  }
  return false;
}

void SimulatedOwner::reload() {
  PendingRecord pending;
  pending.record = window_->next_record(JournalKind::config);
  pending.record.generation = window_->speculative().generation + 1;
  pending.record.content = world_.settings;
  reloads_taken_ = world_.reloads;
  append(std::move(pending));
}

bool SimulatedOwner::cut() {
  constexpr std::size_t credits = 4;
  if (window_->in_flight() >= credits) return false;
  const CutLimits usual{.records_max = 1 + world_.dice.below(6),
                        .controls_max = 1 + world_.dice.below(3)};
  const CutLimits limits = CutPlanner::limits_for(window_->speculative(), usual);
  CutSupply supply;
  Result<void> polled = control_->poll(supply.control, {limits.controls_max, limits.bytes_max});
  if (polled && signals_)
    polled = signals_->poll(supply.signals, {limits.records_max, limits.bytes_max});
  if (!polled) {
    end();
    return true;
  }
  supply.signals.next_offset = signals_ ? signals_->position() : 0;
  supply.control.next_offset = control_->position();
  supply.signals_at_end = !signals_ || signals_->at_end();
  supply.control_at_end = control_->at_end();
  supply.now_ms = CutPlanner::tick_held_to(clock_ms(), world_.now_ms);
  const bool has_records = !supply.signals.records.empty() || !supply.control.records.empty();
  const bool work = has_records || !inputs_.empty() || follow_up_ || settings_changed_ ||
                    next_due_ms_ <= supply.now_ms;
  if (!work) {
    const bool is_new = saved_next_ != window_->committed().journal_next;
    if (window_->idle() && world_.dice.chance(0.5) && is_new) save();
    return false;
  }
  if (CutPlanner::is_poisoned(window_->speculative())) return has_records && skip(supply);
  return decide(std::move(supply));
}

bool SimulatedOwner::decide(CutSupply supply) {
  while (!inputs_.empty() && supply.inputs.size() < 3) {
    supply.inputs.push_back(std::move(inputs_.front()));
    inputs_.pop_front();
  }
  Token token = planner_->plan(window_->speculative(), std::move(supply));
  token.settings = settings_;
  token.settings_changed = settings_changed_;
  settings_changed_ = false;
  try {
    fold_->decide(token);
  } catch (const CheckFailure&) {
    failed_ = token.cut;
    stopped_ = true;
    return true;
  }
  next_due_ms_ = token.next_due_ms;
  follow_up_ = !token.events.empty();
  if (is_empty(token)) return false;
  PendingRecord pending;
  pending.record = batch_of(window_->speculative(), token);
  append(std::move(pending));
  return true;
}

bool SimulatedOwner::skip(const CutSupply& supply) {
  PoisonSkip left_out = CutPlanner::skip_of(window_->speculative(), supply);
  PendingRecord pending;
  pending.record = window_->next_record(JournalKind::skip);
  pending.record.cut = std::move(left_out.cut);
  pending.record.topic_kind = std::move(left_out.topic_kind);
  pending.record.reason = "it has killed its shard twice";
  stopped_ = true;
  append(std::move(pending));
  return true;
}

// A cut that could not be decided is journaled once everything before it is committed.
bool SimulatedOwner::record_failure() {
  if (!failed_ || !window_->idle()) return false;
  PendingRecord pending;
  pending.record = window_->next_record(JournalKind::failed);
  pending.record.cut = std::move(*failed_);
  pending.record.cut.inputs.clear();
  pending.record.stage = "poison";
  pending.record.reason = "a poisonous record";
  failed_.reset();
  append(std::move(pending));
  return true;
}

void SimulatedOwner::append(PendingRecord pending) {
  const std::int64_t seq = pending.record.seq;
  const Result<std::string> value = window_->add(pending);
  const int incarnation = incarnation_;
  world_.log.append(world_.topics.journal_of(shard_), NewRecord{.value = *value},
                    [this, seq, incarnation](Result<Offset> stored) {
                      if (incarnation != incarnation_ || !window_) return;
                      // Not known to be stored: begin again, whatever became of it.
                      if (stored && !window_->delivered(seq, *stored)) return;
                      trouble_.clear();
                      end();
                    });
}

bool SimulatedOwner::idle() const {
  if (!window_ || !window_->idle() || stopped_) return false;
  if (wants_settings() || settings_changed_) return false;
  return inputs_.empty() && to_start_.empty() && awaited_.empty() && !follow_up_ && !written_;
}

}  // namespace selfheal::simulation
