#pragma once
// Internal to the detector: 24 hourly means (UTC) of a series, 48 bytes, linear between the middles
// of the hours. Stored as the upper half of a float with dithered rounding, so that steps smaller
// than a stored one still add up.
#include <cstdint>

#include "decision/predictor/detector_row.hpp"

namespace selfheal {

struct SeasonView {
  float value = 0;        // relative to the row's reference; the long mean where nothing is known
  bool complete = false;  // both hours that it lies between have been seen
};

// Notes that a value of this time comes next: counts it, and begins a new hour where it is one.
void enter_hour(T2Row& row, std::uint32_t time_seconds);

SeasonView view_season(const T2Row& row, std::uint32_t time_seconds);

// Learns a value (relative to the reference) for the current hour. `season` is what was expected.
void learn_season(T2Row& row, float x, float dt_seconds, const SeasonView& season);

// Whether every hourly mean is a number.
bool has_finite_season(const T2Row& row);

// The reference has moved by `shift`.
void shift_season(T2Row& row, float shift);

}  // namespace selfheal
