// `selfheal audit verify` and `audit export`: the chain of every shard, checked by itself.
#include <array>
#include <fstream>

#include "cli/commands.hpp"
#include "cli/topic_audit.hpp"

namespace selfheal {
namespace {

struct AuditOptions {
  ConfigOptions config;
  std::string data_dir;
  std::string file;
  std::string public_key_file;
  std::string effects_file;
  bool ended = false;
  bool deep = false;
  bool json = false;
};

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

constexpr std::array<const char*, 11> invariant_names = {
    "",
    "one chain, the same for every reader",
    "every input once, and the one decided on",
    "no effect without a committed start, one a start",
    "state follows from the journal",
    "decided again, bit for bit",
    "nothing outside is ahead of the journal",
    "time never falls",
    "approved, exactly that, within its limits",
    "locks are never over-granted and outlive what they cover",
    "every incident ends or reaches a person"};

Json to_json(const Violation& violation) {
  return Json{
      {"invariant", violation.invariant}, {"place", violation.place}, {"what", violation.what}};
}

Json to_json(const TopicAudit& audit, bool holds) {
  Json violations = Json::array();
  for (const Violation& each : audit.report().violations()) violations.push_back(to_json(each));
  Json invariants = Json::array();
  for (const auto& [number, line] : audit.report().lines()) {
    invariants.push_back(Json{{"invariant", number},
                              {"name", invariant_names[static_cast<std::size_t>(number)]},
                              {"checked", line.checked},
                              {"violated", line.violated},
                              {"not_checked", line.not_checked}});
  }
  const RecordCounts& counts = audit.counts();
  return Json{{"holds", holds},
              {"claims", counts.claims},
              {"batches", counts.batches},
              {"inputs", counts.inputs},
              {"decisions", counts.decisions},
              {"skipped", counts.skipped},
              {"failed", counts.failed},
              {"ignored", audit.ignored()},
              {"in_doubt", counts.in_doubt},
              {"open_incidents", audit.open_incidents()},
              {"first_bad", audit.first_bad()},
              {"invariants", invariants},
              {"violations", violations}};
}

void print(const TopicAudit& audit, bool deep) {
  const RecordCounts& counts = audit.counts();
  std::cout << counts.claims << " claims, " << counts.batches << " batches, " << counts.inputs
            << " inputs, " << counts.decisions << " decisions, " << counts.skipped << " skipped, "
            << counts.in_doubt << " in doubt\n";
  for (const auto& [reason, count] : audit.ignored()) {
    std::cout << "ignored " << count << " records: " << reason << "\n";
  }
  if (deep) {
    for (const auto& [number, line] : audit.report().lines()) {
      std::cout << (line.violated == 0 ? "held    " : "BROKEN  ") << number
                << (number < 10 ? "   " : "  ") << invariant_names[static_cast<std::size_t>(number)]
                << ": " << line.checked << " checked";
      if (line.violated > 0) std::cout << ", " << line.violated << " broken";
      std::cout << "\n";
      for (const std::string& part : line.not_checked) {
        std::cout << "             not checked: " << part << "\n";
      }
    }
  }
  if (!audit.first_bad().empty()) std::cout << "BROKEN at " << audit.first_bad() << "\n";
  for (const Violation& violation : audit.report().violations()) {
    std::cout << "invariant " << violation.invariant << " broken at " << violation.place << ": "
              << violation.what << "\n";
  }
  const bool saw_any = audit.counts().claims > 0;
  if (saw_any && audit.first_bad().empty() && audit.report().violations().empty()) {
    std::cout << (deep ? "every chain is whole and signed, and every invariant holds\n"
                       : "every chain is whole and signed\n");
  }
}

Exit verify(const AuditOptions& options) {
  if (!options.deep && (options.ended || !options.effects_file.empty())) {
    return fail({ErrorCode::invalid, "--ended and --effects are questions of --deep: give it too"});
  }
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
  TopicAuditOptions wanted{.deep = options.deep,
                           .public_key = *key,
                           .everything_ended = options.ended,
                           .effects_file = options.effects_file};
  std::unique_ptr<PageStore> store;
  if (options.deep && !options.data_dir.empty()) {
    Result<std::unique_ptr<PageStore>> opened = open_page_store_read_only(source->folders.state);
    if (!opened) return fail(opened.error());
    store = std::move(*opened);
    wanted.store = store.get();
    wanted.actions_folder = source->folders.actions;
  }
  TopicAudit audit(*source, std::move(wanted));
  const Result<void> done = audit.run();
  if (!done) return fail(done.error());
  const bool saw_any = audit.counts().claims > 0;
  const bool holds = saw_any && audit.first_bad().empty() && audit.report().violations().empty();
  if (options.json) {
    print_line(to_json(audit, holds));
  } else {
    print(audit, options.deep);
  }
  if (!saw_any) std::cerr << "no shard has been claimed here: there was nothing to verify\n";
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
  verifying->add_option("--data-dir", options->data_dir,
                        "Of a stopped service: its embedded bus, saved state and action files");
  verifying->add_option("--public-key", options->public_key_file,
                        "Only this key may have signed: a *.pub.json file or 64 hex digits");
  verifying->add_flag("--deep", options->deep, "Also decide again and recompute the invariants");
  verifying->add_option("--effects", options->effects_file,
                        "What targets logged: {\"action_id\":\"…\",\"attempt\":1} a line");
  verifying->add_flag("--ended", options->ended, "Nothing may be open or on its way any more");
  verifying->add_flag("--json", options->json, "One JSON object");
  verifying->callback([&action, options] { action = [options] { return verify(*options); }; });
  CLI::App* exporting =
      audit->add_subcommand("export", "Writes the journal to stdout, a line each");
  add_config_options(*exporting, options->config);
  exporting->add_option("--data-dir", options->data_dir, "Of a service on the embedded bus");
  exporting->add_flag("--json")->description("One JSON object a record, as without it");
  exporting->callback(
      [&action, options] { action = [options] { return export_journal(*options); }; });
}

}  // namespace selfheal
