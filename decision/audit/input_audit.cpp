#include "decision/audit/input_audit.hpp"

#include <algorithm>
#include <set>

#include "base/parse_number.hpp"

namespace selfheal {
namespace {

std::string place_of(const JournalRecord& record) {
  return std::to_string(record.shard) + "/" + std::to_string(record.seq);
}

std::string letter_key(const std::string& topic, const std::string& partition,
                       const std::string& offset, const std::string& line) {
  // Names of topics differ by their prefix only; what stands behind it is fixed.
  return topic.substr(topic.rfind('.') + 1) + ":" + partition + ":" + offset + ":" + line;
}

}  // namespace

void InputAudit::take(const JournalRecord& record,
                      const std::optional<std::vector<RecordView>>& inputs, AuditReport& report) {
  newest_ms_ = std::max(newest_ms_, record.cut.tick_ms);
  const bool takes = record.kind == JournalKind::batch || record.kind == JournalKind::skip;
  if (!takes) return;
  const std::int64_t wanted = record.cut.records();
  if (!inputs) {
    report.leave_out(2, "inputs that have expired");
  } else if (wanted > 0 || !inputs->empty()) {
    report.count(2, wanted);
    std::uint64_t digest = 0;
    for (const RecordView& each : *inputs) {
      digest = hash64(each.value, digest);
      if (!each.event_time.empty()) digest = hash64(each.event_time, digest);
    }
    if (digest != record.cut.inputs_digest) {
      report.violate(2, place_of(record), "its inputs are not those that were decided on");
    }
  }
  if (record.kind == JournalKind::skip) {
    const bool control = record.topic_kind == "control";
    const Offset offset = control ? record.cut.control_begin : record.cut.signals_begin;
    const bool fleet = record.shard == shards_;
    letters_[letter_key(control ? "control" : "signals", fleet ? "0" : std::to_string(record.shard),
                        std::to_string(offset), "")] = {record.shard, place_of(record),
                                                        record.cut.tick_ms};
  }
  for (std::size_t k = 0; k < record.events.size(); ++k) take_event(record, k, report);
}

void InputAudit::take_event(const JournalRecord& record, std::size_t k, AuditReport& report) {
  const std::string place = place_of(record) + "/" + std::to_string(k);
  const EventBody& body = record.events[k].body;
  if (const auto* forwarded = std::get_if<Forwarded>(&body)) {
    sent_[{record.shard, record.seq, static_cast<std::int64_t>(k)}] = {
        forwarded->target_shard, forwarded->signals, record.cut.tick_ms};
  } else if (const auto* taken = std::get_if<ForwardTaken>(&body)) {
    report.count(2);
    arrivals_.push_back({{taken->source_shard, taken->source_seq, taken->source_k},
                         {record.shard, taken->signals, place, record.cut.tick_ms}});
  } else if (const auto* dead = std::get_if<DeadLettered>(&body)) {
    // As its header says it.
    const std::string line = dead->line < 0 ? "" : std::to_string(dead->line + 1);
    letters_[letter_key("signals", std::to_string(record.shard), std::to_string(dead->offset),
                        line)] = {record.shard, place, record.cut.tick_ms};
  }
}

void InputAudit::take_letter(const Headers& headers, AuditReport& report) {
  std::map<std::string, std::string> by_name(headers.begin(), headers.end());
  const std::string key =
      letter_key(by_name["topic"], by_name["partition"], by_name["offset"], by_name["line"]);
  const auto found = letters_.find(key);
  if (found != letters_.end()) {
    found->second.found = true;
    report.count(2);
    return;
  }
  // Partitions that no shard reads are routed without a journal.
  const std::optional<std::int64_t> partition = parse_number<std::int64_t>(by_name["partition"]);
  if (!partition || *partition < shards_) {
    report.violate(6, "dead letter " + key, "no journal says that this input is a dead letter");
  }
}

void InputAudit::compare(bool everything_ended, const ChainLives& lives, AuditReport& report) {
  std::set<Source> seen;
  for (const auto& [source, arrival] : arrivals_) {
    if (!seen.insert(source).second) {
      report.violate(2, arrival.place, "a forward is taken a second time");
      continue;
    }
    if (std::get<0>(source) >= shards_) continue;  // of a partition that no shard reads
    const auto sent = sent_.find(source);
    if (sent == sent_.end()) {
      const bool was_read = arrival.tick_ms < newest_ms_ - on_its_way_ms;
      if (!everything_ended && !was_read) continue;
      report.violate(2, arrival.place, "a forward is taken that no shard has sent");
      continue;
    }
    sent->second.arrived = true;
    if (sent->second.target != arrival.target || sent->second.signals != arrival.signals) {
      report.violate(2, arrival.place, "a forward is taken otherwise than it was sent");
    }
  }
  for (const auto& [source, sent] : sent_) {
    if (sent.arrived) continue;
    const std::optional<TimeMs> told_ms = lives.told_by_ms(std::get<0>(source), sent.tick_ms);
    const bool is_late = told_ms && lives.has_taken(sent.target, *told_ms);
    if (!everything_ended && !is_late) continue;
    report.violate(2,
                   std::to_string(std::get<0>(source)) + "/" + std::to_string(std::get<1>(source)) +
                       "/" + std::to_string(std::get<2>(source)),
                   "a forward never arrived at shard " + std::to_string(sent.target));
  }
  if (!letters_whole_) return report.leave_out(2, "dead letters that have expired");
  for (const auto& [key, letter] : letters_) {
    const bool is_late = lives.told_by_ms(letter.shard, letter.tick_ms).has_value();
    if (letter.found || !(everything_ended || is_late)) continue;
    report.violate(2, letter.place, "what it left out is not among the dead letters");
  }
}

}  // namespace selfheal
