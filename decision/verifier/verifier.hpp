#pragma once
// Judges whether a run helped: its playbook's conditions must hold for their time on what was
// observed after the run ended. Where they do not, asks for the rollback and says so.
#include <string>
#include <vector>

#include "decision/observed_values.hpp"
#include "decision/stage.hpp"

namespace selfheal {

// Progress of one condition. Soft but for what the events say: a restart from events alone begins
// the holding time again, which can only make a verdict later, never wrong.
struct ConditionProgress {
  TimeMs held_since_ms = 0;
  bool done = false;
  std::string last_value;
  // Asked and not answered; whoever claims the shard anew does not hear the answer.
  std::string probe_id;
  TimeMs probe_until_ms = 0;
  std::int64_t probe_epoch = 0;
  static constexpr auto fields() {
    return std::tuple{field("held_since_ms", &ConditionProgress::held_since_ms),
                      field("done", &ConditionProgress::done),
                      field("last_value", &ConditionProgress::last_value),
                      field("probe_id", &ConditionProgress::probe_id),
                      field("probe_until_ms", &ConditionProgress::probe_until_ms),
                      field("probe_epoch", &ConditionProgress::probe_epoch)};
  }
  bool operator==(const ConditionProgress&) const = default;
};

// phase: running (the run has not ended), watching (conditions are judged), undoing (a rollback was
// asked for), doubtful (a person has to say whether the effect has happened), absent (a person said
// that it has not).
struct VerificationRow {
  RunIntent intent;
  std::string phase = "running";
  TimeMs begun_ms = 0;
  std::vector<ConditionProgress> progress;
  TimeMs next_probe_ms = 0;
  // For so long nobody could look or say anything, the log being away: it counts for no limit.
  DurationMs unheard_ms = 0;
  std::string reason;
  std::vector<CheckResult> conditions;  // as they stood when a rollback was asked for
  std::string answer;                   // of a person to the doubt
  std::string cause;                    // id of the decision that brought it where it stands
  static constexpr auto fields() {
    return std::tuple{field("intent", &VerificationRow::intent),
                      field("phase", &VerificationRow::phase),
                      field("begun_ms", &VerificationRow::begun_ms),
                      field("progress", &VerificationRow::progress),
                      field("next_probe_ms", &VerificationRow::next_probe_ms),
                      field("reason", &VerificationRow::reason),
                      field("conditions", &VerificationRow::conditions),
                      field("answer", &VerificationRow::answer),
                      field("unheard_ms", &VerificationRow::unheard_ms),
                      field("cause", &VerificationRow::cause)};
  }
  bool operator==(const VerificationRow&) const = default;
};

class Verifier : public Stage {
 public:
  Verifier();
  std::string_view name() const override { return "verifier"; }
  TimeMs next_due_ms() const override;
  void save(PageSink& sink) override;
  bool load(std::string_view page_key, std::string_view value) override;
  void forget_soft() override;

  const Table<VerificationRow>& verifications() const { return rows_; }

 protected:
  void evolve(const Event& event, const EventPlace& place) override;
  void decide(Token& token) override;

 private:
  void on_resolved(const DoubtResolved& resolved, const EventPlace& place);
  void begin_watching(VerificationRow& row, TimeMs now_ms) const;
  void take_run_ends(Token& token);
  void take_rollback_end(Token& token, const RolledBack& ended, const std::string& reason);
  void take_probes(const Token& token);
  void judge(Token& token, const std::string& action_id);
  void ask_probes(Token& token, const std::string& action_id, const Playbook& playbook);
  void give_up(Token& token, const std::string& action_id, const std::string& reason);
  void conclude(Token& token, const std::string& action_id, const std::string& result,
                const std::string& reason);
  std::vector<CheckResult> report(const VerificationRow& row) const;

  Table<VerificationRow> rows_;  // by action id
  ObservedValues observed_;
};

}  // namespace selfheal
