#pragma once
// Scores a recorded metric offline: `timestamp,value` in, `timestamp,value,anomaly_score` out, the
// same rows, one pass, no look-ahead, so a file is scored just as a live series would be.
// Thread-safe for different output paths.
#include <cstdint>
#include <filesystem>

#include "base/result.hpp"
#include "decision/predictor/series_detector.hpp"

namespace selfheal {

struct PredictSummary {
  std::uint64_t files = 0;
  std::uint64_t rows = 0;     // data rows written
  std::uint64_t skipped = 0;  // of them without a number
  std::uint64_t alarms = 0;   // at the shipped threshold
};

// The header must name `timestamp` and `value`; other columns are dropped. Timestamps are
// "YYYY-MM-DD HH:MM:SS" (read as UTC) or RFC 3339, of 1970 to 2106. A value that is empty or not a
// finite number keeps its row and repeats the score of the row before; the detector does not see
// it. Any other flaw is an error that names file and line; the output then does not appear.
Result<PredictSummary> predict_file(const std::filesystem::path& input,
                                    const std::filesystem::path& output,
                                    const DetectorSettings& settings = {});

// Every *.csv below a directory, in the order of their names, into the same places below
// `output_directory`. Stops at the first error.
Result<PredictSummary> predict_tree(const std::filesystem::path& input_directory,
                                    const std::filesystem::path& output_directory,
                                    const DetectorSettings& settings = {});

}  // namespace selfheal
