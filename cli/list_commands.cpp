// `selfheal incidents|proposals|runs|playbooks|breakers|locks|fleet`: what a service knows, running
// or stopped.
#include <algorithm>
#include <filesystem>

#include "base/percent_encoding.hpp"
#include "cli/commands.hpp"
#include "cli/incident_story.hpp"
#include "cli/service_source.hpp"
#include "config/yaml_reader.hpp"

namespace selfheal {
namespace {

struct ListOptions {
  SourceOptions source;
  std::string state;
  std::string service;
  std::string id;
  std::vector<std::string> files;
};

struct Column {
  const char* title;
  const char* member;
};

const std::vector<Column> lock_columns = {
    {"TARGET", "target"},   {"STATE", "state"},    {"RUN", "id"},         {"PLAYBOOK", "playbook"},
    {"SERVICE", "service"}, {"SINCE", "since_ms"}, {"UNTIL", "until_ms"}, {"WAITS FOR", "reason"}};

std::string cell(const Json& row, const char* member) {
  const auto found = row.find(member);
  if (found == row.end() || found->is_null()) return "-";
  if (std::string_view(member).ends_with("_ms")) {
    return *found == 0 ? "-" : readable_time(*found);
  }
  if (found->is_array()) {
    std::string joined;
    for (const Json& each : *found) {
      joined +=
          (joined.empty() ? "" : ",") + (each.is_string() ? each.get<std::string>() : dump(each));
    }
    return joined.empty() ? "-" : joined;
  }
  const std::string text = found->is_string() ? found->get<std::string>() : dump(*found);
  return text.empty() ? "-" : text;
}

void print_table(const Json& rows, const std::vector<Column>& columns) {
  std::vector<std::vector<std::string>> lines(1);
  for (const Column& column : columns) lines[0].emplace_back(column.title);
  for (const Json& row : rows) {
    std::vector<std::string>& line = lines.emplace_back();
    for (const Column& column : columns) line.push_back(cell(row, column.member));
  }
  std::vector<std::size_t> widths(columns.size(), 0);
  for (const auto& line : lines) {
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  }
  for (const auto& line : lines) {
    for (std::size_t i = 0; i < line.size(); ++i) {
      const bool last = i + 1 == line.size();
      std::cout << line[i] << (last ? "\n" : std::string(widths[i] - line[i].size() + 2, ' '));
    }
  }
}

Exit list(const ListOptions& options, const std::string& path, const std::vector<Column>& columns) {
  const Result<ServiceSource> source = ServiceSource::open(options.source);
  if (!source) return fail(source.error());
  const Result<Json> rows = source->get(path + "?state=" + percent_encoded(options.state) +
                                        "&service=" + percent_encoded(options.service));
  if (!rows) return fail(rows.error());
  if (options.source.json) {
    for (const Json& row : *rows) print_line(row);
  } else if (rows->empty()) {
    std::cout << "none\n";
  } else {
    print_table(*rows, columns);
  }
  return Exit::done;
}

Exit show(const ListOptions& options, const std::string& path) {
  const Result<ServiceSource> source = ServiceSource::open(options.source);
  if (!source) return fail(source.error());
  const Result<Json> found = source->get(path + "/" + percent_encoded(options.id));
  if (!found) {
    const Exit code = fail(found.error());
    // The command was right; what it asked for is not there.
    return found.error().code == ErrorCode::not_found ? Exit::did_not_hold : code;
  }
  if (options.source.json) {
    print_line(*found);
  } else if (path == "/api/incidents") {
    std::cout << incident_story(*found);
  } else {
    std::cout << found->dump(2) << "\n";
  }
  return Exit::done;
}

Exit show_fleet(const ListOptions& options) {
  const Result<ServiceSource> source = ServiceSource::open(options.source);
  if (!source) return fail(source.error());
  const Result<Json> fleet = source->get("/api/fleet");
  if (!fleet) return fail(fleet.error());
  if (options.source.json) {
    print_line(*fleet);
    return Exit::done;
  }
  const Json& lease = fleet->at("lease");
  const std::string owner = cell(lease, "owner");
  std::cout << "fleet-wide role  " << (owner == "-" ? "nobody" : owner);
  if (cell(lease, "until_ms") != "-") {
    std::cout << ", falls free at " << cell(lease, "until_ms") << " if silent";
  }
  const Json& limits = fleet->at("limits");
  std::cout << "\nunder repair     " << cell(*fleet, "concurrent") << " of "
            << cell(limits, "fleet_concurrent") << ", at most "
            << cell(limits, "fleet_starts_per_minute") << " begun a minute\n";
  Json rows = fleet->at("locks");
  for (const Json& each : fleet->at("waiting")) rows.push_back(each);
  if (!rows.empty()) print_table(rows, lock_columns);
  return Exit::done;
}

// A folder stands for the playbooks in it.
Result<std::vector<std::string>> files_at(const std::string& place) {
  std::error_code failure;
  if (std::filesystem::is_directory(place, failure)) return playbook_files(place);
  return std::vector<std::string>{place};
}

Exit lint(const ListOptions& options) {
  std::vector<std::string> places = options.files;
  const Result<LoadedConfig> loaded = load(options.source.config);
  if (!loaded) return fail(loaded.error());
  if (places.empty()) {
    places = {loaded->config.playbooks_dir};
    if (places[0].empty()) return fail({ErrorCode::not_found, "no playbooks_dir is configured"});
  }
  std::size_t findings = 0;
  std::size_t checked = 0;
  for (const std::string& place : places) {
    const Result<std::vector<std::string>> files = files_at(place);
    if (!files) return fail(files.error());
    for (const std::string& file : *files) {
      const Result<Playbook> playbook = read_playbook(file, loaded->config.topics.prefix);
      const std::string found = playbook ? std::string() : playbook.error().context;
      ++checked;
      if (!found.empty()) ++findings;
      if (options.source.json) {
        print_line({{"file", file}, {"passed", found.empty()}, {"finding", found}});
      } else if (!found.empty()) {
        std::cout << found << "\n";
      }
    }
  }
  if (!options.source.json) std::cout << checked << " playbooks, " << findings << " findings\n";
  return findings == 0 ? Exit::done : Exit::did_not_hold;
}

struct Listing {
  const char* name;
  const char* help;
  const char* path;
  std::vector<Column> columns;
  bool shown = false;  // has `show ID`
  // What `list` can be narrowed by.
  bool by_state = true;
  bool by_service = true;
  const char* order = "All of them, newest first";
};

CLI::App* add_listing(CLI::App& application, Action& action, const Listing& listing) {
  CLI::App* command = application.add_subcommand(listing.name, listing.help);
  command->require_subcommand(1);
  auto options = std::make_shared<ListOptions>();
  CLI::App* all = command->add_subcommand("list", listing.order);
  add_source_options(*all, options->source);
  if (listing.by_state) all->add_option("--state", options->state, "Only those in this state");
  if (listing.by_service) {
    all->add_option("--service", options->service, "Only those of this service");
  }
  all->callback([&action, options, listing] {
    action = [options, listing] { return list(*options, listing.path, listing.columns); };
  });
  if (!listing.shown) return command;
  CLI::App* one = command->add_subcommand("show", "One of them, whole");
  add_source_options(*one, options->source);
  one->add_option("id", options->id, "Its id or name")->required();
  one->callback([&action, options, listing] {
    action = [options, listing] { return show(*options, listing.path); };
  });
  return command;
}

}  // namespace

void add_list_commands(CLI::App& application, Action& action) {
  add_listing(application, action,
              {"incidents",
               "Trouble, open and past",
               "/api/incidents",
               {{"ID", "id"},
                {"OPENED", "opened_ms"},
                {"SERVICE", "service"},
                {"CODE", "code"},
                {"STATE", "state"},
                {"PLAYBOOK", "playbook"},
                {"OUTCOME", "outcome"}},
               true});
  add_listing(application, action,
              {"proposals",
               "What was proposed, and what became of it",
               "/api/proposals",
               {{"ID", "id"},
                {"PROPOSED", "opened_ms"},
                {"SERVICE", "service"},
                {"PLAYBOOK", "playbook"},
                {"RISK", "risk"},
                {"STATE", "state"},
                {"APPROVED BY", "approved_by"}},
               true});
  add_listing(application, action,
              {"runs",
               "What was done",
               "/api/runs",
               {{"ID", "id"},
                {"BEGAN", "opened_ms"},
                {"SERVICE", "service"},
                {"PLAYBOOK", "playbook"},
                {"MODE", "mode"},
                {"STATE", "state"},
                {"OUTCOME", "outcome"},
                {"IN DOUBT SINCE", "in_doubt_since_ms"}},
               true});
  add_listing(application, action,
              {"breakers",
               "Circuit breakers: which playbook is left alone, and until when",
               "/api/breakers",
               {{"PLAYBOOK", "playbook"},
                {"RESOURCE KIND", "resource_kind"},
                {"SHARD", "shard"},
                {"STATE", "state"},
                {"FAILURES", "failures"},
                {"OPENS AT", "failures_max"},
                {"OPEN UNTIL", "open_until_ms"},
                {"REASON", "reason"}},
               false,
               true,
               false,
               "All that have counted a failure"});
  add_listing(application, action,
              {"locks", "Locks of targets: who holds them until when, and who waits for what",
               "/api/locks", lock_columns, false, true, true, "All of them"});
  auto fleet = std::make_shared<ListOptions>();
  CLI::App* show_it = application.add_subcommand(
      "fleet", "Who has the fleet-wide role, the fleet's limits, and its locks");
  add_source_options(*show_it, fleet->source);
  show_it->callback([&action, fleet] { action = [fleet] { return show_fleet(*fleet); }; });
  CLI::App* playbooks = add_listing(application, action,
                                    {"playbooks",
                                     "What can be done",
                                     "/api/playbooks",
                                     {{"NAME", "name"},
                                      {"RISK", "risk"},
                                      {"AUTO", "auto_approve"},
                                      {"TRIGGERS", "triggers"},
                                      {"TITLE", "title"}},
                                     true,
                                     false,
                                     false,
                                     "All of them, by name"});
  auto options = std::make_shared<ListOptions>();
  CLI::App* command = playbooks->add_subcommand("lint", "Checks playbook files; needs no service");
  add_config_options(*command, options->source.config);
  command->add_option("files", options->files, "Files or folders; by default playbooks_dir");
  command->add_flag("--json", options->source.json, "One JSON object a file");
  command->callback([&action, options] { action = [options] { return lint(*options); }; });
}

}  // namespace selfheal
