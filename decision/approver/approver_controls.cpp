// The part of the approver that takes what people say: answers to what is held, and to doubts.
#include "base/signature.hpp"
#include "decision/approver/approver.hpp"

namespace selfheal {
namespace {

// A control message older or newer than this by its own time is a replay or a wrong clock.
constexpr DurationMs control_age_ms_max = 10 * one_minute_ms;

bool is_for_another_stage(const std::string& kind) {
  return kind == "forward" || kind == "reload" || kind == "lock_grant" || kind == "lock_wait";
}

}  // namespace

void Approver::refuse(Token& token, const ControlInput& control, const std::string& reason) {
  const ControlMessage& message = control.message;
  emit(token, {"", "", cause_of_control(control.offset),
               ControlRefused{message.kind, message.target, message.key_id, reason}});
}

std::string Approver::why_refused(const Token& token, const ControlMessage& message) const {
  const KeyEntry* key = find_key(settings(), message.key_id);
  if (key == nullptr) return "no key of that name is known here";
  if (!verify(key->public_key, message.signed_text(), message.signature)) {
    return "the signature is missing or wrong";
  }
  if (key->role != "operator" && key->role != "admin") return "the key's role may not answer";
  if (message.nonce.size() < 16) return "the nonce is missing";
  // Not whether the row is there: when old rows are dropped must make no difference.
  const NonceRow* used = nonces_.find(message.nonce);
  if (used != nullptr && used->until_ms >= token.cut.tick_ms) return "the message was used before";
  if (message.time_ms < token.cut.tick_ms - control_age_ms_max ||
      message.time_ms > token.cut.tick_ms + control_age_ms_max) {
    return "the message is older or newer than ten minutes";
  }
  return {};
}

void Approver::take_controls(Token& token) {
  for (const ControlInput& control : token.controls) {
    if (!control.unreadable.empty()) {
      refuse(token, control, control.unreadable);
    } else if (control.message.kind == "approve" || control.message.kind == "deny") {
      take_answer(token, control);
    } else if (control.message.kind == "resolve") {
      take_resolution(token, control);
    } else if (!is_for_another_stage(control.message.kind)) {
      refuse(token, control, "unknown kind of control message");
    }
  }
  std::vector<std::string> old;
  for (const auto& [nonce, row] : nonces_.rows()) {
    if (row.until_ms < token.cut.tick_ms) old.push_back(nonce);
  }
  for (const std::string& nonce : old) nonces_.erase(nonce);
}

// Why an answer can no longer be taken: the request is over, or what a person cannot override has
// come in between. That a person has to decide is what the answer is for.
std::string Approver::why_not_now(const Token& token, const HeldProposal& held,
                                  const std::string& answer) const {
  const TimeMs now_ms = token.cut.tick_ms;
  if (held.expires_ms <= now_ms) return "the request had expired when the answer was taken";
  if (answer != "approve") return {};
  const Proposal& proposal = held.proposal;
  if (!breakers_.lets_through(Breakers::key_of(proposal.playbook, proposal.resource_kind),
                              now_ms)) {
    return "the circuit breaker of the playbook lets nothing through now";
  }
  const auto ruling = [&](bool in_window) {
    return rule(settings().policies, held.action, facts_of(proposal, in_window));
  };
  if (ruling(in_change_window(settings(), now_ms)).decision == "deny") {
    return "a policy forbids it now";
  }
  // A window that opened or closed meanwhile may let another policy decide; none of them has
  // changed by that.
  if (ruling(true).hash != held.policy_hash && ruling(false).hash != held.policy_hash) {
    return "the policy that decides on it has changed since it was proposed";
  }
  return {};
}

void Approver::take_answer(Token& token, const ControlInput& control) {
  const ControlMessage& message = control.message;
  const std::string refusal = why_refused(token, message);
  if (!refusal.empty()) return refuse(token, control, refusal);
  const HeldProposal* found = held_.find(message.target);
  if (found == nullptr || found->state.empty()) {
    return refuse(token, control, "no proposal of that id waits for an answer");
  }
  const HeldProposal held = *found;
  const Playbook* playbook = find_playbook(settings(), held.proposal.playbook);
  const bool unchanged = playbook != nullptr && hash_of(*playbook) == held.proposal.playbook_hash;
  if (message.content_hash != held.content_hash || !unchanged) {
    return refuse(token, control, "what was to be approved has changed since it was proposed");
  }
  const std::string obstacle = why_not_now(token, held, message.kind);
  if (!obstacle.empty()) return refuse(token, control, obstacle);
  const Proposal& proposal = held.proposal;
  ApprovalAnswered answered{proposal.proposal_id, message.kind,  message.key_id,
                            message.reason,       message.nonce, message.time_ms};
  const std::string id = emit(
      token, {proposal.service, proposal.incident_id, cause_of_control(control.offset), answered});
  Verdict verdict{.proposal_id = proposal.proposal_id};
  verdict.verdict = message.kind == "approve" ? "approved" : "denied";
  verdict.approved_by = message.key_id;
  verdict.reason =
      message.kind == "approve" ? "approved by " + message.key_id : "denied by " + message.key_id;
  if (!message.reason.empty()) verdict.reason += ": " + message.reason;
  verdict.action = held.action;
  verdict.policy_hash = held.policy_hash;
  verdict.content_hash = held.content_hash;
  verdict.mode = settings().mode;
  emit(token, {proposal.service, proposal.incident_id, id, verdict});
}

void Approver::take_resolution(Token& token, const ControlInput& control) {
  const ControlMessage& message = control.message;
  const std::string refusal = why_refused(token, message);
  if (!refusal.empty()) return refuse(token, control, refusal);
  if (message.body != "happened" && message.body != "not_happened") {
    return refuse(token, control, "the outcome is neither happened nor not_happened");
  }
  const DoubtRow* found = doubts_.find(message.target);
  if (found == nullptr) return refuse(token, control, "no run of that id is in doubt");
  const DoubtRow doubt = *found;
  const bool happened = message.body == "happened";
  std::string answer = message.body;
  if (doubt.undoing) answer = happened ? "undone" : "not_undone";
  DoubtResolved resolved{message.target, doubt.proposal_id, doubt.incident_id, std::move(answer),
                         message.key_id, message.reason,    message.nonce,     message.time_ms};
  emit(token,
       {doubt.service, doubt.incident_id, cause_of_control(control.offset), std::move(resolved)});
}

}  // namespace selfheal
