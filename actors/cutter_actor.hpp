#pragma once
#include <deque>

#include "actors/bus_reader_actor.hpp"
#include "actors/clocks.hpp"
#include "actors/environment.hpp"
#include "actors/interfaces.hpp"

namespace selfheal {

// Cuts end to end that may be uncommitted: enough to hide the round trip, few enough to lose
// little.
constexpr int credit_max = 4;

struct CutterState {
  static inline const char* name = "cutter";
  EnvironmentPtr environment;
  std::unique_ptr<CutPlanner> planner;
  Chain chain;  // as it will be when everything in flight is committed; the head is not kept here
  std::shared_ptr<const Settings> settings;
  bool settings_changed = false;
  bus_reader_actor bus;
  inputs_end_actor inputs_end;
  stage_actor first_stage;
  committer_actor committer;

  bool started = false;
  bool busy = false;                // a token is in the pipeline
  bool fetching = false;            // the bus reader has been asked
  bool waiting_for_record = false;  // that is no cut: settings, a snapshot
  bool saving = false;
  bool stopped = false;   // a skip or a failed cut ends this incarnation
  bool draining = false;  // a clean stop: nothing more is taken
  int in_flight = 0;      // decided, not committed
  SupplyPtr supply;       // fetched and not yet cut
  std::deque<EmbeddedInput> inputs;
  std::deque<std::string> new_settings;
  SnapshotPtr snapshot;  // written, and not yet named by the journal
  TokenPtr last_token;
  TimeMs next_due_ms = 0;
  bool follow_up = true;          // something was said that earlier stages have not seen
  std::int64_t timer = 0;         // number of the latest
  std::int64_t timer_due_us = 0;  // when it comes, by a clock that nobody sets; 0: it has come
  // All input appended until then has been taken, as the log itself said; and the question after it
  // that has no answer yet.
  TimeMs taken_through_ms = 0;
  std::int64_t answered_at_us = 0;
  std::int64_t asked_at_us = 0;  // 0: nothing is being asked
  bool unsaved = false;
  TimeMs last_save_ms = 0;
  LogTime log_time;
  // Work of one record, to cut by time and not by count.
  double record_us = 1.0;
  // Bytes that a cut writes for each that it reads; of the last cut, what it read.
  double growth = 1.0;
  std::size_t read_bytes = 0;
};

struct CutterWiring {
  bus_reader_actor bus;
  inputs_end_actor inputs_end;
  stage_actor first_stage;
  committer_actor committer;
  Chain chain;
  std::shared_ptr<const Settings> settings;
  bool settings_changed = false;
  TimeMs log_time_ms = 0;
};

cutter_actor::behavior_type cutter(cutter_actor::stateful_pointer<CutterState> self,
                                   EnvironmentPtr environment);

}  // namespace selfheal
