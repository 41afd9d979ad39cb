#include "cli/topic_audit.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>

#include "actors/shard_restore.hpp"
#include "cli/side_by_side.hpp"
#include "decision/shard/fold_version.hpp"
#include "storage/snapshot.hpp"

namespace selfheal {
namespace {

// Ignored records that an honest cluster produces: replaced owners, retries, lost races.
bool is_honest(Acceptance acceptance, const JournalRecord& record, const Chain& chain) {
  if (acceptance == Acceptance::stale_epoch) return true;
  if (acceptance == Acceptance::wrong_seq) return record.seq <= chain.seq;
  return false;
}

// The records of a cut's range; nullopt where some have expired.
Result<std::optional<RecordBatch>> kept_records(RangeReader& reader, const OffsetRange& kept,
                                                const OffsetRange& range) {
  RecordBatch batch;
  if (range.begin >= range.end) return std::optional(std::move(batch));
  if (kept.begin > range.begin || kept.end < range.end) return std::optional<RecordBatch>();
  const Result<void> read =
      reader.read(range, [&](const RecordBatch& part, const LogReader&) -> Result<void> {
        batch.records.insert(batch.records.end(), part.records.begin(), part.records.end());
        batch.owners.insert(batch.owners.end(), part.owners.begin(), part.owners.end());
        return {};
      });
  if (!read) return read.error();
  return std::optional(std::move(batch));
}

bool is_claim_of_this_fold(const Chain& chain) {
  return chain.fold_version == fold_version;
}

// "<step>[.rollback].<attempt>", the name of a start's folder.
struct StartName {
  std::int64_t step = -1;
  bool rollback = false;
  std::int64_t attempt = -1;
};

std::optional<StartName> start_name(const std::string& text) {
  StartName name;
  const char* end = text.data() + text.size();
  auto [at, bad] = std::from_chars(text.data(), end, name.step);
  if (bad != std::errc()) return std::nullopt;
  std::string_view rest(at, static_cast<std::size_t>(end - at));
  constexpr std::string_view undo = ".rollback";
  name.rollback = rest.starts_with(undo);
  if (name.rollback) rest.remove_prefix(undo.size());
  if (!rest.starts_with('.')) return std::nullopt;
  rest.remove_prefix(1);
  const auto [last, worse] = std::from_chars(rest.data(), rest.data() + rest.size(), name.attempt);
  if (worse != std::errc() || last != rest.data() + rest.size()) return std::nullopt;
  return name;
}

}  // namespace

TopicAudit::TopicAudit(const JournalSource& source, TopicAuditOptions options)
    : source_(source),
      options_(std::move(options)),
      inputs_(source.topics.partitions),
      relays_(source.topics_prefix),
      locks_(source.topics.partitions) {}

void TopicAudit::Found::add(const Found& part) {
  report.merge(part.report);
  counts.claims += part.counts.claims;
  counts.batches += part.counts.batches;
  counts.inputs += part.counts.inputs;
  counts.skipped += part.counts.skipped;
  counts.failed += part.counts.failed;
  counts.decisions += part.counts.decisions;
  counts.in_doubt += part.counts.in_doubt;
  for (const auto& [reason, count] : part.ignored) ignored[reason] += count;
  if (first_bad.empty()) first_bad = part.first_bad;
  open_incidents += part.open_incidents;
}

std::optional<std::string> TopicAudit::control_at(std::int64_t shard, Offset offset) {
  const TopicPartition where = source_.topics.control_of(shard);
  const Result<OffsetRange> range = source_.log->range(where);
  if (!range || offset < range->begin || offset >= range->end) return std::nullopt;
  std::optional<std::string> text;
  static_cast<void>(read_range(*source_.log, where, {offset, offset + 1},
                               [&](const RecordBatch& batch, const LogReader&) -> Result<void> {
                                 for (const RecordView& each : batch.records) {
                                   if (each.offset == offset) text = std::string(each.value);
                                 }
                                 return {};
                               }));
  return text;
}

// A running cluster goes on meanwhile. What other topics tell by now is in the journals a moment
// later, so their ends come first; and the journals' ends come together, or of two chains that tell
// of each other the one that is read last would tell of more.
Result<void> TopicAudit::find_ends() {
  if (options_.deep) {
    for (const std::string& topic : {source_.topics.deadletter, source_.topics.decisions}) {
      const Result<std::int32_t> partitions = source_.log->partitions(topic);
      if (!partitions) return partitions.error();
      for (std::int32_t partition = 0; partition < *partitions; ++partition) {
        const Result<OffsetRange> range = source_.log->range({topic, partition});
        if (!range) return range.error();
        output_ends_[{topic, partition}] = range->end;
      }
    }
  }
  Result<std::vector<OffsetRange>> journals = journal_ranges(source_);
  if (!journals) return journals.error();
  journals_ = std::move(*journals);
  return {};
}

Result<void> TopicAudit::run() {
  Result<void> done = find_ends();
  if (!done) return done;
  std::int64_t records = 0;
  for (const OffsetRange& each : journals_) records += each.end - each.begin;
  Progress progress("audit", records);
  std::vector<Found> parts(journals_.size());
  done = side_by_side(parts.size(), [&](std::size_t i) -> Result<void> {
    Result<void> one = audit_shard(static_cast<std::int64_t>(i), progress, parts[i]);
    if (!one) return one.error().within("shard " + std::to_string(i));
    return {};
  });
  if (!done) return done;
  for (const Found& part : parts) found_.add(part);
  if (!options_.deep) return {};
  locks_.compare_chains(options_.everything_ended);
  found_.report.count(9, locks_.grants() + locks_.starts());
  found_.report.add(locks_.violations());
  done = read_letters();
  if (done) inputs_.compare(options_.everything_ended, lives_, found_.report);
  if (done) done = read_decisions();
  if (done) done = read_effects();
  if (done) done = read_action_files();
  return done;
}

Result<void> TopicAudit::find_snapshots(Shard& shard, Offset end) {
  const Result<std::int32_t> topic = source_.log->partitions(source_.topics.snapshots);
  if (!topic) return {};  // this bus has none
  JournalWalk walk(*source_.log, source_.topics, shard.number, fresh_decoder(),
                   {.fold = false, .signatures = Signatures::verified_before});
  return walk.read_to(end, [&](const WalkedRecord& walked) -> Result<void> {
    const bool names =
        walked.acceptance == Acceptance::accepted && walked.record->kind == JournalKind::snapshot;
    if (names) shard.snapshots[walked.record->snapshot.seq].push_back(walked.record->snapshot);
    return {};
  });
}

Result<void> TopicAudit::prepare(Shard& shard, Offset journal_end) {
  const TopicPartition signals{source_.topics.signals, static_cast<std::int32_t>(shard.number)};
  if (!source_.topics.is_fleet(shard.number)) {
    const Result<OffsetRange> kept = source_.log->range(signals);
    if (!kept) return kept.error();
    shard.signals_kept = *kept;
  }
  const Result<OffsetRange> kept = source_.log->range(source_.topics.control_of(shard.number));
  if (!kept) return kept.error();
  shard.control_kept = *kept;
  if (options_.store != nullptr) {
    Result<SavedShard> saved = options_.store->load(shard.number);
    if (!saved) return saved.error();
    shard.saved = std::move(*saved);
  }
  return find_snapshots(shard, journal_end);
}

Result<void> TopicAudit::audit_shard(std::int64_t number, Progress& progress, Found& found) {
  const Offset end = journals_[static_cast<std::size_t>(number)].end;
  const TopicPartition signals{source_.topics.signals, static_cast<std::int32_t>(number)};
  Shard shard{
      .number = number,
      .found = found,
      .chain = ChainAudit(number),
      .runs = {},
      .approvals = ApprovalAudit(
          number, [this](std::int64_t of, Offset offset) { return control_at(of, offset); }),
      .signals = RangeReader(*source_.log, signals),
      .control = RangeReader(*source_.log, source_.topics.control_of(number)),
      .signals_kept = {},
      .control_kept = {},
      .snapshots = {},
      .saved = {},
      .pages = {}};
  if (options_.deep) {
    Result<void> prepared = prepare(shard, end);
    if (!prepared) return prepared;
  }
  JournalWalk walk(*source_.log, source_.topics, number, fresh_decoder(), {.fold = options_.deep});
  Result<void> read = walk.read_to(end, [&](const WalkedRecord& walked) {
    progress.add(1);
    return take(shard, walk, walked);
  });
  if (!read) return read;
  shard.runs.finish(options_.everything_ended);
  found.open_incidents = shard.runs.open_incidents();
  found.counts = shard.runs.counts();
  if (options_.deep) found.report.add(shard.runs.violations());
  if (shard.saved.found && shard.saved.chain.seq > shard.chain.seq()) {
    found.report.violate(6, "state of shard " + std::to_string(number),
                         "it is ahead of the journal: at " + std::to_string(shard.saved.chain.seq) +
                             ", the journal at " + std::to_string(shard.chain.seq()));
  }
  return {};
}

void TopicAudit::note_bad(const Shard& shard, const WalkedRecord& walked, const std::string& why) {
  if (!shard.found.first_bad.empty()) return;
  shard.found.first_bad = "shard " + std::to_string(shard.number) + " offset " +
                          std::to_string(walked.read->offset) + ": " + why;
}

Result<void> TopicAudit::take(Shard& shard, JournalWalk& walk, const WalkedRecord& walked) {
  const bool accepted = walked.acceptance == Acceptance::accepted;
  AuditReport& report = shard.found.report;
  shard.chain.take(*walked.read, accepted, report);
  if (!accepted) {
    ++shard.found.ignored[to_string(walked.acceptance)];
    const bool honest =
        walked.record != nullptr && is_honest(walked.acceptance, *walked.record, *walked.chain);
    if (!honest) note_bad(shard, walked, to_string(walked.acceptance));
    return {};
  }
  const JournalRecord& record = *walked.record;
  if (!options_.public_key.empty() && walked.chain->public_key != options_.public_key) {
    note_bad(shard, walked, "signed with another key than the given one");
  }
  shard.runs.take(record, walked.difference);
  if (!options_.deep) return {};
  if (walked.decided != nullptr) report.count(5, static_cast<std::int64_t>(record.events.size()));
  if (walked.other_fold) {
    report.leave_out(5, "decisions of fold version " + std::to_string(walked.chain->fold_version) +
                            " (this build's is " + std::to_string(fold_version) + ")");
  }
  if (walked.inputs_lost) report.leave_out(5, "cuts whose inputs have expired");
  if (record.kind == JournalKind::batch) report.count(7);
  for (const Event& event : record.events) {
    if (std::holds_alternative<RunStarted>(event.body)) report.count(3);
    if (std::holds_alternative<IncidentOpened>(event.body)) report.count(10);
  }
  {
    const std::lock_guard lock(across_mutex_);
    lives_.take(record);
    locks_.take(record);
    relays_.take(record, !walked.other_fold);
    effects_.take(record);
  }
  if (!source_.topics.is_fleet(shard.number)) shard.approvals.take(record, report);
  Result<void> inputs = take_inputs(shard, record);
  if (!inputs) return inputs;
  return compare_state(shard, walk, walked);
}

Result<void> TopicAudit::take_inputs(Shard& shard, const JournalRecord& record) {
  const Cut& cut = record.cut;
  auto first =
      kept_records(shard.signals, shard.signals_kept, {cut.signals_begin, cut.signals_end});
  if (!first) return first.error();
  auto second =
      kept_records(shard.control, shard.control_kept, {cut.control_begin, cut.control_end});
  if (!second) return second.error();
  std::optional<std::vector<RecordView>> records;
  if (*first && *second) {
    records = (*first)->records;
    records->insert(records->end(), (*second)->records.begin(), (*second)->records.end());
  }
  const std::lock_guard lock(across_mutex_);
  inputs_.take(record, records, shard.found.report);
  return {};
}

// Invariant 4: what was saved, on this disk or on the bus, is what follows from the journal.
Result<void> TopicAudit::compare_state(Shard& shard, JournalWalk& walk,
                                       const WalkedRecord& walked) {
  const std::int64_t seq = walked.chain->seq;
  const bool cuts = walked.record->kind != JournalKind::claim;
  const auto snapshots = cuts ? shard.snapshots.find(seq) : shard.snapshots.end();
  // A claim takes no seq, and moves the head: a quiet shard is saved behind one.
  const bool saved = shard.saved.found && shard.saved.chain.seq == seq &&
                     shard.saved.chain.epoch == walked.chain->epoch;
  if (snapshots == shard.snapshots.end() && !saved) return {};
  const std::string place = std::to_string(shard.number) + "/" + std::to_string(seq);
  if (saved && shard.saved.chain.head != shard.chain.head()) {
    shard.found.report.violate(6, place, "the saved state rests on another history");
  }
  if (walk.has_lost_inputs() || !is_claim_of_this_fold(walk.chain())) {
    shard.found.report.leave_out(4,
                                 "states whose inputs have expired or that another build decided");
    return {};
  }
  PageMap changed;
  walk.fold().save(changed);
  for (const std::string& key : changed.erased) shard.pages.erase(key);
  for (const auto& [key, value] : changed.pages) shard.pages[key] = value;
  if (saved) compare_pages(shard, "saved state " + place, shard.saved);
  if (snapshots == shard.snapshots.end()) return {};
  for (const SnapshotManifest& manifest : snapshots->second) {
    const Result<SavedShard> snapshot =
        read_snapshot(*source_.log, source_.topics, shard.number, manifest);
    if (snapshot) {
      compare_pages(shard, "snapshot " + manifest.id + " of " + place, *snapshot);
    } else if (snapshot.error().context.find("has expired") != std::string::npos) {
      shard.found.report.leave_out(4, "snapshots that have expired");
    } else {
      shard.found.report.violate(4, place, snapshot.error().context);
    }
  }
  return {};
}

void TopicAudit::compare_pages(const Shard& shard, const std::string& place,
                               const SavedShard& other) {
  shard.found.report.count(4, static_cast<std::int64_t>(other.pages.size()));
  const std::map<std::string, std::string> pages(other.pages.begin(), other.pages.end());
  if (pages == shard.pages) return;
  for (const auto& [key, value] : shard.pages) {
    const auto found = pages.find(key);
    if (found != pages.end() && found->second == value) continue;
    return shard.found.report.violate(4, place, key + " is not what follows from the journal");
  }
  shard.found.report.violate(4, place, "it has rows that do not follow from the journal");
}

// Shows every record that a topic still has, up to its end; false where some have expired.
Result<bool> TopicAudit::read_topic(const std::string& topic, const TakeRecord& take) {
  const Result<std::int32_t> partitions = source_.log->partitions(topic);
  if (!partitions) return partitions.error();
  bool whole = true;
  for (std::int32_t partition = 0; partition < *partitions; ++partition) {
    const TopicPartition where{topic, partition};
    const Result<OffsetRange> kept = source_.log->range(where);
    if (!kept) return kept.error();
    whole = whole && kept->begin == 0;
    const OffsetRange range{kept->begin, std::max(kept->begin, output_ends_[where])};
    const Result<void> read =
        read_range(*source_.log, where, range,
                   [&](const RecordBatch& batch, const LogReader& reader) -> Result<void> {
                     for (const RecordView& each : batch.records) take(each, partition, reader);
                     return {};
                   });
    if (!read) return read.error();
  }
  return whole;
}

Result<void> TopicAudit::read_letters() {
  const Result<bool> whole =
      read_topic(source_.topics.deadletter,
                 [&](const RecordView& read, std::int32_t, const LogReader& reader) {
                   inputs_.take_letter(reader.headers(read.offset), found_.report);
                 });
  if (!whole) return whole.error();
  inputs_.set_letters_whole(*whole);
  return {};
}

Result<void> TopicAudit::read_decisions() {
  const Result<bool> whole =
      read_topic(source_.topics.decisions,
                 [&](const RecordView& read, std::int32_t partition, const LogReader&) {
                   relays_.take_decision(read, partition, found_.report);
                 });
  if (!whole) return whole.error();
  relays_.compare(*whole, options_.everything_ended, lives_, found_.report);
  return {};
}

Result<void> TopicAudit::read_effects() {
  if (options_.effects_file.empty()) {
    found_.report.leave_out(3, "what targets saw (give --effects)");
    return {};
  }
  std::ifstream stream(options_.effects_file);
  if (!stream) return Error{ErrorCode::not_found, "cannot read " + options_.effects_file};
  std::string line;
  for (std::int64_t number = 1; std::getline(stream, line); ++number) {
    const std::string place = options_.effects_file + ":" + std::to_string(number);
    const Result<LoggedEffect> effect = from_json_text<LoggedEffect>(line);
    if (!effect || effect->action_id.empty()) {
      return Error{ErrorCode::invalid,
                   place + ": wanted is {\"action_id\":\"…\",\"attempt\":1}, an object a line"};
    }
    effects_.take_effect(*effect, place, found_.report);
  }
  return {};
}

Result<void> TopicAudit::read_action_files() {
  if (options_.actions_folder.empty()) {
    for (const int invariant : {4, 6}) {
      found_.report.leave_out(
          invariant, "state and action files of a machine (give --data-dir of a stopped one)");
    }
    return {};
  }
  namespace fs = std::filesystem;
  std::error_code failure;
  for (fs::recursive_directory_iterator at(options_.actions_folder, failure), end;
       !failure && at != end; at.increment(failure)) {
    const fs::path& path = at->path();
    if (path.filename() != "started" || at.depth() != 2) continue;
    const fs::path folder = path.parent_path();
    const std::optional<StartName> name = start_name(folder.filename());
    if (!name) continue;
    effects_.take_begun(folder.parent_path().filename(), name->step, name->rollback, name->attempt,
                        folder, found_.report);
  }
  if (failure) {
    found_.report.leave_out(4, "action files: " + options_.actions_folder + " cannot be read (" +
                                   failure.message() + ")");
  }
  return {};
}

}  // namespace selfheal
