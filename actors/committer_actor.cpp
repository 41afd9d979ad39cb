#include "actors/committer_actor.hpp"

#include <spdlog/spdlog.h>

#include "actors/clocks.hpp"
#include "base/check.hpp"
#include "storage/snapshot.hpp"

namespace selfheal {
namespace {

using Self = committer_actor::stateful_pointer<CommitterState>;

// Between two signs of life that readers get of a shard that has nothing to say.
constexpr std::int64_t quiet_interval_us = 50'000;

void end_shard(Self self, const std::string& kind, const std::string& stage,
               const std::string& reason, bool recorded = false) {
  if (self->state.ended) return;
  self->state.ended = true;
  self->send(self->state.supervisor,
             ShardFault{self->state.window->committed().shard, kind, stage, reason, recorded});
}

void record_failure(Self self);

// A cut that says more than a record holds is decided again in smaller ones, down to the one input
// that is to blame.
void too_large(Self self, const JournalRecord& record, const std::string& reason) {
  if (record.kind != JournalKind::batch) return end_shard(self, "bug", "committer", reason);
  auto failed = std::make_shared<FailedCut>();
  failed->cut = record.cut;
  failed->stage = "committer";
  failed->reason = reason;
  self->state.failed = failed;
  record_failure(self);
}

// Signs and appends a record that extends the speculative chain. Its bytes; none where it does not
// fit.
std::optional<std::size_t> append(Self self, PendingRecord pending) {
  CommitterState& state = self->state;
  const Environment& environment = *state.environment;
  const std::int64_t seq = pending.record.seq;
  pending.produced_us = steady_us();
  Result<std::string> value = state.window->add(pending);
  if (!value) {
    too_large(self, pending.record, value.error().context);
    return std::nullopt;
  }
  const std::size_t bytes = value->size();
  const auto me = caf::actor_cast<committer_actor>(self);
  environment.log->append(
      environment.topics.journal_of(state.window->committed().shard),
      NewRecord{.value = std::move(*value)}, [me, seq](Result<Offset> stored) {
        caf::anon_send(
            me, Delivery{seq, stored.has_value(), stored ? std::string() : stored.error().context,
                         stored ? *stored : -1});
      });
  environment.failpoint("after_append");
  return bytes;
}

void take_token(Self self, const TokenPtr& token) {
  CommitterState& state = self->state;
  if (state.ended) return;
  if (token->series != state.series) {
    state.series = token->series;
    state.environment->metrics->set_series(token->facts.shard, state.series);
  }
  CutDone done{token->facts.seq, is_empty(*token), token->next_due_ms, !token->events.empty(), 0};
  if (!done.dropped) {
    PendingRecord pending;
    pending.record = batch_of(state.window->speculative(), *token);
    pending.settings = token->settings;
    pending.signals_by_type.assign(signal_type_count, 0);
    for (const Signal& signal : token->signals->signals) {
      ++pending.signals_by_type[static_cast<std::size_t>(signal.type)];
      if (pending.oldest_signal_ms == 0) pending.oldest_signal_ms = signal.received_ms;
    }
    state.settings = token->settings;
    const std::optional<std::size_t> bytes = append(self, std::move(pending));
    if (!bytes) return;  // the shard begins again with less
    done.record_bytes = static_cast<std::int64_t>(*bytes);
  }
  self->send(state.cutter, done);
}

void show(Self self, const CommittedPtr& committed) {
  self->state.unshown.reset();
  self->state.shown_us = steady_us();
  self->send(self->state.read_model, committed);
}

void publish(Self self, PendingRecord& pending) {
  CommitterState& state = self->state;
  const Environment& environment = *state.environment;
  auto committed = std::make_shared<CommittedRecord>();
  committed->record = std::move(pending.record);
  committed->settings = pending.settings ? pending.settings : state.settings;
  committed->oldest_signal_ms = pending.oldest_signal_ms;
  committed->append_ms = pending.append_ms;
  committed->produced_us = pending.produced_us;
  committed->signals_by_type = std::move(pending.signals_by_type);
  const TimeMs now_ms = environment.now_ms();
  environment.metrics->observe_commit(static_cast<double>(steady_us() - pending.produced_us) / 1e6);
  environment.metrics->count_signals(committed->signals_by_type);
  if (committed->oldest_signal_ms > 0) {
    environment.metrics->observe_decide(
        static_cast<double>(std::max<TimeMs>(0, now_ms - committed->oldest_signal_ms)) / 1000.0);
  }
  if (committed->record.kind == JournalKind::skip) {
    environment.metrics->count_dead_letter("skipped: " + committed->record.reason);
  }
  for (const Event& event : committed->record.events) {
    environment.metrics->count_event(event, now_ms);
  }
  const CommittedPtr shared = std::move(committed);
  // What is no batch (settings, a skip) matters although it has no events.
  if (!shared->record.events.empty() || shared->record.kind != JournalKind::batch) {
    // Effects first: what is committed may happen, whether or not anybody can be told.
    self->send(state.effects, shared);
    self->send(state.relay, shared);
    return show(self, shared);
  }
  // Nothing was said: readers only learn how far the shard is, which need not wake a thread for
  // every cut. Whatever is held back here goes with the next save at the latest.
  state.unshown = shared;
  if (steady_us() - state.shown_us >= quiet_interval_us) show(self, shared);
}

// Whoever restores on an empty disk finds the snapshot by this. Where it is lost, an older one is
// found, and more of the journal is read.
void point_to_snapshot(Self self, const PendingRecord& pending) {
  const Environment& environment = *self->state.environment;
  const std::int64_t shard = pending.record.shard;
  self->state.board->set_snapshot(shard, pending.record.snapshot.seq, pending.append_ms);
  Result<NewRecord> pointer =
      encode_pointer({shard, pending.offset, pending.append_ms, pending.record.snapshot},
                     environment.journal_secret_key);
  CHECK(pointer, "the journal key cannot sign");
  environment.log->append(
      {environment.topics.snapshot_pointers, environment.topics.partition_of(shard)},
      std::move(*pointer), [shard](const Result<Offset>& stored) {
        if (!stored) {
          spdlog::warn("shard {}: no pointer to its snapshot: {}", shard, stored.error().context);
        }
      });
}

void finish(Self self, PendingRecord& pending) {
  CommitterState& state = self->state;
  const JournalKind kind = pending.record.kind;
  const std::int64_t seq = pending.record.seq;
  const std::int64_t generation = pending.record.generation;
  const std::string content = pending.record.content;
  const std::string stage = pending.record.stage;
  const std::string reason = pending.record.reason;
  const TimeMs append_ms = pending.append_ms;
  if (kind == JournalKind::snapshot) point_to_snapshot(self, pending);
  publish(self, pending);
  switch (kind) {
    case JournalKind::batch:
      self->send(state.cutter, CreditBack{seq, append_ms});
      break;
    case JournalKind::config:
      self->send(state.cutter, SettingsInForce{seq, generation, content});
      break;
    case JournalKind::failed:
      end_shard(self, "bug", stage, reason, true);
      break;
    case JournalKind::skip:
      end_shard(self, "skipped", "", reason, true);
      break;
    case JournalKind::snapshot:
      self->send(state.cutter, SnapshotRecorded{seq});
      break;
    case JournalKind::claim:
      break;
  }
}

void record_failure(Self self) {
  CommitterState& state = self->state;
  if (!state.failed || !state.window->idle() || state.ended) return;
  PendingRecord pending;
  pending.record = state.window->next_record(JournalKind::failed);
  pending.record.cut = state.failed->cut;
  // The inputs are on their topics; embedded ones are asked for again by the next incarnation.
  pending.record.cut.inputs.clear();
  pending.record.stage = state.failed->stage;
  pending.record.reason = state.failed->reason.substr(0, 1000);
  state.failed.reset();
  append(self, std::move(pending));
}

void commit_front(Self self) {
  CommitterState& state = self->state;
  while (!state.ended) {
    std::optional<PendingRecord> done = state.window->pop_committed();
    if (!done) break;
    finish(self, *done);
  }
  record_failure(self);
}

void take_read_back(Self self, const RecordBatch& batch) {
  CommitterState& state = self->state;
  for (const RecordView& read : batch.records) {
    if (state.ended) return;
    Acceptance acceptance = Acceptance::accepted;
    const std::optional<OwnerEnded> ended = state.window->read(read, acceptance);
    if (acceptance != Acceptance::accepted) {
      state.environment->metrics->count_ignored(to_string(acceptance));
    }
    if (ended) return end_shard(self, ended->kind, "", ended->reason);
  }
  commit_front(self);
}

void take_delivery(Self self, const Delivery& delivery) {
  CommitterState& state = self->state;
  if (!delivery.stored) {
    return end_shard(self, "unknown_delivery", "", delivery.error);
  }
  const std::optional<OwnerEnded> ended = state.window->delivered(delivery.seq, delivery.offset);
  if (ended) return end_shard(self, ended->kind, "", ended->reason);
  commit_front(self);
}

void take_save(Self self, const SavePtr& save) {
  CommitterState& state = self->state;
  if (state.ended) return;
  CHECK(state.window->idle(), "state was collected while something was in flight");
  if (state.unshown) show(self, CommittedPtr(state.unshown));
  save->changes.chain = state.window->committed();
  save->changes.last_offset = state.window->last_offset();
  save->changes.last_record_hash = state.window->last_record_hash();
  self->send(state.store, save);
  self->send(state.cutter, SaveCollected{state.window->committed().seq});
}

void take_settings(Self self, const NewSettings& wanted) {
  CommitterState& state = self->state;
  PendingRecord pending;
  pending.record = state.window->next_record(JournalKind::config);
  pending.record.generation = state.window->speculative().generation + 1;
  pending.record.content = wanted.content;
  append(self, std::move(pending));
}

void take_snapshot(Self self, const SnapshotWritten& written) {
  CommitterState& state = self->state;
  PendingRecord pending;
  pending.record = state.window->next_record(JournalKind::snapshot);
  pending.record.version = journal_version;
  pending.record.snapshot = written.manifest;
  append(self, std::move(pending));
}

void take_skip(Self self, const SkipOrder& skip) {
  CommitterState& state = self->state;
  PendingRecord pending;
  pending.record = state.window->next_record(JournalKind::skip);
  pending.record.cut = skip.cut;
  pending.record.topic_kind = skip.topic_kind;
  pending.record.reason = skip.reason;
  append(self, std::move(pending));
}

void wire(CommitterState& state, CommitterWiring& wiring) {
  state.window = std::make_unique<CommitWindow>(std::move(wiring.chain),
                                                state.environment->journal_secret_key);
  state.window->set_last_record(wiring.last_offset, std::move(wiring.last_record_hash));
  state.settings = std::move(wiring.settings);
  state.cutter = std::move(wiring.cutter);
  state.supervisor = std::move(wiring.supervisor);
  state.relay = std::move(wiring.relay);
  state.read_model = std::move(wiring.read_model);
  state.effects = std::move(wiring.effects);
  state.store = std::move(wiring.store);
  state.board = std::move(wiring.board);
}

}  // namespace

committer_actor::behavior_type committer(Self self, EnvironmentPtr environment,
                                         CommitterWiring wiring) {
  self->state.environment = std::move(environment);
  wire(self->state, wiring);
  return {
      [self](const TokenPtr& token) { take_token(self, token); },
      [self](const FailedCutPtr& failed) {
        self->state.failed = failed;
        record_failure(self);
      },
      [self](const SkipPtr& skip) { take_skip(self, *skip); },
      [self](const NewSettings& wanted) { take_settings(self, wanted); },
      [self](const SnapshotPtr& written) { take_snapshot(self, *written); },
      [self](const Delivery& delivery) { take_delivery(self, delivery); },
      [self](const JournalBatchPtr& batch) { take_read_back(self, *batch); },
      [self](const SavePtr& save) { take_save(self, save); },
      [self](const Stop&) { end_shard(self, "drained", "", "stopped"); },
  };
}

}  // namespace selfheal
