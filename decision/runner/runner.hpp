#pragma once
// Turns approved proposals into runs: intent, then one start a step, then the end. No step that
// touches the outside is started but under the lock of the run's target, long enough for all that
// the step may still do. Nothing outside
// may be touched before the intent and the start that ask for it are committed; this stage only
// says so, the effect gateway does it.
#include <set>
#include <string>

#include "decision/observed_values.hpp"
#include "decision/runner/locks.hpp"
#include "decision/stage.hpp"

namespace selfheal {

// Where a run stands. All of it follows from the events; `phase` is one of
//   intent     the intent is recorded; preconditions are looked at
//   ready      the next step may start at due_ms (after a backoff, or at once)
//   started    a step has started; its result is awaited, or its wait ends at due_ms
//   done       all steps ended; rows stay until the outcome, for a rollback
struct RunRow {
  RunIntent intent;
  std::string phase = "intent";
  std::int64_t step = 0;
  std::int64_t attempt = 0;       // of the step, last started
  std::int64_t tries_failed = 0;  // of the step: counted against its retries
  bool rollback = false;
  std::int64_t last_done_step = -1;
  TimeMs due_ms = 0;
  TimeMs started_ms = 0;  // of the step
  TimeMs valid_until_ms = 0;
  std::int64_t epoch = 0;
  std::int64_t condition = 0;  // precondition being looked at
  TimeMs held_since_ms = 0;    // of a wait_for condition
  std::string probe_id;        // asked and not yet answered
  std::string probe_purpose;   // precondition, wait_for or effect
  TimeMs intent_ms = 0;
  std::int64_t tries_lost = 0;  // of the failed ones, those of which nobody knows how they ended
  std::string cause;            // id of the decision that brought it where it stands
  static constexpr auto fields() {
    return std::tuple{field("intent", &RunRow::intent),
                      field("phase", &RunRow::phase),
                      field("step", &RunRow::step),
                      field("attempt", &RunRow::attempt),
                      field("tries_failed", &RunRow::tries_failed),
                      field("rollback", &RunRow::rollback),
                      field("last_done_step", &RunRow::last_done_step),
                      field("due_ms", &RunRow::due_ms),
                      field("started_ms", &RunRow::started_ms),
                      field("valid_until_ms", &RunRow::valid_until_ms),
                      field("epoch", &RunRow::epoch),
                      field("condition", &RunRow::condition),
                      field("held_since_ms", &RunRow::held_since_ms),
                      field("probe_id", &RunRow::probe_id),
                      field("probe_purpose", &RunRow::probe_purpose),
                      field("intent_ms", &RunRow::intent_ms),
                      field("tries_lost", &RunRow::tries_lost),
                      field("cause", &RunRow::cause)};
  }
  bool operator==(const RunRow&) const = default;
};

class Runner : public Stage {
 public:
  Runner();
  std::string_view name() const override { return "runner"; }
  TimeMs next_due_ms() const override;
  void save(PageSink& sink) override;
  bool load(std::string_view page_key, std::string_view value) override;
  void forget_soft() override;

  const Table<RunRow>& runs() const { return runs_; }
  const RunLocks& locks() const { return locks_; }

 protected:
  void evolve(const Event& event, const EventPlace& place) override;
  void decide(Token& token) override;

 private:
  void take_verdicts(Token& token);
  void take_results(Token& token);
  void take_lock_words(Token& token);
  void release_locks(Token& token);
  void take_step_result(Token& token, const StepResult& result);
  void take_probe_result(Token& token, const ProbeResult& result);
  void move_due(Token& token, const std::string& action_id);
  void look_at_preconditions(Token& token, const std::string& action_id);
  void look_at_wait_for(Token& token, const std::string& action_id, const Condition& condition);
  void start_step(Token& token, const std::string& action_id);
  void ask_for_lock(Token& token, const std::string& action_id, const RunStarted& wanted);
  void finish_step(Token& token, const std::string& action_id, const StepResult& result);
  void finish_run(Token& token, const std::string& action_id, const std::string& result,
                  const std::string& reason);
  void ask_probe(Token& token, const std::string& action_id, const std::string& purpose);
  // The playbook as it was approved, or null where it has changed since.
  const Playbook* approved_playbook(const RunRow& run) const;
  const Step* current_step(const RunRow& run) const;
  void on_started(const RunStarted& started, const EventPlace& place);
  void on_resolved(const DoubtResolved& resolved, const EventPlace& place);
  void on_step_finished(const StepFinished& finished, const EventPlace& place);

  Table<RunRow> runs_;         // by action id
  Table<Proposal> proposals_;  // waiting for their verdict, by proposal id
  RunLocks locks_;
  ObservedValues observed_;
};

// The undo of step `index`, or null.
const Step* rollback_of(const Playbook& playbook, std::int64_t index);

// How long a started step may run at most; 0 where it touches nothing outside.
DurationMs runtime_limit_of(const Step& step);

// True where any step can be undone.
bool has_rollback(const Playbook& playbook);

Variables variables_of(const RunIntent& intent);

// SHA-256 over exactly what an approval covers.
std::string approval_hash(const std::string& playbook_hash, const std::string& service,
                          const std::string& resource_kind, const std::string& resource_id,
                          const std::map<std::string, std::string>& labels);

}  // namespace selfheal
