#include "actors/shard_claim.hpp"

#include <spdlog/spdlog.h>

#include <future>

#include "base/signature.hpp"
#include "decision/shard/commit_window.hpp"
#include "decision/shard/fold_version.hpp"
#include "storage/snapshot.hpp"

namespace selfheal {
namespace {

constexpr DurationMs claim_wait_ms = 15000;

// Appends a record outside the pipeline and reads the journal on until it is accepted or beaten.
Result<bool> append_and_read(const Environment& environment, JournalWalk& walk,
                             JournalRecord record, const JournalWalk::Visit& visit) {
  const std::string body = encode_body(record);
  const Result<std::string> signature = sign(environment.journal_secret_key, body);
  if (!signature) return signature.error();
  const TopicPartition where = environment.topics.journal_of(record.shard);
  auto answer = std::make_shared<std::promise<Result<Offset>>>();
  environment.log->append(where, NewRecord{.value = wrap_body(*signature, body)},
                          [answer](Result<Offset> stored) { answer->set_value(stored); });
  std::future<Result<Offset>> future = answer->get_future();
  if (future.wait_for(std::chrono::milliseconds(claim_wait_ms)) != std::future_status::ready) {
    return Error{ErrorCode::unavailable, "the journal did not answer an append"};
  }
  const Result<Offset> stored = future.get();
  if (!stored) return stored.error();
  bool mine = false;
  const Result<void> read =
      walk.read_to(*stored + 1, [&](const WalkedRecord& walked) -> Result<void> {
        const Result<SignedBody> parts = unwrap_body(walked.read->value);
        if (parts && parts->body == body) mine = walked.acceptance == Acceptance::accepted;
        return visit(walked);
      });
  if (!read) return read.error();
  return mine;
}

JournalRecord claim_for(const Environment& environment, const JournalWalk& walk,
                        std::int64_t shard) {
  const Chain& chain = walk.chain();
  JournalRecord claim;
  claim.forgets = walk.has_lost_inputs();
  claim.kind = JournalKind::claim;
  claim.shard = shard;
  claim.epoch = chain.epoch + 1;
  claim.seq = chain.seq + 1;
  claim.owner = environment.instance;
  claim.build = environment.build;
  claim.fold_version = fold_version;
  claim.partitions = environment.topics.partitions;
  claim.public_key = environment.journal_public_key;
  // Pinned by the first claim; drawn once, so that two clusters do not draw alike.
  const Result<std::string> seed = from_hex(random_hex(8));
  for (const char byte : *seed) {
    claim.shard_seed = claim.shard_seed << 8 | static_cast<unsigned char>(byte);
  }
  return claim;
}

// Appends the record that comes next in an epoch that this process has claimed.
Result<void> append_next(const Environment& environment, JournalWalk& walk, JournalRecord record,
                         const JournalWalk::Visit& visit) {
  const Result<bool> mine = append_and_read(environment, walk, std::move(record), visit);
  if (!mine) return mine.error();
  if (!*mine) return Error{ErrorCode::fenced, "another owner has taken over"};
  return {};
}

}  // namespace

Result<void> check_partitions(const Environment& environment, const Chain& chain) {
  if (chain.partitions == environment.topics.partitions) return {};
  return Error{ErrorCode::refused, "the journal was begun with " +
                                       std::to_string(chain.partitions) +
                                       " partitions and topics.partitions says " +
                                       std::to_string(environment.topics.partitions) +
                                       ": set it back, or begin with another topics.prefix"};
}

Result<void> claim_shard(const Environment& environment, JournalWalk& walk, std::int64_t shard,
                         const JournalWalk::Visit& visit) {
  if (!may_claim(walk.chain().settings, environment.journal_public_key)) {
    return Error{ErrorCode::refused,
                 "its journal trusts other journal keys than this process's (" +
                     environment.journal_public_key.substr(0, 16) +
                     "…): give it the keys_dir of the service that wrote the journal"};
  }
  // Whoever was first with the same epoch is the owner; to try again would only take it from there.
  const int tries_max = environment.alone ? 5 : 1;
  for (int attempt = 0; attempt < tries_max; ++attempt) {
    const Result<bool> mine =
        append_and_read(environment, walk, claim_for(environment, walk, shard), visit);
    if (!mine) return mine.error();
    if (!*mine) continue;  // somebody else was first; the chain has moved on
    return check_partitions(environment, walk.chain());
  }
  return Error{ErrorCode::fenced, "another owner claims this shard over and over"};
}

// Puts the settings that this process wants into the chain, where they differ and are newer: a
// process that takes over with an older file must not bring it back.
Result<void> agree_on_settings(const Environment& environment, JournalWalk& walk,
                               const WantedSettings& wanted, const JournalWalk::Visit& visit) {
  if (walk.chain().settings == wanted.content) return {};
  if (!environment.alone && wanted.since_ms < walk.chain().settings_ms) return {};
  if (!may_claim(wanted.content, environment.journal_public_key)) {
    return Error{ErrorCode::refused,
                 "the settings would lock this process out of its own journal: keys_dir names "
                 "journal keys, and not this process's own"};
  }
  JournalRecord record = next_record(walk.chain(), JournalKind::config);
  record.generation = walk.chain().generation + 1;
  record.content = wanted.content;
  return append_next(environment, walk, std::move(record), visit);
}

// A cut that this process was deciding when it crashed: halving begins with it, as with one that a
// living process could not decide.
Result<void> record_crash(const Environment& environment, JournalWalk& walk,
                          const JournalWalk::Visit& visit) {
  if (!environment.crash_marks) return {};
  const std::optional<CrashedCut> crashed = environment.crash_marks->take(walk.chain().shard);
  const Chain& chain = walk.chain();
  const bool is_next = crashed && crashed->cut.signals_begin == chain.signals_next &&
                       crashed->cut.control_begin == chain.control_next;
  if (!is_next) return {};  // somebody else got past it
  spdlog::warn("shard {}: this process crashed in {} with the next {} records", chain.shard,
               crashed->stage, crashed->cut.records());
  JournalRecord record = next_record(chain, JournalKind::failed);
  record.cut = crashed->cut;
  record.cut.tick_ms = chain.tick_ms;
  record.cut.caught_up_through_ms = chain.caught_up_through_ms;
  record.stage = crashed->stage;
  record.reason = "the process crashed";
  return append_next(environment, walk, std::move(record), visit);
}

// What this machine has saved, or where it has nothing, what the bus has.
Result<LoadedState> load_state(const Environment& environment, std::int64_t shard) {
  Result<SavedShard> saved = environment.store->load(shard);
  if (!saved) return saved.error();
  if (saved->found || !environment.snapshots) return LoadedState{std::move(*saved)};
  Result<SnapshotLoad> load = load_snapshot(*environment.log, environment.topics,
                                            *environment.store, shard, environment.shard_keys);
  if (!load) return load.error();
  for (const std::string& why : load->refused) {
    // The journal alone is slower, and enough.
    spdlog::warn("shard {}: {}; restoring from an older one or the journal", shard, why);
  }
  if (!load->saved.found) return LoadedState{std::move(*saved)};
  spdlog::info("shard {}: {} pages from the snapshot of record {}", shard, load->saved.pages.size(),
               load->saved.chain.seq);
  environment.metrics->count_restore("snapshot");
  return LoadedState{std::move(load->saved), true};
}

Result<void> read_history(const Environment& environment, const Chain& until,
                          const JournalWalk::Visit& visit) {
  const TopicPartition where = environment.topics.journal_of(until.shard);
  const Result<OffsetRange> range = environment.log->range(where);
  if (!range) return range.error();
  if (range->begin > 0) {
    spdlog::warn("shard {}: its journal's beginning has expired: older incidents are not listed",
                 until.shard);
    return {};
  }
  // The heads prove every record at once, which each signature would prove by itself. But a record
  // that somebody else has slipped in, which every reader ignores for its signature, would be taken
  // for one of the chain: nothing is shown before the heads agree.
  const auto walk_to_head = [&](Signatures signatures,
                                const JournalWalk::Visit& seen) -> Result<bool> {
    JournalWalk walk(*environment.log, environment.topics, until.shard, environment.make_decoder(),
                     {.fold = false, .signatures = signatures});
    const Result<void> read = walk.read_to(until.journal_next, seen);
    if (!read) return read.error();
    return walk.chain().head == until.head;
  };
  const auto unseen = [](const WalkedRecord&) { return Result<void>(); };
  Signatures signatures = Signatures::verified_before;
  Result<bool> agrees = walk_to_head(signatures, unseen);
  if (agrees && !*agrees) {
    signatures = Signatures::verify;
    agrees = walk_to_head(signatures, unseen);
  }
  if (!agrees) return agrees.error();
  if (*agrees) agrees = walk_to_head(signatures, visit);
  if (!agrees) return agrees.error();
  if (!*agrees) {
    return Error{ErrorCode::corrupt,
                 "the state is not of this journal: their histories differ; "
                 "move the folder state in data_dir away, and start without the snapshots' topic"};
  }
  return {};
}

}  // namespace selfheal
