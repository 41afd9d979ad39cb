#pragma once
// The detector of one series: T1 on every point, T2 on the means of time buckets (on the points
// themselves where they come slower), joined into one surprise and one anomaly score.
// Pure: the same rows and values give the same bits. Not thread-safe: one row has one writer.
#include <cstddef>
#include <cstdint>

#include "decision/predictor/detector_row.hpp"

namespace selfheal {

// Decades at which an alarm is raised, at one value in 5 minutes; faster series need more, see
// interval_decades. A healthy series gives 0.15 to 0.7 such alarms a day: a candidate that other
// evidence has to confirm, never a reason to act alone.
inline constexpr float shipped_threshold_decades = 2.8f;

// The same threshold on the scale of anomaly_score.
inline constexpr double shipped_threshold_score = 0.5;

// What acts without other evidence should ask for at least this: about 0.006 a day.
inline constexpr float severe_threshold_decades = 4.0f;

struct DetectorSettings {
  std::uint32_t bucket_seconds = 60;  // width of T2's buckets, >= 1
  std::uint8_t hold_points = 150;     // after an alarm, when only one 2 decades worse counts
  float threshold_decades = shipped_threshold_decades;
  RiseLimit rise;  // log_rise 0 where a rise is no trouble
};

struct Observation {
  float decades = 0;           // surprise, comparable between series of any interval; >= 0
  float score = 0;             // anomaly score in [0, 1); held back after an alarm
  bool alarm = false;          // decades reach the threshold and are not held back
  bool held = false;           // would have been an alarm, but belongs to the one before
  std::int8_t direction = 0;   // of the larger surprise: +1 above, -1 below, 0 none
  bool bucket_closed = false;  // T2 has taken a value: the fields below are of it
  bool stuck = false;
  Edge rise_edge = Edge::none;
  bool used = false;  // false: NaN or infinite; nothing has changed and the score is 0
};

// Takes one value of a series. `wide` is null for series that have no T2 (constants).
Observation observe(T1Row& row, T2Row* wide, double value, std::uint32_t time_seconds,
                    const DetectorSettings& settings);

// Closes a bucket that has ended by `now_seconds` although no newer value has come; without one it
// does nothing. For series that have fallen silent.
Observation close_bucket(T1Row& row, T2Row& wide, std::uint32_t now_seconds,
                         const DetectorSettings& settings);

// Decades added to the threshold for equal alarms a day: log10(300 s / interval), never below 0.
float interval_decades(float interval_seconds);

// Monotone map of decades >= 0 to [0, 1): the shipped threshold is at 0.5.
double anomaly_score(double decades);

// Asks for a row ahead of its use. With 100,000 series nearly every row is a cache miss, which
// costs several times the update; batches should run about 6 rows ahead.
inline constexpr int prefetch_ahead = 6;

template <class Row>
inline void prefetch(const Row& row) {
  const char* bytes = reinterpret_cast<const char*>(&row);
  for (std::size_t offset = 0; offset < sizeof(Row); offset += 64) {
    __builtin_prefetch(bytes + offset, 1);
  }
  // Rows need not start at a cache line.
  __builtin_prefetch(bytes + sizeof(Row) - 1, 1);
}

}  // namespace selfheal
