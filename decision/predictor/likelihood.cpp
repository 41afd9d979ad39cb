#include "decision/predictor/likelihood.hpp"

#include <algorithm>

#include "base/math.hpp"

namespace selfheal {
namespace {

// Log odds of trouble, linear in the severity.
constexpr double middle_decades = 3;
constexpr double log_odds_at_middle = -1.34;
constexpr double log_odds_per_decade = 0.75;
constexpr double largest_severity = 6;  // beyond it more surprise says nothing more
constexpr double prior_information = 1 / (1.5 * 1.5);
constexpr double largest_offset = 6;  // e^6 is 400 to 1: no history may be surer than that

constexpr double episode_from = 2;
constexpr std::uint16_t severity_points = 10;
constexpr std::uint16_t quiet_points = 50;

// Also right for NaN, which compares false: the least severity.
double log_odds(double severity_decades) {
  const double severity = severity_decades > 0 ? std::min(severity_decades, largest_severity) : 0.0;
  return log_odds_at_middle + log_odds_per_decade * (severity - middle_decades);
}

}  // namespace

double cold_start_likelihood(double severity_decades) {
  return math::sigmoid(log_odds(severity_decades));
}

double likelihood(double severity_decades, const LikelihoodOffset& learned) {
  return math::sigmoid(log_odds(severity_decades) + static_cast<double>(learned.offset));
}

void learn_outcome(LikelihoodOffset& learned, double severity_decades, bool came_true) {
  const double expected = likelihood(severity_decades, learned);
  const double information = static_cast<double>(learned.information) + expected * (1 - expected);
  const double step = ((came_true ? 1.0 : 0.0) - expected) / (information + prior_information);
  // Later outcomes move the offset less, as they should: there are more before them.
  learned.information = static_cast<float>(information);
  learned.offset = static_cast<float>(
      std::clamp(static_cast<double>(learned.offset) + step, -largest_offset, largest_offset));
}

EpisodeStep follow_episode(EpisodeRow& row, double decades) {
  const bool loud = decades >= episode_from;
  if (row.points == 0) {
    if (!loud) return EpisodeStep::none;
    row = {static_cast<float>(decades), 1, 0};
    return EpisodeStep::begun;
  }
  if (row.points < UINT16_MAX) ++row.points;
  row.quiet = static_cast<std::uint16_t>(loud ? 0 : row.quiet + 1);
  if (row.quiet >= quiet_points) {
    row = EpisodeRow{};
    return EpisodeStep::ended;
  }
  // What comes later may be the trouble itself; the prediction has to be made before.
  if (row.points > severity_points) return EpisodeStep::running;
  row.severity_decades = std::max(row.severity_decades, static_cast<float>(decades));
  return row.points == severity_points ? EpisodeStep::severity_final : EpisodeStep::running;
}

}  // namespace selfheal
