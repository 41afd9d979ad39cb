#pragma once
// From surprise to a probability: how likely an episode of surprise is to be followed by trouble.
// A logistic curve fitted on labelled series is the prior; one offset per service, learned from
// outcomes, corrects it (Platt scaling with the slope held fixed). It ranks reliably: of the
// episodes said to be at 0.25 about a quarter come true. It is not sharp, and seldom above 0.5.
// Pure; not thread-safe: one row has one writer.
#include <cstdint>

namespace selfheal {

// What a service's outcomes have taught, 8 bytes. All zero is a new one.
struct LikelihoodOffset {
  float offset = 0;       // added to the log odds
  float information = 0;  // sum of p(1-p) over the outcomes; the prior's own is added on use
};
static_assert(sizeof(LikelihoodOffset) == 8);

// Probability before any outcome is known. `severity_decades` >= 0, counted as at most 6.
double cold_start_likelihood(double severity_decades);

// The same with what the service's outcomes have taught.
double likelihood(double severity_decades, const LikelihoodOffset& learned);

// Learns one outcome of a prediction that was made at this severity. The step is one of Newton's
// on the log posterior, with a prior of standard deviation 1.5 around no offset.
void learn_outcome(LikelihoodOffset& learned, double severity_decades, bool came_true);

// An episode of surprise, 8 bytes: begins at 2 decades, ends after 50 quieter points. Its severity
// is the largest surprise of its first 10 points. All zero is "no episode".
struct EpisodeRow {
  float severity_decades = 0;
  std::uint16_t points = 0;  // since the beginning, saturating; 0: none
  std::uint16_t quiet = 0;   // points in a row below 2 decades
};
static_assert(sizeof(EpisodeRow) == 8);

enum class EpisodeStep : std::uint8_t { none, begun, running, severity_final, ended };

// Takes the surprise of one point.
EpisodeStep follow_episode(EpisodeRow& row, double decades);

}  // namespace selfheal
