#pragma once
// A whole cluster from one seed: machines that crash, stall and lie about the time, a log that
// loses acknowledgements, refuses and repeats, services that fall ill. At the end the faults stop
// and everything has to converge; then the invariants are recomputed from the log alone.
#include <cstdint>
#include <string>
#include <vector>

#include "tests/simulation/schedule_shape.hpp"

namespace selfheal::simulation {

struct SimulationReport {
  std::vector<std::string> findings;  // empty: every invariant held
  std::uint64_t digest = 0;           // of everything that was decided and done
  std::int64_t decisions = 0;
  std::int64_t claims = 0;
  std::int64_t crashes = 0;
  std::int64_t effects = 0;
  std::int64_t effects_among_faults = 0;  // the others while everything came to rest
  std::int64_t in_doubt = 0;
  std::int64_t doubts_ended = 0;  // by a person
  std::int64_t incidents = 0;
  std::int64_t rewritten = 0;       // journals that lost what saved state rests on
  std::int64_t zombie_appends = 0;  // batches by an owner that had been replaced
  std::int64_t failed_cuts = 0;
  std::int64_t locks = 0;       // granted
  std::int64_t lock_waits = 0;  // runs that had to wait for theirs
  std::int64_t suspicions = 0;  // of the input: too many fell silent at once
  std::int64_t poisoned = 0;    // records skipped because each killed its shard twice

  std::int64_t disks_lost = 0;
  std::int64_t snapshots_written = 0;   // and named in a journal
  std::int64_t snapshots_restored = 0;  // by a machine that had lost its disk
  std::int64_t snapshots_refused = 0;   // spoilt or incomplete

  std::int64_t orders = 0;   // to claim, by placement, told again until followed
  std::int64_t reloads = 0;  // settings that replaced others of the same chain

  // Adds the counts, and the digests in any order.
  SimulationReport& operator+=(const SimulationReport& other);
};

SimulationReport simulate(std::uint64_t seed, const ScheduleShape& shape = long_schedule);

}  // namespace selfheal::simulation
