// `selfheal audit verify` and `audit export`: the chain of every shard, checked by itself.
#include <fstream>
#include <map>

#include "actors/shard_restore.hpp"
#include "cli/commands.hpp"
#include "cli/journal_source.hpp"
#include "decision/shard/invariants.hpp"

namespace selfheal {
namespace {

struct AuditOptions {
  ConfigOptions config;
  std::string data_dir;
  std::string file;
  std::string public_key_file;
  bool deep = false;
  bool json = false;
};

struct AuditResult {
  RecordCounts counts;
  std::map<std::string, std::int64_t> ignored;
  std::string first_bad;
  std::vector<Violation> violations;
};

// Ignored records that an honest cluster produces: replaced owners, retries, lost races.
bool is_honest(Acceptance acceptance, const JournalRecord& record, const Chain& chain) {
  if (acceptance == Acceptance::stale_epoch) return true;
  if (acceptance == Acceptance::wrong_seq) return record.seq <= chain.seq;
  return false;
}

void add_counts(RecordCounts& sum, const RecordCounts& part) {
  sum.claims += part.claims;
  sum.batches += part.batches;
  sum.inputs += part.inputs;
  sum.skipped += part.skipped;
  sum.failed += part.failed;
  sum.decisions += part.decisions;
  sum.in_doubt += part.in_doubt;
}

Result<std::string> trusted_key(const std::string& file) {
  if (file.empty()) return std::string();
  std::ifstream stream(file);
  const std::string text((std::istreambuf_iterator<char>(stream)), {});
  if (!stream && text.empty()) return Error{ErrorCode::not_found, "cannot read " + file};
  const Result<Json> json = parse_json(text);
  if (json && json->is_object()) return json->value("public_key", std::string());
  std::string key = text;
  while (!key.empty() && (key.back() == '\n' || key.back() == ' ')) key.pop_back();
  return key;
}

Result<void> verify_shard(const JournalSource& source, std::int64_t shard, bool deep,
                          const std::string& key, AuditResult& result) {
  JournalWalk walk(*source.log, source.topics, shard, fresh_decoder(), {.fold = deep});
  InvariantChecker checker;
  const Result<OffsetRange> range = source.log->range(source.topics.journal_of(shard));
  if (!range) return range.error();
  const auto bad = [&](const WalkedRecord& walked, const std::string& why) {
    if (!result.first_bad.empty()) return;
    result.first_bad = "shard " + std::to_string(shard) + " offset " +
                       std::to_string(walked.read->offset) + ": " + why;
  };
  const Result<void> read =
      walk.read_to(range->end, [&](const WalkedRecord& walked) -> Result<void> {
        if (walked.acceptance == Acceptance::accepted) {
          if (!key.empty() && walked.chain->public_key != key) {
            bad(walked, "signed with another key than the given one");
          }
          checker.take(*walked.record, walked.difference);
          return {};
        }
        ++result.ignored[to_string(walked.acceptance)];
        const bool honest =
            walked.record != nullptr && is_honest(walked.acceptance, *walked.record, *walked.chain);
        if (!honest) bad(walked, to_string(walked.acceptance));
        return {};
      });
  if (!read) return read;
  add_counts(result.counts, checker.counts());
  result.violations.insert(result.violations.end(), checker.violations().begin(),
                           checker.violations().end());
  return {};
}

Json to_json(const AuditResult& result, bool holds) {
  Json violations = Json::array();
  for (const Violation& violation : result.violations) {
    violations.push_back(Json{
        {"invariant", violation.invariant}, {"place", violation.place}, {"what", violation.what}});
  }
  return Json{{"holds", holds},
              {"claims", result.counts.claims},
              {"batches", result.counts.batches},
              {"inputs", result.counts.inputs},
              {"decisions", result.counts.decisions},
              {"skipped", result.counts.skipped},
              {"failed", result.counts.failed},
              {"ignored", result.ignored},
              {"in_doubt", result.counts.in_doubt},
              {"first_bad", result.first_bad},
              {"violations", violations}};
}

void print(const AuditResult& result, bool deep) {
  std::cout << result.counts.claims << " claims, " << result.counts.batches << " batches, "
            << result.counts.inputs << " inputs, " << result.counts.decisions << " decisions, "
            << result.counts.skipped << " skipped, " << result.counts.in_doubt << " in doubt\n";
  for (const auto& [reason, count] : result.ignored) {
    std::cout << "ignored " << count << " records: " << reason << "\n";
  }
  if (!result.first_bad.empty()) std::cout << "BROKEN at " << result.first_bad << "\n";
  for (const Violation& violation : result.violations) {
    std::cout << "invariant " << violation.invariant << " broken at " << violation.place << ": "
              << violation.what << "\n";
  }
  if (result.first_bad.empty() && result.violations.empty()) {
    std::cout << (deep ? "every chain is whole and signed, and every invariant holds\n"
                       : "every chain is whole and signed\n");
  }
}

Exit verify(const AuditOptions& options) {
  const Result<JournalSource> source = options.file.empty()
                                           ? open_source(options.config, options.data_dir)
                                           : open_export(options.file);
  if (!source) return fail(source.error());
  if (options.deep && !options.file.empty()) {
    return fail({ErrorCode::invalid,
                 "--deep decides again, which needs the inputs: give the bus or "
                 "a data_dir, not an export"});
  }
  const Result<std::string> key = trusted_key(options.public_key_file);
  if (!key) return fail(key.error());
  AuditResult result;
  for (std::int64_t shard = 0; shard < source->shards; ++shard) {
    const Result<void> done = verify_shard(*source, shard, options.deep, *key, result);
    if (!done) return fail(done.error().within("shard " + std::to_string(shard)));
  }
  const bool holds = result.first_bad.empty() && result.violations.empty();
  if (options.json) {
    print_line(to_json(result, holds));
  } else {
    print(result, options.deep);
  }
  return holds ? Exit::done : Exit::did_not_hold;
}

Exit export_journal(const AuditOptions& options) {
  const Result<JournalSource> source = open_source(options.config, options.data_dir);
  if (!source) return fail(source.error());
  for (std::int64_t shard = 0; shard < source->shards; ++shard) {
    const TopicPartition where = source->topics.journal_of(shard);
    const Result<OffsetRange> range = source->log->range(where);
    if (!range) return fail(range.error());
    const Result<void> read =
        read_range(*source->log, where, *range,
                   [&](const RecordBatch& batch, const LogReader&) -> Result<void> {
                     for (const RecordView& record : batch.records) {
                       print_line(Json{{"shard", shard},
                                       {"offset", record.offset},
                                       {"append_time_ms", record.append_time_ms},
                                       {"value", std::string(record.value)}});
                     }
                     return {};
                   });
    if (!read) return fail(read.error());
  }
  return Exit::done;
}

}  // namespace

void add_audit_command(CLI::App& application, Action& action) {
  CLI::App* audit = application.add_subcommand("audit", "The signed chain: verify it, export it");
  audit->require_subcommand(1);
  auto options = std::make_shared<AuditOptions>();
  CLI::App* verifying =
      audit->add_subcommand("verify", "Checks chain and signatures; names the first bad record");
  add_config_options(*verifying, options->config);
  verifying->add_option("file", options->file, "An export; without it the bus is read");
  verifying->add_option("--data-dir", options->data_dir, "Of a service on the embedded bus");
  verifying->add_option("--public-key", options->public_key_file,
                        "Only this key may have signed: a *.pub.json file or 64 hex digits");
  verifying->add_flag("--deep", options->deep, "Also decide again and recompute the invariants");
  verifying->add_flag("--json", options->json, "One JSON object");
  verifying->callback([&action, options] { action = [options] { return verify(*options); }; });
  CLI::App* exporting =
      audit->add_subcommand("export", "Writes the journal to stdout, a line each");
  add_config_options(*exporting, options->config);
  exporting->add_option("--data-dir", options->data_dir, "Of a service on the embedded bus");
  exporting->callback(
      [&action, options] { action = [options] { return export_journal(*options); }; });
}

}  // namespace selfheal
