// `selfheal replay`: the topics through the same code once more, without effects, compared bit for
// bit.
#include <map>
#include <vector>

#include "actors/shard_restore.hpp"
#include "cli/commands.hpp"
#include "cli/journal_source.hpp"
#include "cli/side_by_side.hpp"
#include "decision/shard/fold_version.hpp"

namespace selfheal {
namespace {

struct ReplayOptions {
  ConfigOptions config;
  std::string data_dir;
  std::string from;
  std::string to;
  std::int64_t shard = -1;
  bool json = false;
};

struct ReplayResult {
  std::int64_t compared = 0;
  std::int64_t differing = 0;
  std::int64_t inputs_lost = 0;
  std::map<std::string, std::int64_t> other_folds;  // decisions that were not compared, by version
  std::string first_difference;

  // Of a later shard.
  void add(const ReplayResult& part) {
    compared += part.compared;
    differing += part.differing;
    inputs_lost += part.inputs_lost;
    for (const auto& [version, decisions] : part.other_folds) other_folds[version] += decisions;
    if (first_difference.empty()) first_difference = part.first_difference;
  }
};

struct TimeWindow {
  TimeMs from_ms = 0;
  TimeMs to_ms = 0;
};

Result<void> replay_shard(const JournalSource& source, std::int64_t shard, Offset end,
                          const TimeWindow& window, Progress& progress, ReplayResult& result) {
  JournalWalk walk(*source.log, source.topics, shard, fresh_decoder());
  return walk.read_to(end, [&](const WalkedRecord& walked) -> Result<void> {
    progress.add(1);
    const bool batch =
        walked.acceptance == Acceptance::accepted && walked.record->kind == JournalKind::batch;
    if (!batch) return {};
    const TimeMs tick_ms = walked.record->cut.tick_ms;
    if (tick_ms < window.from_ms || tick_ms > window.to_ms) return {};
    const auto decisions = static_cast<std::int64_t>(walked.record->events.size());
    if (walked.other_fold) {
      // Only the version that decided can decide the same again.
      if (decisions > 0) {
        result.other_folds[std::to_string(walked.chain->fold_version)] += decisions;
      }
      return {};
    }
    result.compared += decisions;
    if (walked.inputs_lost) ++result.inputs_lost;
    if (walked.difference.empty()) return {};
    ++result.differing;
    if (result.first_difference.empty()) result.first_difference = walked.difference;
    return {};
  });
}

Result<TimeMs> time_or(const std::string& text, TimeMs otherwise) {
  if (text.empty()) return otherwise;
  return parse_rfc3339(text);
}

Exit replay(const ReplayOptions& options) {
  const Result<TimeMs> from_ms = time_or(options.from, 0);
  const Result<TimeMs> to_ms = time_or(options.to, INT64_MAX);
  if (!from_ms) return fail(from_ms.error().within("--from"));
  if (!to_ms) return fail(to_ms.error().within("--to"));
  if (*from_ms > *to_ms) return fail({ErrorCode::invalid, "--from is later than --to"});
  const Result<JournalSource> source = open_source(options.config, options.data_dir);
  if (!source) return fail(source.error());
  const Result<std::vector<OffsetRange>> journals = journal_ranges(*source);
  if (!journals) return fail(journals.error());
  if (options.shard >= static_cast<std::int64_t>(journals->size())) {
    return fail({ErrorCode::invalid, "--shard " + std::to_string(options.shard) +
                                         ": the last one is " +
                                         std::to_string(journals->size() - 1) + ", the fleet's"});
  }
  const auto is_wanted = [&](std::size_t shard) {
    return options.shard < 0 || shard == static_cast<std::size_t>(options.shard);
  };
  std::int64_t records = 0;
  for (std::size_t i = 0; i < journals->size(); ++i) {
    if (is_wanted(i)) records += (*journals)[i].end - (*journals)[i].begin;
  }
  Progress progress("replay", records);
  const TimeWindow window{*from_ms, *to_ms};
  std::vector<ReplayResult> parts(journals->size());
  const Result<void> done = side_by_side(parts.size(), [&](std::size_t i) -> Result<void> {
    if (!is_wanted(i)) return {};
    Result<void> one = replay_shard(*source, static_cast<std::int64_t>(i), (*journals)[i].end,
                                    window, progress, parts[i]);
    if (!one) return one.error().within("shard " + std::to_string(i));
    return {};
  });
  if (!done) return fail(done.error());
  ReplayResult result;
  for (const ReplayResult& part : parts) result.add(part);
  const bool none_of_this = result.compared == 0 && !result.other_folds.empty();
  if (options.json) {
    print_line(Json{{"compared", result.compared},
                    {"differing", result.differing},
                    {"inputs_lost", result.inputs_lost},
                    {"other_fold_versions", result.other_folds},
                    {"first_difference", result.first_difference}});
  } else {
    std::cout << "compared " << result.compared << " decisions, " << result.differing
              << " differ\n";
    if (result.inputs_lost > 0) {
      std::cout << result.inputs_lost << " cuts could not be decided again: their inputs have "
                << "expired; their recorded decisions were followed\n";
    }
    for (const auto& [version, decisions] : result.other_folds) {
      std::cout << decisions << " decisions were not compared: fold version " << version
                << " decided them, and this build's is " << fold_version << "\n";
    }
    if (result.differing > 0) std::cout << "first: " << result.first_difference << "\n";
  }
  if (none_of_this) {
    std::cerr << "nothing of this window was decided by this build's fold version, " << fold_version
              << ": replay it with the build that did\n";
  }
  return result.differing == 0 && !none_of_this ? Exit::done : Exit::did_not_hold;
}

}  // namespace

void add_replay_command(CLI::App& application, Action& action) {
  CLI::App* command = application.add_subcommand(
      "replay", "Decides again from the topics, without effects, and compares bit for bit");
  auto options = std::make_shared<ReplayOptions>();
  add_config_options(*command, options->config);
  command->add_option("--data-dir", options->data_dir, "Of a stopped service on the embedded bus");
  command->add_option("--from", options->from, "Earliest time of a cut, RFC 3339");
  command->add_option("--to", options->to, "Latest time of a cut, RFC 3339");
  command->add_option("--shard", options->shard, "Only this shard");
  command->add_flag("--json", options->json, "One JSON object");
  command->callback([&action, options] { action = [options] { return replay(*options); }; });
}

}  // namespace selfheal
