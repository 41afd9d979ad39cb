#pragma once
// Opens an incident for what the predictor diagnosed, chooses a playbook for it, tries the next one
// when a run did not help, and closes it when the subject has recovered or the trouble has passed.
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "decision/graph.hpp"
#include "decision/learner/posteriors.hpp"
#include "decision/observed_values.hpp"
#include "decision/scheduler/thompson.hpp"
#include "decision/stage.hpp"

namespace selfheal {

inline bool contains(const std::vector<std::string>& list, const std::string& item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

// phase: open       a playbook has to be chosen at due_ms
//        proposed   a verdict or a person's answer is awaited
//        running    an approved run is on its way
//        recovered  to be closed
//        failing    to be escalated, for the reason given
//        settled    nothing more will be tried: observed, denied or escalated; waits to be cleared
struct IncidentRow {
  IncidentOpened opened;
  std::string phase = "open";
  std::string settled_by;  // observed, denied, escalated
  std::string reason;
  TimeMs opened_ms = 0;
  TimeMs due_ms = 0;
  TimeMs last_evidence_ms = 0;
  std::int64_t attempts = 0;
  std::vector<std::string> failed_playbooks;
  std::vector<std::string> codes;  // of the trouble that has not passed yet
  std::string proposal_id;
  std::string chosen;      // playbook of that proposal
  bool proactive = false;  // still only predicted
  double confidence = 0;
  TimeMs lead_deadline_ms = 0;
  std::string doubtful_action;  // waits for a person's answer; the incident stays open until then
  std::string cause;            // id of the decision that brought it where it stands
  static constexpr auto fields() {
    return std::tuple{field("opened", &IncidentRow::opened),
                      field("phase", &IncidentRow::phase),
                      field("settled_by", &IncidentRow::settled_by),
                      field("reason", &IncidentRow::reason),
                      field("opened_ms", &IncidentRow::opened_ms),
                      field("due_ms", &IncidentRow::due_ms),
                      field("last_evidence_ms", &IncidentRow::last_evidence_ms),
                      field("attempts", &IncidentRow::attempts),
                      field("failed_playbooks", &IncidentRow::failed_playbooks),
                      field("codes", &IncidentRow::codes),
                      field("proposal_id", &IncidentRow::proposal_id),
                      field("chosen", &IncidentRow::chosen),
                      field("proactive", &IncidentRow::proactive),
                      field("confidence", &IncidentRow::confidence),
                      field("lead_deadline_ms", &IncidentRow::lead_deadline_ms),
                      field("doubtful_action", &IncidentRow::doubtful_action),
                      field("cause", &IncidentRow::cause)};
  }
  bool operator==(const IncidentRow&) const = default;
};

// Counts that name draws and bound rates; one row.
struct SchedulerCounters {
  std::int64_t decisions = 0;
  static constexpr auto fields() {
    return std::tuple{field("decisions", &SchedulerCounters::decisions)};
  }
  bool operator==(const SchedulerCounters&) const = default;
};

// How often an issue has failed to heal on a service, for the backoff.
struct IssueRow {
  std::int64_t failures = 0;
  TimeMs next_allowed_ms = 0;
  TimeMs last_ms = 0;
  static constexpr auto fields() {
    return std::tuple{field("failures", &IssueRow::failures),
                      field("next_allowed_ms", &IssueRow::next_allowed_ms),
                      field("last_ms", &IssueRow::last_ms)};
  }
  bool operator==(const IssueRow&) const = default;
};

class Scheduler : public Stage {
 public:
  Scheduler();
  std::string_view name() const override { return "scheduler"; }
  TimeMs next_due_ms() const override;
  void configure(std::shared_ptr<const Settings> settings) override;
  void save(PageSink& sink) override;
  bool load(std::string_view page_key, std::string_view value) override;
  void forget_soft() override { observed_.clear(); }

  const Table<IncidentRow>& incidents() const { return incidents_; }
  const Posteriors& posteriors() const { return posteriors_; }

 protected:
  void evolve(const Event& event, const EventPlace& place) override;
  void decide(Token& token) override;

 private:
  // What a prediction and a diagnosis have in common for an incident.
  struct Trouble {
    std::string code;
    std::string service;
    std::string resource_kind;
    std::string resource_id;
    double confidence = 0;
    bool proactive = false;
    double lead_time_seconds = 0;
    std::map<std::string, std::string> labels;
    std::string evidence;
    std::vector<std::string> suggested_playbooks;
    TimeMs signal_time_ms = 0;
    std::string cause;
  };
  // Whose word brings a playbook into the choice.
  enum class Fit : std::uint8_t {
    trigger,     // its own: it names the code
    suggestion,  // that of whoever reported the trouble
  };
  void take_troubles(Token& token);
  void take_trouble(Token& token, const Trouble& trouble);
  void take_cleared(Token& token, const DiagnosisCleared& cleared, const std::string& cause);
  void move(Token& token, const std::string& incident_id);
  void close(Token& token, const std::string& incident_id, const std::string& reason,
             const std::string& cause);
  void propose(Token& token, const std::string& incident_id);
  void escalate(Token& token, const std::string& incident_id, const std::string& reason);
  Proposal make_proposal(const Token& token, const IncidentRow& incident,
                         const std::vector<Arm>& arms, const Choice& choice) const;
  std::vector<Arm> arms_for(const IncidentRow& incident, const std::string& code, TimeMs now_ms,
                            Fit fit) const;
  static bool fits(const Playbook& playbook, const IncidentRow& incident, const std::string& code,
                   Fit fit);
  // Whether another attempt is allowed and there is a playbook that has not failed yet.
  bool has_more_to_try(const IncidentRow& incident) const;
  std::string why_excluded(const Playbook& playbook, const IncidentRow& incident,
                           const std::string& code, TimeMs now_ms) const;
  Context context_of(TimeMs now_ms, bool proactive) const;
  const std::string* incident_of(const std::string& service, const std::string& resource_id) const;
  std::string tier_of(const std::string& service) const;
  void on_opened(const IncidentOpened& opened, const EventPlace& place);
  void on_noted(const IncidentNoted& noted, const EventPlace& place);
  void on_cleared(const DiagnosisCleared& cleared, const EventPlace& place);
  void on_verdict(const Verdict& verdict, const EventPlace& place);
  void on_run_finished(const RunFinished& finished, const EventPlace& place);
  void on_outcome(const Outcome& outcome, const EventPlace& place);
  void on_resolved(const DoubtResolved& resolved, const EventPlace& place);
  void on_learned(const Learned& learned);
  // The incident that waits for this proposal, or null.
  IncidentRow* edit_by_proposal(const std::string& proposal_id);

  Table<IncidentRow> incidents_;  // open ones, by incident id
  Table<SchedulerCounters> counters_;
  Table<IssueRow> issues_;                         // by service and code
  std::map<std::string, std::string> by_subject_;  // derived: subject -> open incident
  Posteriors posteriors_;                          // a copy of the learner's, kept by events
  std::set<ArmKey> changed_arms_;
  ObservedValues observed_;
  Graph graph_;
};

// The impact of a proposal: the playbook's risk (moderate counts as medium), one level up on a
// critical subject.
std::string impact_of(const std::string& risk, const std::string& tier);

}  // namespace selfheal
