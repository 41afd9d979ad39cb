#pragma once
// The state of the anomaly detector for one series, and its update: one pass, no look-ahead.
// T1 (96 bytes) sees every raw point. T2 (192 bytes) sees the means of time buckets, or the points
// themselves where they come slower than a bucket, and adds the season and two rules.
//
// Both keep several views of the value (residual from a 10-point mean, 30-point mean, local log
// variance, T2 also the residual from the hour of day), each a squared z-score against a winsorised
// exponentially weighted mean with a horizon of 4,000 points. Per view and side of the mean a
// stochastic-approximation quantile (Robbins and Monro, 1951) tracks the 98 % point; beyond it an
// exponential tail gives the surprise in decades: 3 means "one in a thousand".
//
// Rows are trivially copyable and have no padding: they may be saved and loaded as bytes. All zero
// bytes are a valid new row. Only + - * / sqrt, integers and bit casts are used, so a row is the
// same to the last bit on every CPU. Not thread-safe: one row has one writer.
#include <array>
#include <cstdint>
#include <type_traits>

#include "decision/predictor/rise_rule.hpp"

namespace selfheal {

// Mean and variance of a quantity, as the exponentially weighted pair.
struct Spread {
  float mean = 0;
  float variance = 0;
};

// One side of one view, in units of 1/4096 of a natural logarithm.
struct Tail {
  std::uint16_t quantile = 0;  // tracked 98 % point of log(1 + z^2)/2
  std::uint16_t excess = 0;    // mean excess above it
};

// Upper and lower side of a view.
using TailPair = std::array<Tail, 2>;

// What T1 and T2 share. Values are held relative to `reference`, so that float precision is spent
// on how a series moves and not on how far from zero it lies.
struct SeriesCore {
  double reference = 0;
  std::uint32_t time_seconds = 0;  // of the latest value, since 1970
  std::uint32_t count = 0;         // values seen
  float previous = 0;
  float mean_10 = 0;
  float mean_30 = 0;
  float step_variance = 0;     // mean square of the last 10 differences or so
  float interval_seconds = 0;  // mean time between values
  Spread residual_10;
  Spread level_30;
  Spread log_variance;
  std::uint32_t link = 0;  // free for the owner of the row, e.g. an index; never read here
};

struct T1Row {
  SeriesCore core;
  std::array<TailPair, 3> tails{};
  float bucket_sum = 0;            // of the open bucket, relative to core.reference
  std::uint16_t bucket_count = 0;  // saturates; the mean is then of the first 65,535 points
  std::uint8_t hold = 0;           // points for which further alarms are still held back
  std::uint8_t held_peak = 0;      // of the alarm that began the hold, in 1/16 decade
};

struct T2Row {
  SeriesCore core;
  std::array<TailPair, 4> tails{};
  Spread seasonal;                         // of season_residual
  float season_residual = 0;               // 6-point mean of value - season
  std::array<std::uint16_t, 24> season{};  // hourly means, upper half of a float, UTC
  std::uint32_t season_mask = 0;           // bit h: hour h has been seen
  std::uint16_t hour_count = 0;            // values in the current hour
  std::uint16_t seasonal_count = 0;        // values the seasonal view has learnt from
  std::uint8_t hour = 0;                   // current hour, 0-23
  std::uint8_t first_day = 0;              // 1: the current hour is seen for the first time
  std::uint8_t stuck = 0;                  // 1: the stuck rule is on
  std::uint8_t reserved = 0;               // kept zero
  std::uint16_t run = 0;                   // values equal to their predecessor, up to now
  std::uint16_t longest_run = 0;           // of the runs that have ended
  RiseRow rise;
};

static_assert(sizeof(SeriesCore) == 64);
static_assert(sizeof(T1Row) == 96);
static_assert(sizeof(T2Row) == 192);
static_assert(sizeof(T1Row) + sizeof(T2Row) == 288, "the promised state per series");
static_assert(std::is_trivially_copyable_v<T1Row> && std::is_trivially_copyable_v<T2Row>);

// What one value did to a row.
struct Surprise {
  float decades = 0;            // 0 to 46; 0 for all but about 2 % of values per view and side
  std::int8_t direction = 0;    // +1 above what was usual, -1 below, 0 no surprise
  bool stuck = false;           // T2: the series varied and no longer does
  Edge rise_edge = Edge::none;  // T2: the rise rule went on or off with this value
  bool used = false;            // false: NaN or infinite, the row is unchanged
};

// Takes one raw point. `time_seconds` since 1970; where it does not advance, no time has passed but
// the value counts. |value| is clamped to 1e18.
Surprise update(T1Row& row, double value, std::uint32_t time_seconds);

// Takes one bucket mean (time: the start of the bucket) or one slow point. A `rise` with log_rise 0
// switches the rise rule off: for metrics where "half as much again" is no trouble.
Surprise update(T2Row& row, double value, std::uint32_t time_seconds, const RiseLimit& rise);

// The level that T2 expects at that time, in the unit of the series. On an hour's first day this
// is the running mean of the hour, blended with the hour before; `known` is false before that.
struct SeasonalLevel {
  double value = 0;
  bool known = false;
};
SeasonalLevel seasonal_level(const T2Row& row, std::uint32_t time_seconds);

// Whether saved bytes may be used as a row: every number is finite, no variance is negative, and
// the hour is one of a day. Every row that update() leaves behind is; it must be given no other.
bool is_sound(const T1Row& row);
bool is_sound(const T2Row& row);

// Makes the present level the usual one: forgets the season and ends the rise rule. For a lasting
// change that a person has accepted; while the rule is on the season does not learn by itself.
void accept_level(T2Row& row);

}  // namespace selfheal
