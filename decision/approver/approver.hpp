#pragma once
// Says of each proposal whether it may run: by policy where every check passes, otherwise by a
// person who answers with a signed message. Every check is recorded with its value and limit.
#include <string>
#include <vector>

#include "decision/approver/breakers.hpp"
#include "decision/approver/policies.hpp"
#include "decision/observed_values.hpp"
#include "decision/stage.hpp"

namespace selfheal {

// A proposal that waits: for a person, or for a change window.
struct HeldProposal {
  Proposal proposal;
  std::string state;  // held_for_person or held_for_window
  std::string content_hash;
  std::string policy_hash;
  std::string action;
  TimeMs expires_ms = 0;
  TimeMs window_ms = 0;    // when the next window opens
  bool for_input = false;  // it only waits for signals that are missing
  std::string cause;       // id of the proposal, or of the verdict that holds it
  static constexpr auto fields() {
    return std::tuple{field("proposal", &HeldProposal::proposal),
                      field("state", &HeldProposal::state),
                      field("content_hash", &HeldProposal::content_hash),
                      field("policy_hash", &HeldProposal::policy_hash),
                      field("action", &HeldProposal::action),
                      field("expires_ms", &HeldProposal::expires_ms),
                      field("window_ms", &HeldProposal::window_ms),
                      field("for_input", &HeldProposal::for_input),
                      field("cause", &HeldProposal::cause)};
  }
  bool operator==(const HeldProposal&) const = default;
};

struct RateRow {
  std::vector<std::int64_t> proposed_ms;  // of the last hour
  static constexpr auto fields() { return std::tuple{field("proposed_ms", &RateRow::proposed_ms)}; }
  bool operator==(const RateRow&) const = default;
};

struct ActiveRun {
  std::string service;
  std::string breaker;
  TimeMs since_ms = 0;
  bool undoing = false;  // its rollback was asked for
  static constexpr auto fields() {
    return std::tuple{field("service", &ActiveRun::service), field("breaker", &ActiveRun::breaker),
                      field("since_ms", &ActiveRun::since_ms),
                      field("undoing", &ActiveRun::undoing)};
  }
  bool operator==(const ActiveRun&) const = default;
};

// A run that a person has to say of whether its effect has happened.
struct DoubtRow {
  std::string service;
  std::string proposal_id;
  std::string incident_id;
  std::string breaker;
  bool undoing = false;  // the doubt is of its rollback
  static constexpr auto fields() {
    return std::tuple{field("service", &DoubtRow::service),
                      field("proposal_id", &DoubtRow::proposal_id),
                      field("incident_id", &DoubtRow::incident_id),
                      field("breaker", &DoubtRow::breaker), field("undoing", &DoubtRow::undoing)};
  }
  bool operator==(const DoubtRow&) const = default;
};

// Why the way of the signals is suspected; no row while it is trusted.
struct SuspectedInput {
  std::string reason;
  static constexpr auto fields() { return std::tuple{field("reason", &SuspectedInput::reason)}; }
  bool operator==(const SuspectedInput&) const = default;
};

struct NonceRow {
  TimeMs until_ms = 0;
  static constexpr auto fields() { return std::tuple{field("until_ms", &NonceRow::until_ms)}; }
  bool operator==(const NonceRow&) const = default;
};

class Approver : public Stage {
 public:
  Approver();
  std::string_view name() const override { return "approver"; }
  TimeMs next_due_ms() const override;
  void save(PageSink& sink) override;
  bool load(std::string_view page_key, std::string_view value) override;
  void forget_soft() override;

  const Table<HeldProposal>& held() const { return held_; }

 protected:
  void evolve(const Event& event, const EventPlace& place) override;
  void decide(Token& token) override;

 private:
  void judge(Token& token, const Proposal& proposal, const std::string& cause);
  Verdict examine(const Token& token, const Proposal& proposal) const;
  void check_limits(const Token& token, const Proposal& proposal, Verdict& verdict) const;
  void check_autonomy(const Token& token, const Proposal& proposal, Verdict& verdict) const;
  void check_policy(const Token& token, const Proposal& proposal, Verdict& verdict) const;
  void check_preconditions(const Token& token, const Proposal& proposal, Verdict& verdict) const;
  PolicyFacts facts_of(const Proposal& proposal, bool in_window) const;
  void take_controls(Token& token);
  void take_answer(Token& token, const ControlInput& control);
  void take_resolution(Token& token, const ControlInput& control);
  void on_approved(const Proposal& proposal, const EventPlace& place);
  void on_intent(const RunIntent& intent, const EventPlace& place);
  void on_run_finished(const RunFinished& finished);
  void on_outcome(const Outcome& outcome, const EventPlace& place);
  void on_resolved(const DoubtResolved& resolved, const EventPlace& place);
  std::string why_refused(const Token& token, const ControlMessage& message) const;
  std::string why_not_now(const Token& token, const HeldProposal& held,
                          const std::string& answer) const;
  void refuse(Token& token, const ControlInput& control, const std::string& reason);
  void tell_breakers(Token& token);
  void move_held(Token& token);
  void end_held(Token& token, const HeldProposal& held, const std::string& reason);

  Table<HeldProposal> held_;  // by proposal id
  Table<RateRow> rates_;      // by service
  Breakers breakers_;
  Table<ActiveRun> active_;          // by action id; until the intent, by proposal id
  Table<DoubtRow> doubts_;           // by action id, until a person answers
  Table<NonceRow> nonces_;           // of the last hour
  Table<RateRow> starts_;            // one row: approved runs of the last minute
  Table<SuspectedInput> suspected_;  // at most one row
  ObservedValues observed_;
};

}  // namespace selfheal
