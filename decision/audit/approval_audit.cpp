#include "decision/audit/approval_audit.hpp"

#include <algorithm>

#include "base/hash.hpp"
#include "base/signature.hpp"
#include "topics/json_codec.hpp"

namespace selfheal {
namespace {

constexpr DurationMs answer_age_ms_max = 10 * one_minute_ms;
// The first fold version that takes a place in the fleet with the approval. Earlier ones took it
// with the run's intent, so that what was judged in one cut shared the last place.
constexpr std::int64_t fold_version_with_places_by_approval = 7;

// What an approval covers, as its documentation says: playbook, service, resource and labels.
std::string content_hash_of(const Proposal& proposal) {
  Json json = Json::object();
  json["labels"] = to_json_value(proposal.labels);
  json["playbook_hash"] = proposal.playbook_hash;
  json["resource_id"] = proposal.resource_id;
  json["resource_kind"] = proposal.resource_kind;
  json["service"] = proposal.service;
  return to_hex(sha256(dump(json)));
}

void forget_before(std::deque<TimeMs>& times, TimeMs since_ms) {
  while (!times.empty() && times.front() <= since_ms) times.pop_front();
}

std::int64_t size_of(const std::deque<TimeMs>& times) {
  return static_cast<std::int64_t>(times.size());
}

}  // namespace

void ApprovalAudit::take(const JournalRecord& record, AuditReport& report) {
  if (record.kind == JournalKind::claim) {
    places_by_approval_ = record.fold_version >= fold_version_with_places_by_approval;
  }
  if (record.kind == JournalKind::config) {
    Result<Settings> settings = settings_from_text(record.content);
    if (settings) settings_ = std::move(*settings);
  }
  for (std::size_t k = 0; k < record.events.size(); ++k) take_event(record, k, report);
}

void ApprovalAudit::take_event(const JournalRecord& record, std::size_t k, AuditReport& report) {
  const std::string place =
      std::to_string(record.shard) + "/" + std::to_string(record.seq) + "/" + std::to_string(k);
  const Event& event = record.events[k];
  const TimeMs now_ms = record.cut.tick_ms;
  if (const auto* proposal = std::get_if<Proposal>(&event.body)) {
    proposals_[proposal->proposal_id] = *proposal;
    if (proposal->attempt == 1) proposed_ms_[proposal->service].push_back(now_ms);
  } else if (const auto* answered = std::get_if<ApprovalAnswered>(&event.body)) {
    if (!nonces_.insert(answered->nonce).second) {
      report.violate(8, place, "an answer is used a second time");
    }
    answers_[answered->proposal_id] = {*answered, event.causation_id, now_ms};
  } else if (const auto* verdict = std::get_if<Verdict>(&event.body)) {
    if (verdict->expires_ms > 0) expires_ms_[verdict->proposal_id] = verdict->expires_ms;
    if (verdict->verdict == "approved") take_verdict(place, now_ms, *verdict, report);
  } else if (const auto* intent = std::get_if<RunIntent>(&event.body)) {
    report.count(8);
    const auto approval = approvals_.find(intent->proposal_id);
    if (approval == approvals_.end() || approval->second.content_hash != intent->content_hash) {
      report.violate(8, place,
                     intent->action_id + " is intended without an approval of its content");
    } else if (approval->second.used) {
      report.violate(8, place, intent->action_id + " uses an approval a second time");
    } else {
      approval->second.used = true;
    }
    active_.insert(intent->action_id);
    if (active_.erase(intent->proposal_id) == 0) begun_ms_.push_back(now_ms);
  } else if (const auto* finished = std::get_if<RunFinished>(&event.body)) {
    const bool over = finished->result == "dry_run" || finished->result == "precondition_failed";
    if (over) active_.erase(finished->action_id);
  } else if (const auto* outcome = std::get_if<Outcome>(&event.body)) {
    active_.erase(outcome->action_id);
  } else if (const auto* path = std::get_if<InputPathChanged>(&event.body)) {
    input_suspected_ = path->suspected;
  }
}

void ApprovalAudit::take_verdict(const std::string& place, TimeMs now_ms, const Verdict& verdict,
                                 AuditReport& report) {
  report.count(8);
  const auto proposal = proposals_.find(verdict.proposal_id);
  if (proposal == proposals_.end()) {
    return report.violate(8, place, verdict.proposal_id + " is approved and was never proposed");
  }
  if (content_hash_of(proposal->second) != verdict.content_hash) {
    report.violate(8, place, verdict.proposal_id + " is approved with another content");
  }
  approvals_[verdict.proposal_id] = {verdict.content_hash};
  if (verdict.approved_by == "policy") {
    check_policy(place, now_ms, proposal->second, report);
  } else {
    check_person(place, now_ms, verdict, report);
  }
  if (!places_by_approval_ || verdict.mode == "observe") return;
  active_.insert(verdict.proposal_id);
  begun_ms_.push_back(now_ms);
}

void ApprovalAudit::check_policy(const std::string& place, TimeMs now_ms, const Proposal& proposal,
                                 AuditReport& report) {
  const LimitSettings& limits = settings_.limits;
  std::deque<TimeMs>& proposed = proposed_ms_[proposal.service];
  forget_before(proposed, now_ms - one_hour_ms);
  if (proposal.attempt == 1 && size_of(proposed) > limits.proposals_per_hour_per_service) {
    report.violate(8, place, "approved by policy beyond limits.proposals_per_hour_per_service");
  }
  if (static_cast<std::int64_t>(active_.size()) >= limits.fleet_concurrent) {
    report.violate(8, place, "approved by policy beyond limits.fleet_concurrent");
  }
  forget_before(begun_ms_, now_ms - one_minute_ms);
  if (size_of(begun_ms_) >= limits.fleet_starts_per_minute) {
    report.violate(8, place, "approved by policy beyond limits.fleet_starts_per_minute");
  }
  if (input_suspected_) report.violate(8, place, "approved by policy while its input is suspected");
  const Playbook* playbook = find_playbook(settings_, proposal.playbook);
  const bool willing = playbook != nullptr && playbook->auto_approve && playbook->risk == "low" &&
                       playbook_hash(*playbook) == proposal.playbook_hash;
  if (!willing) {
    report.violate(8, place,
                   "approved by policy although " + proposal.playbook + " needs a person");
  }
}

void ApprovalAudit::check_person(const std::string& place, TimeMs now_ms, const Verdict& verdict,
                                 AuditReport& report) {
  const auto expires = expires_ms_.find(verdict.proposal_id);
  if (places_by_approval_ && expires != expires_ms_.end() && expires->second <= now_ms) {
    report.violate(8, place, "approved by a person after the request had expired");
  }
  const auto answer = answers_.find(verdict.proposal_id);
  const bool answered = answer != answers_.end() &&
                        answer->second.answered.by == verdict.approved_by &&
                        answer->second.answered.answer == "approve";
  if (!answered) {
    return report.violate(
        8, place, "approved in the name of " + verdict.approved_by + ", who never answered");
  }
  const std::optional<Offset> offset = control_of_cause(answer->second.causation_id);
  if (!offset) return report.violate(8, place, "an answer came from no control message");
  const std::optional<std::string> text = control_at_(shard_, *offset);
  if (!text) return report.leave_out(8, "answers whose messages have expired");
  const std::string obstacle =
      answer_obstacle(*text, answer->second.answered, verdict, answer->second.tick_ms);
  if (!obstacle.empty())
    report.violate(8, place, "the answer of " + verdict.approved_by + obstacle);
}

std::string ApprovalAudit::answer_obstacle(const std::string& text,
                                           const ApprovalAnswered& answered, const Verdict& verdict,
                                           TimeMs now_ms) const {
  const Result<ControlMessage> message = decode_control(text);
  if (!message) return " cannot be read";
  const KeyEntry* key = find_key(settings_, message->key_id);
  if (key == nullptr || (key->role != "operator" && key->role != "admin")) {
    return " is signed by nobody who may answer";
  }
  if (!verify(key->public_key, message->signed_text(), message->signature)) {
    return " has a wrong signature";
  }
  const bool same = message->kind == answered.answer && message->key_id == answered.by &&
                    message->target == verdict.proposal_id && message->nonce == answered.nonce &&
                    message->content_hash == verdict.content_hash;
  if (!same) return " is not what was signed";
  if (std::abs(message->time_ms - now_ms) > answer_age_ms_max) return " was too old or too new";
  return {};
}

}  // namespace selfheal
