#pragma once
// What follows from the events of one shard alone; the simulator and the audit share it. Not
// thread-safe.
//
//   3  no step result without a start, no start without an intent, one result a start
//   5  deciding again gave equal events and hashes
//   7  ticks never fall, and nothing was judged beyond what was caught up
//   8  an intent has an approval of the same content
//   9  one run a subject at a time, and every run ends
//  10  every incident ends or reaches a person
#include <map>
#include <set>
#include <string>
#include <vector>

#include "decision/audit/audit_report.hpp"
#include "topics/journal.hpp"

namespace selfheal {

struct RecordCounts {
  std::int64_t claims = 0;
  std::int64_t batches = 0;
  std::int64_t inputs = 0;  // records taken by cuts
  std::int64_t skipped = 0;
  std::int64_t failed = 0;
  std::int64_t decisions = 0;
  std::int64_t in_doubt = 0;
};

class RunAudit {
 public:
  // Accepted records in chain order. `difference`: what deciding again found, empty where equal.
  void take(const JournalRecord& record, const std::string& difference);
  // What has to hold once nothing more is to come: no open run, no incident without an end.
  void finish(bool expect_everything_ended);

  const std::vector<Violation>& violations() const { return violations_; }
  const RecordCounts& counts() const { return counts_; }
  std::size_t open_incidents() const { return open_incidents_.size(); }

 private:
  struct Run {
    std::string subject;
    std::string place;
    bool ended = false;
  };
  void take_event(const JournalRecord& record, std::size_t k, const Event& event);
  void take_run_event(const std::string& place, const Event& event);
  void violate(int invariant, const std::string& place, const std::string& what);

  std::vector<Violation> violations_;
  RecordCounts counts_;
  TimeMs tick_ms_ = 0;
  std::map<std::string, std::string> approved_;  // proposal -> content hash
  std::map<std::string, std::string> answered_;  // proposal -> who
  std::map<std::string, Run> runs_;              // by action id
  std::set<std::string> doubtful_;               // action ids that wait for a person's answer
  std::set<std::string> started_;                // start keys
  std::set<std::string> finished_;
  std::map<std::string, std::string> open_incidents_;  // -> place
  std::set<std::string> reached_people_;               // incidents
};

}  // namespace selfheal
