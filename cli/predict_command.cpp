// `selfheal predict`: the predictor alone, on recorded metrics.
#include "cli/commands.hpp"
#include "cli/predict_csv.hpp"

namespace selfheal {
namespace {

struct PredictOptions {
  std::string input;
  std::string output;
  std::string input_dir;
  std::string output_dir;
  bool json = false;
};

Exit predict(const PredictOptions& options) {
  const bool one = !options.input.empty() && !options.output.empty();
  const bool tree = !options.input_dir.empty() && !options.output_dir.empty();
  if (one == tree) {
    return fail({ErrorCode::invalid, "give --input and --output, or --input-dir and --output-dir"});
  }
  const Result<PredictSummary> summary = one ? predict_file(options.input, options.output)
                                             : predict_tree(options.input_dir, options.output_dir);
  if (!summary) return fail(summary.error());
  if (options.json) {
    print_line({{"files", summary->files},
                {"rows", summary->rows},
                {"skipped", summary->skipped},
                {"alarms", summary->alarms}});
  } else {
    std::cout << summary->rows << " rows of " << summary->files << " files scored, "
              << summary->skipped << " without a number, " << summary->alarms << " alarms\n";
  }
  return Exit::done;
}

}  // namespace

void add_predict_command(CLI::App& application, Action& action) {
  CLI::App* command =
      application.add_subcommand("predict", "Scores timestamp,value rows, one pass");
  auto options = std::make_shared<PredictOptions>();
  command->add_option("--input", options->input, "CSV with timestamp and value");
  command->add_option("--output", options->output, "The same rows with anomaly_score");
  command->add_option("--input-dir", options->input_dir, "Every *.csv below it");
  command->add_option("--output-dir", options->output_dir, "Into the same places below this");
  command->add_flag("--json", options->json, "The summary as one JSON object");
  command->callback([&action, options] { action = [options] { return predict(*options); }; });
}

}  // namespace selfheal
