#include "decision/audit/relay_audit.hpp"

#include "topics/event_codec.hpp"

namespace selfheal {

void RelayAudit::take(const JournalRecord& record, bool same_fold) {
  for (std::size_t k = 0; k < record.events.size(); ++k) {
    const Event& event = record.events[k];
    // Said between shards only.
    if (std::holds_alternative<Forwarded>(event.body)) continue;
    const auto number = static_cast<std::int64_t>(k);
    const std::string text =
        cloud_event_text(event, {prefix_, record.shard, record.seq, number, record.cut.tick_ms});
    expected_[decision_id(record.shard, record.seq, number)] = {hash64(text), record.shard,
                                                                record.cut.tick_ms, same_fold};
  }
}

void RelayAudit::take_decision(const RecordView& read, std::int32_t partition,
                               AuditReport& report) {
  report.count(6);
  const std::string place =
      "decisions " + std::to_string(partition) + ", offset " + std::to_string(read.offset);
  const Result<Json> json = parse_json(read.value);
  const std::string id = json && json->is_object() ? json->value("id", "") : "";
  const auto found = expected_.find(id);
  if (found == expected_.end()) {
    return report.violate(6, place, "decision '" + id + "' is in no journal");
  }
  found->second.found = true;
  if (!found->second.same_fold) {
    return report.leave_out(6, "the words of decisions of another fold version");
  }
  if (hash64(read.value) != found->second.hash) {
    report.violate(6, place, "decision " + id + " is not what the journal says");
  }
}

void RelayAudit::compare(bool whole, bool everything_ended, const ChainLives& lives,
                         AuditReport& report) {
  if (!whole) return report.leave_out(6, "decisions that have expired");
  for (const auto& [id, expected] : expected_) {
    if (expected.found) continue;
    const bool late = lives.told_by_ms(expected.shard, expected.tick_ms).has_value();
    if (everything_ended || late) report.violate(6, id, "the decision was never told");
  }
}

}  // namespace selfheal
