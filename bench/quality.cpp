// Scores every CSV below a directory and says how fast that went:
//   selfheal_quality DATA_DIRECTORY RESULT_DIRECTORY
// The results can then be given to the Numenta Anomaly Benchmark's scorer. The data is not part of
// the project; where the directory is absent the program says that it skipped, and succeeds.
#include <chrono>
#include <cstdio>
#include <filesystem>

#include "cli/predict_csv.hpp"

int main(int argument_count, char** arguments) {
  if (argument_count != 3) {
    std::fprintf(stderr, "usage: %s DATA_DIRECTORY RESULT_DIRECTORY\n", arguments[0]);
    return 2;
  }
  if (!std::filesystem::is_directory(arguments[1])) {
    std::printf("skipped: there is no directory %s\n", arguments[1]);
    return 0;
  }
  const auto start = std::chrono::steady_clock::now();
  const auto summary = selfheal::predict_tree(arguments[1], arguments[2]);
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  if (!summary) {
    std::fprintf(stderr, "%s\n", summary.error().context.c_str());
    return 1;
  }
  std::printf("%llu files, %llu rows, %llu without a number, %llu alarms, %.2f s\n",
              static_cast<unsigned long long>(summary->files),
              static_cast<unsigned long long>(summary->rows),
              static_cast<unsigned long long>(summary->skipped),
              static_cast<unsigned long long>(summary->alarms), elapsed.count());
  std::printf("shipped threshold of anomaly_score: %g\n", selfheal::shipped_threshold_score);
  return 0;
}
