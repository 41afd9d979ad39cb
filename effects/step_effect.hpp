#pragma once
// The hands: how a committed start becomes an effect, at most once a start, and how the next owner
// finds out what became of it.
//
// A `run` step is carried out by the action shim, a process of its own in a session of its own, so
// that it and its child outlive a killed service. Its durable files, one folder a start
// (<actions_folder>/<action_id>/<step>[.rollback].<attempt>/), are written in this order:
//   1 lock      flock, held by shim and child: held means "still running"
//   2 result?   exists: it is returned, nothing runs
//   3 started?  exists without result and the lock is free: it died in the middle, in doubt
//   4 fence     <actions_folder>/fence-<shard> holds a higher epoch: refused
//   5 valid?    later than valid_until_ms: expired, nothing ran
//   6 started   created exclusively, file and folder synced
//   7 the effect, with its time limit; at the limit its whole process group is killed
//   8 result    written aside, synced, renamed, folder synced
// Whoever follows this order runs a start at most once. An `http` step goes the same way. A
// `publish` step follows it inside the service, which has the bus: it dies with the service, and
// the files then say that it was begun.
#include <functional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"
#include "decision/playbook.hpp"
#include "topics/embedded_input.hpp"

namespace selfheal {

// What became of a record that was handed to the bus.
struct PublishEnd {
  // refused: it is not there and never will be. unknown: the bus has not said that it is stored.
  enum class Kind : std::uint8_t { stored, refused, unknown };
  Kind kind = Kind::unknown;
  std::string detail;  // for people
};

struct EffectContext {
  std::string actions_folder;
  std::string secrets_folder;  // one file a secret
  std::string program;         // this executable: `program effect-shim` is the shim
  std::function<TimeMs()> now_ms;
  // Writes a record with that key among its headers and waits for the bus's word, at most
  // `limit_ms`. Empty in the shim, which has no bus.
  std::function<PublishEnd(const PublishCall& record, const std::string& idempotency_key,
                           DurationMs limit_ms)>
      publish;
  // Tests end the process at a named point: before_spawn, after_started, after_effect,
  // after_result.
  std::function<void(const char* point)> failpoint = [](const char*) {};
};

// One committed start. `what` has its variables replaced already.
struct StepOrder {
  std::string action_id;
  std::int64_t shard = 0;
  std::int64_t step = 0;
  std::int64_t attempt = 1;
  bool rollback = false;
  std::int64_t epoch = 0;     // the fence
  TimeMs valid_until_ms = 0;  // by this machine's clock
  std::int64_t runtime_limit_ms = 0;
  std::string incident_id;
  std::string service;
  Step what;
  std::vector<std::string> secrets;  // names; values are read here and scrubbed from the output
};

// Carries the start out and waits for its end. Never throws; what went wrong is in the status.
// Blocks up to the runtime limit and a little more: a thread of its own.
StepResult carry_out(const StepOrder& order, const EffectContext& context);

// What the durable files say of a start whose answer never came.
enum class StepTrace : std::uint8_t {
  none,      // nothing was begun
  running,   // shim or child still hold the lock
  finished,  // the result is there
  died,      // begun, not finished, nobody holds the lock
};
struct TracedStep {
  StepTrace trace = StepTrace::none;
  StepResult result;  // where finished
};
TracedStep trace_step(const StepOrder& order, const EffectContext& context);

// Waits for a running start of an earlier owner and returns its result; in doubt where it dies.
StepResult await_step(const StepOrder& order, const EffectContext& context);

// No start of an epoch below this one may begin from this folder from now on. Durable. Called by
// the epoch's owner before it starts anything. Returns the epochs whose owners called it in this
// same folder before: of their starts, and of no others, it can be said that what has not begun
// never will. A folder that was lost, or that another process does not use, has none of them.
Result<std::vector<std::int64_t>> raise_fence(const EffectContext& context, std::int64_t shard,
                                              std::int64_t epoch);

// Looks at a condition (http, tcp, run, promql) once. Reads only. Blocks up to the condition's own
// timeout; a condition of kind metric is a bug here.
struct ProbeAnswer {
  bool holds = false;
  std::string detail;  // at most 512 bytes, for people
};
ProbeAnswer look(const Condition& condition, const EffectContext& context);

// The shim's own main: reads one order as JSON from stdin, never from argv (secrets), and leaves
// the result in the files and on stdout. Returns the process's exit code.
int effect_shim_main(const EffectContext& context);

}  // namespace selfheal
