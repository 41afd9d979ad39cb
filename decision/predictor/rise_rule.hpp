#pragma once
// Two rules about trouble that climbs slowly enough to stay below the anomaly threshold: a latency
// that rises a given fraction above its seasonal level, and an error rate that leaves its base.
// Pure and deterministic; not thread-safe: one row has one writer.
#include <array>
#include <cstdint>
#include <type_traits>

namespace selfheal {

// A rule's change of state.
enum class Edge : std::uint8_t { none, on, off };

// How large a rise counts. The rule is a cumulative-sum test (Page, 1954) between "as usual" and
// "higher by the fraction", on the logarithm of value / seasonal level.
struct RiseLimit {
  float log_rise = 0.405465108f;  // ln(1 + rise); 0 switches the rule off
  float cost = 12;                // h: log likelihood ratio at which the rule goes on

  // rise_fraction 0.5 is "half as much again"; clamped to [0, 10].
  static RiseLimit from_fraction(double rise_fraction);
};

// State of the latency rule, 20 bytes. All zero is a new one.
struct RiseRow {
  float variance = 0;          // of the log ratio, one bucket
  float variance_8 = 0;        // of means of 8 buckets: larger than variance/8 when correlated
  float score = 0;             // cumulative sum, in [0, 2 cost]
  float mean_8 = 0;            // exponentially weighted mean of the log ratio over 8 buckets
  std::int16_t block_sum = 0;  // of the block of 8 being filled, in 1/2000
  std::uint16_t packed = 0;    // bits 0-9 buckets learnt (saturating), 10-12 in block, 13 on

  bool on() const { return (packed & 0x2000u) != 0; }
};
static_assert(sizeof(RiseRow) == 20);

// Takes one bucket: `ratio` = value / seasonal level, > 0 (others are ignored). No verdict in the
// first 16 buckets, because the spread is not known before.
Edge update(RiseRow& row, double ratio, const RiseLimit& limit);

// Whether saved bytes may be used as a row, as of the detector's rows.
bool is_sound(const RiseRow& row);

// State of the error-rate rule, 28 bytes. All zero is a new one.
struct ErrorRateRow {
  float base = 0;                         // usual ratio, in [0, 1]
  std::uint16_t count = 0;                // buckets the base has learnt from, saturating
  std::uint8_t next = 0;                  // slot of `recent` written next
  std::uint8_t over = 0;                  // consecutive buckets above the limit, saturating
  std::uint8_t on = 0;                    // 1: risen
  std::uint8_t filled = 0;                // slots of `recent` in use
  std::uint16_t reserved = 0;             // kept zero
  std::array<std::uint16_t, 8> recent{};  // the last 8 buckets, in 1/65535
};
static_assert(sizeof(ErrorRateRow) == 28);
static_assert(std::is_trivially_copyable_v<ErrorRateRow>);

// Takes the mean error ratio of one bucket; outside [0, 1] it is clamped, NaN is ignored.
// On: in 3 buckets running both the mean of the last 8 and the latest exceed error_rate_limit.
// Off: both are back below half of it. The base learns only while nothing is suspicious, with a
// horizon of 1,000 buckets; no verdict in its first 8. A base above 1/2 is never judged: a service
// that fails most of the time cannot "rise", and other rules speak of it.
Edge update(ErrorRateRow& row, double ratio);

// max(3 base, base + 0.03), but at most half-way from the base to 1, so that it can be reached.
double error_rate_limit(double base);

}  // namespace selfheal
