#pragma once
// Invariant 8: what runs was approved, exactly that, by policy within every limit or by a person's
// signed answer. Limits are counted again here, and a person's message is read from the topic and
// verified, instead of believing the checks that the verdict lists. Not thread-safe.
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "decision/audit/audit_report.hpp"
#include "decision/settings.hpp"
#include "topics/control.hpp"
#include "topics/journal.hpp"

namespace selfheal {

class ApprovalAudit {
 public:
  // The control message at an offset of the shard's control topic: its text; none where it has
  // expired.
  using ControlAt = std::function<std::optional<std::string>(std::int64_t shard, Offset offset)>;

  ApprovalAudit(std::int64_t shard, ControlAt control_at)
      : shard_(shard), control_at_(std::move(control_at)) {}

  // Accepted records in chain order.
  void take(const JournalRecord& record, AuditReport& report);

 private:
  struct Approval {
    std::string content_hash;
    bool used = false;
  };
  void take_event(const JournalRecord& record, std::size_t k, AuditReport& report);
  void take_verdict(const std::string& place, TimeMs now_ms, const Verdict& verdict,
                    AuditReport& report);
  void check_policy(const std::string& place, TimeMs now_ms, const Proposal& proposal,
                    AuditReport& report);
  void check_person(const std::string& place, TimeMs now_ms, const Verdict& verdict,
                    AuditReport& report);
  // Why a message does not carry the answer; empty where it does.
  std::string answer_obstacle(const std::string& text, const ApprovalAnswered& answered,
                              const Verdict& verdict, TimeMs now_ms) const;

  struct Answer {
    ApprovalAnswered answered;
    std::string causation_id;
    TimeMs tick_ms = 0;
  };
  std::int64_t shard_;
  ControlAt control_at_;
  Settings settings_;
  std::map<std::string, Proposal> proposals_;
  std::map<std::string, std::deque<TimeMs>> proposed_ms_;  // first attempts, by service
  std::map<std::string, Answer> answers_;                  // by proposal
  std::set<std::string> nonces_;
  std::map<std::string, Approval> approvals_;  // by proposal
  std::map<std::string, TimeMs> expires_ms_;   // of what is held, by proposal
  // The build that writes takes a place with the approval, and no answer after its request's end.
  bool places_by_approval_ = false;
  std::set<std::string> active_;  // runs, by action id; until the intent, by proposal
  bool input_suspected_ = false;
  std::deque<TimeMs> begun_ms_;
};

}  // namespace selfheal
