#pragma once
// How long a schedule is and how densely things happen in it. Every kind is run by the same code
// and ends with the same audit; what differs between them is here.
#include <cstdint>

#include "base/time.hpp"

namespace selfheal::simulation {

// Chances are those of one step among faults where nothing else is said.
struct ScheduleShape {
  // The cluster.
  std::uint64_t services;         // that send and fall ill
  std::uint64_t partition_sides;  // two partitions once in so many throws, else one
  std::uint64_t settings_shared;  // by so many seeds in a row, as encoding settings costs much
  double two_owners;              // of a schedule: two machines that both want every shard
  double claims;                  // of one look of such a machine: that it claims
  int first_troubles;             // before the first step, so that faults fall among their runs

  // What goes wrong.
  int fault_steps;
  double lost_ack;  // of one append to a journal, as the next two
  double refused;
  double repeated;
  double crash;  // of one owner, as the next
  double pause;
  int pause_steps_min;
  std::uint64_t pause_steps_drawn;
  double poison;
  double lost_disk;
  double lost_tail;  // of a schedule

  // What happens besides.
  double delivery;
  double short_wait;
  DurationMs short_wait_ms;
  double long_wait;
  double illness;
  double probe;
  double failure;
  double nonsense;
  double answer;
  double answer_to_doubts;        // where there are many
  double reload;                  // new settings, where there are any
  std::int64_t snapshot_records;  // a snapshot is due after so many
  double snapshot;                // where one is due

  // How it comes to rest: in rounds of steps, with time passing between them.
  int rounds_min;
  int steps_per_round;
  DurationMs round_ms;
  int rounds_per_probe;
  int rounds_per_answer;
  int rounds_per_look;  // whether everything rests
  int look_steps_max;
  int lost_disk_round;
};

inline constexpr ScheduleShape long_schedule{
    .services = 4,
    .partition_sides = 2,
    .settings_shared = 1,
    .two_owners = 0.5,
    .claims = 1,
    .first_troubles = 0,
    .fault_steps = 350,
    .lost_ack = 0.02,
    .refused = 0.02,
    .repeated = 0.05,
    .crash = 0.01,
    .pause = 0.004,
    .pause_steps_min = 20,
    .pause_steps_drawn = 300,
    .poison = 0.01,
    .lost_disk = 0.005,
    .lost_tail = 0.1,
    .delivery = 0.6,
    .short_wait = 0.1,
    .short_wait_ms = 400,
    .long_wait = 0.01,
    .illness = 0.02,
    .probe = 0.12,
    .failure = 0.02,
    .nonsense = 0.005,
    .answer = 0.01,
    .answer_to_doubts = 0.05,
    .reload = 0.008,
    .snapshot_records = 25,
    .snapshot = 0.1,
    .rounds_min = 20,
    .steps_per_round = 30,
    .round_ms = 900,
    .rounds_per_probe = 2,
    .rounds_per_answer = 10,
    .rounds_per_look = 10,
    .look_steps_max = 600,
    .lost_disk_round = 12,
};

// About one incident, which is there from the beginning, and a few faults around it. Costs are
// those of records, each of which many read: so few are written that need not be, and time takes
// strides.
inline constexpr ScheduleShape short_schedule{
    .services = 2,
    .partition_sides = 5,
    .settings_shared = 32,
    .two_owners = 0.5,
    .claims = 0.1,
    .first_troubles = 1,
    .fault_steps = 70,
    .lost_ack = 0.06,
    .refused = 0.06,
    .repeated = 0.1,
    .crash = 0.008,
    .pause = 0.008,
    .pause_steps_min = 5,
    .pause_steps_drawn = 40,
    .poison = 0.01,
    .lost_disk = 0.01,
    .lost_tail = 0.05,
    .delivery = 1,
    .short_wait = 0.3,
    .short_wait_ms = 600,
    .long_wait = 0.03,
    .illness = 0,
    .probe = 0.02,
    .failure = 0.001,
    .nonsense = 0.005,
    .answer = 0.12,
    .answer_to_doubts = 0.1,
    .reload = 0.02,
    .snapshot_records = 9,
    .snapshot = 0.3,
    .rounds_min = 2,
    .steps_per_round = 16,
    .round_ms = 6000,
    .rounds_per_probe = 2,
    .rounds_per_answer = 4,
    .rounds_per_look = 1,
    .look_steps_max = 30,
    .lost_disk_round = 2,
};

}  // namespace selfheal::simulation
