#include "decision/audit/chain_audit.hpp"

#include "base/signature.hpp"

namespace selfheal {
namespace {

// Ticks may be ahead of the log's clock by so much.
constexpr DurationMs skew_ms_max = 2000;

bool takes_inputs(JournalKind kind) {
  return kind == JournalKind::batch || kind == JournalKind::skip;
}

}  // namespace

std::string ChainAudit::cut_obstacle(const RecordView& read, const JournalRecord& record) const {
  const bool has_cut = takes_inputs(record.kind) || record.kind == JournalKind::failed;
  if (!has_cut) return {};
  const Cut& cut = record.cut;
  if (cut.signals_begin != signals_ || cut.control_begin != control_) {
    return "its cut does not begin where the one before ended";
  }
  if (cut.signals_end < signals_ || cut.control_end < control_) return "its cut goes backwards";
  if (cut.tick_ms < tick_ms_) return "its tick is before the one before";
  if (cut.tick_ms - read.append_time_ms > skew_ms_max) return "its tick is ahead of the log";
  return {};
}

std::string ChainAudit::obstacle(const RecordView& read, const JournalRecord& record,
                                 const SignedBody& parts) const {
  if (record.shard != shard_) return "it is of another shard";
  const bool claim = record.kind == JournalKind::claim;
  const std::int64_t epoch = claim ? epoch_ + 1 : epoch_;
  if (record.epoch != epoch) return "its epoch is not the next";
  if (!claim) {
    if (record.seq != seq_ + 1) return "its seq is not the next";
    if (record.prev_hash != to_hex(head_)) return "it names another history";
    std::string cut = cut_obstacle(read, record);
    if (!cut.empty()) return cut;
  }
  const std::string& key = claim ? record.public_key : key_;
  return verify(key, parts.body, parts.signature) ? "" : "its signature is wrong";
}

void ChainAudit::extend(const JournalRecord& record, std::string_view body) {
  std::string bytes(reinterpret_cast<const char*>(head_.data()), head_.size());
  bytes += body;
  head_ = sha256(bytes);
  if (record.kind == JournalKind::claim) {
    epoch_ = record.epoch;
    key_ = record.public_key;
    return;
  }
  seq_ = record.seq;
  const bool timed = takes_inputs(record.kind) || record.kind == JournalKind::failed;
  if (timed) tick_ms_ = record.cut.tick_ms;
  if (!takes_inputs(record.kind)) return;
  signals_ = record.cut.signals_end;
  control_ = record.cut.control_end;
}

void ChainAudit::take(const RecordView& read, bool accepted, AuditReport& report) {
  report.count(1);
  const std::string place =
      "journal of shard " + std::to_string(shard_) + ", offset " + std::to_string(read.offset);
  std::string why = "it cannot be read";
  const Result<SignedBody> parts = unwrap_body(read.value);
  const Result<JournalRecord> record =
      parts ? decode_body(parts->body) : Result<JournalRecord>(parts.error());
  if (record) why = obstacle(read, *record, *parts);
  if (why.empty() && !accepted) {
    report.violate(1, place, "it extends the chain, and readers ignore it");
  } else if (!why.empty() && accepted) {
    report.violate(1, place, "readers take it although " + why);
  }
  if (why.empty()) extend(*record, parts->body);
}

}  // namespace selfheal
