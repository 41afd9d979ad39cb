#include "actors/shard_restore.hpp"

#include "decision/shard/fold_version.hpp"
#include "topics/event_codec.hpp"

namespace selfheal {
namespace {

// Every shard and every restart reads the same settings, many kilobytes of text: a thread keeps
// those that it read last.
Result<std::shared_ptr<const Settings>> settings_of(const std::string& text) {
  thread_local std::string last_text;
  thread_local std::shared_ptr<const Settings> last;
  if (last == nullptr || text != last_text) {
    Result<Settings> settings = settings_from_text(text);
    if (!settings) return settings.error();
    last = std::make_shared<const Settings>(std::move(*settings));
    last_text = text;
  }
  return last;
}

}  // namespace

std::string difference(const JournalRecord& recorded, const Token& decided,
                       std::uint64_t state_hash) {
  std::string was;
  std::string is;
  for (std::size_t k = 0; k < std::max(recorded.events.size(), decided.events.size()); ++k) {
    const std::string id = decided.id_of(k);
    if (k >= recorded.events.size()) {
      return id + ": decided " + event_text(decided.events[k]) + ", nothing is recorded";
    }
    if (k >= decided.events.size()) {
      return id + ": recorded " + event_text(recorded.events[k]) + ", nothing was decided";
    }
    was.clear();
    is.clear();
    append_event(was, recorded.events[k]);
    append_event(is, decided.events[k]);
    if (was != is) return id + ": recorded " + was + ", decided " + is;
  }
  if (state_hash != recorded.state_hash) {
    return decided.id_of(0) + ": the state learnt from the signals differs: recorded " +
           to_hex(recorded.state_hash) + ", decided " + to_hex(state_hash);
  }
  return {};
}

JournalWalk::JournalWalk(Log& log, const TopicNames& topics, std::int64_t shard,
                         DecodeSignals decode, JournalWalkOptions options)
    : log_(log),
      topics_(topics),
      planner_(std::move(decode)),
      options_(options),
      fold_(make_stages(topics.is_fleet(shard) ? ShardKind::fleet : ShardKind::services)) {
  chain_.shard = shard;
  fold_.configure(std::make_shared<const Settings>());
}

Result<void> JournalWalk::load(const SavedShard& saved) {
  chain_ = saved.chain;
  last_offset_ = saved.last_offset;
  last_record_hash_ = saved.last_record_hash;
  if (!chain_.settings.empty()) {
    Result<std::shared_ptr<const Settings>> settings = settings_of(chain_.settings);
    if (!settings) return settings.error();
    fold_.configure(std::move(*settings));
  }
  fold_.load(saved.pages);
  return {};
}

RangeReader& JournalWalk::reader_of(const TopicPartition& where) {
  return readers_.try_emplace(where, log_, where).first->second;
}

void JournalWalk::close_readers() {
  readers_.clear();
}

Result<CutSupply> JournalWalk::read_inputs(const Cut& cut) {
  CutSupply supply;
  const auto read = [&](const TopicPartition& where, OffsetRange range,
                        RecordBatch& into) -> Result<void> {
    into.next_offset = range.end;
    if (range.begin >= range.end) return {};
    // A chain begins at 0 although the topic may have lost its oldest records before that.
    if (range.begin == 0) {
      const Result<OffsetRange> kept = log_.range(where);
      if (!kept) return kept.error();
      range.begin = std::max(range.begin, kept->begin);
      if (range.begin >= range.end) return {};
    }
    return reader_of(where).read(
        range, [&](const RecordBatch& batch, const LogReader&) -> Result<void> {
          into.records.insert(into.records.end(), batch.records.begin(), batch.records.end());
          into.owners.insert(into.owners.end(), batch.owners.begin(), batch.owners.end());
          return {};
        });
  };
  const TopicPartition signals{topics_.signals, static_cast<std::int32_t>(chain_.shard)};
  Result<void> done = read(signals, {cut.signals_begin, cut.signals_end}, supply.signals);
  if (done) {
    done = read(topics_.control_of(chain_.shard), {cut.control_begin, cut.control_end},
                supply.control);
  }
  if (!done) return done.error();
  return supply;
}

Result<void> JournalWalk::decide_again(const Chain& before, const JournalRecord& record,
                                       WalkedRecord& walked) {
  Result<CutSupply> supply = read_inputs(record.cut);
  Result<Token> token = supply ? planner_.recall(before, record.cut, std::move(*supply))
                               : Result<Token>(supply.error());
  const bool same_fold = before.fold_version == fold_version;
  // A bus that is away has lost nothing: its inputs are read later.
  const bool is_away = !token && token.error().code == ErrorCode::unavailable;
  if (!token && (is_away || !options_.tolerate_lost_inputs)) return token.error();
  if (!token) has_lost_inputs_ = true;
  if (has_lost_inputs_ || !same_fold) {
    // What matters for long follows from the events. What was learnt from signals cannot decide as
    // it did, until a claim says that all begin anew.
    fold_.apply(record.events, facts_after(before), record.cut.tick_ms);
    walked.inputs_lost = has_lost_inputs_;
    walked.other_fold = !same_fold;
    settings_changed_ = false;
    return {};
  }
  token_ = std::move(*token);
  token_.settings = fold_.settings();
  token_.settings_changed = settings_changed_;
  settings_changed_ = false;
  fold_.decide(token_);
  walked.decided = &token_;
  walked.difference = difference(record, token_, state_hash_after(before, token_));
  return {};
}

Chain JournalWalk::chain_without_settings() {
  // Many kilobytes that would be copied for every record.
  std::string settings = std::move(chain_.settings);
  Chain copy = chain_;
  chain_.settings = std::move(settings);
  return copy;
}

Result<void> JournalWalk::take_one(const RecordView& read, const Visit& visit) {
  WalkedRecord walked;
  JournalRecord record;
  walked.read = &read;
  const Chain before = chain_without_settings();
  walked.acceptance = accept(chain_, read, record, options_.signatures);
  walked.record = walked.acceptance == Acceptance::unreadable ? nullptr : &record;
  walked.chain = &chain_;
  last_offset_ = read.offset;
  last_append_ms_ = read.append_time_ms;
  if (walked.acceptance == Acceptance::newer_version) {
    return Error{ErrorCode::refused, "the journal of shard " + std::to_string(chain_.shard) +
                                         " was written by a newer build (offset " +
                                         std::to_string(read.offset) + "): upgrade this one"};
  }
  if (walked.acceptance == Acceptance::accepted && options_.fold) {
    // Every reader forgets at the same record: one that comes with saved pages learnt what one that
    // reads from the beginning could not.
    const bool other_fold = before.epoch > 0 && record.fold_version != before.fold_version;
    if (record.kind == JournalKind::claim && (other_fold || record.forgets)) {
      fold_.forget_soft();
      has_lost_inputs_ = false;
    }
    if (record.kind == JournalKind::config) {
      Result<std::shared_ptr<const Settings>> settings = settings_of(record.content);
      if (!settings) return settings.error();
      // Live, the stages take new settings with the next token; so here.
      fold_.configure(std::move(*settings));
      settings_changed_ = true;
    }
    if (record.kind == JournalKind::batch) {
      Result<void> decided = decide_again(before, record, walked);
      if (!decided) return decided;
    }
  }
  return visit(walked);
}

Result<void> JournalWalk::take(const RecordBatch& batch, const Visit& visit) {
  for (const RecordView& read : batch.records) {
    Result<void> taken = take_one(read, visit);
    if (taken) continue;
    last_record_hash_ = to_hex(sha256(read.value));
    return taken;
  }
  // Only the last one's hash is ever asked for.
  if (!batch.records.empty()) last_record_hash_ = to_hex(sha256(batch.records.back().value));
  return {};
}

Result<void> JournalWalk::read_to(Offset end, const Visit& visit) {
  return reader_of(topics_.journal_of(chain_.shard))
      .read({chain_.journal_next, end},
            [&](const RecordBatch& batch, const LogReader&) -> Result<void> {
              return take(batch, visit);
            });
}

ShardChanges JournalWalk::changes() {
  ShardChanges changes;
  changes.shard = chain_.shard;
  changes.chain = chain_;
  changes.last_offset = last_offset_;
  changes.last_record_hash = last_record_hash_;
  PageMap pages;
  fold_.save(pages);
  changes.puts = std::move(pages.pages);
  changes.erases = {pages.erased.begin(), pages.erased.end()};
  return changes;
}

Result<void> check_saved_position(Log& log, const TopicNames& topics, const SavedShard& saved) {
  if (!saved.found || saved.last_offset < 0) return {};
  const TopicPartition where = topics.journal_of(saved.chain.shard);
  const Result<OffsetRange> range = log.range(where);
  if (!range) return range.error();
  const std::string place = "the journal of shard " + std::to_string(saved.chain.shard);
  const std::string remedy =
      "; if the topic was recreated or lost its tail on purpose, move the shard's state away "
      "(the folder state in data_dir) and start again: it is rebuilt from what the journal holds";
  if (range->end <= saved.last_offset) {
    return Error{ErrorCode::corrupt, place + " ends at " + std::to_string(range->end) +
                                         ", before offset " + std::to_string(saved.last_offset) +
                                         " that this state rests on" + remedy};
  }
  if (range->begin > saved.last_offset + 1) {
    return Error{ErrorCode::corrupt, place + " begins at " + std::to_string(range->begin) +
                                         ", after what this state rests on" + remedy};
  }
  if (range->begin > saved.last_offset) return {};  // expired, and the next record is there
  std::string hash;
  Result<void> read = read_range(log, where, {saved.last_offset, saved.last_offset + 1},
                                 [&](const RecordBatch& batch, const LogReader&) -> Result<void> {
                                   for (const RecordView& record : batch.records) {
                                     if (record.offset == saved.last_offset)
                                       hash = to_hex(sha256(record.value));
                                   }
                                   return {};
                                 });
  if (!read) return read;
  if (hash != saved.last_record_hash) {
    return Error{ErrorCode::corrupt, place + " was rewritten: offset " +
                                         std::to_string(saved.last_offset) +
                                         " holds another record than before" + remedy};
  }
  return {};
}

}  // namespace selfheal
