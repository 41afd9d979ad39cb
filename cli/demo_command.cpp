// `selfheal demo`: the whole service at work on this machine, with real processes as patients.
#include <algorithm>
#include <cctype>

#include "cli/commands.hpp"
#include "cli/demo_scenarios.hpp"

namespace selfheal {
namespace {

struct DemoOptions {
  std::vector<std::string> scenarios;
  bool json = false;
  bool keep = false;
};

std::string lower(std::string text) {
  for (char& letter : text) {
    letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  }
  return text;
}

Result<std::vector<Scenario>> chosen(const std::vector<std::string>& names) {
  if (names.empty()) return scenarios();
  std::vector<Scenario> list;
  for (const std::string& name : names) {
    const auto found = std::ranges::find_if(
        scenarios(), [&](const Scenario& each) { return lower(name) == each.name; });
    if (found == scenarios().end()) {
      std::string known;
      for (const Scenario& each : scenarios()) known += std::string(" ") + each.name;
      return Error{ErrorCode::invalid, "no scenario is called '" + name + "'; there are" + known};
    }
    list.push_back(*found);
  }
  return list;
}

Result<void> start(DemoWorld& world, DemoTeller& teller) {
  teller.title("Everything runs on this machine, in " + world.places().folder);
  Result<void> patients = world.start_patients(teller);
  if (!patients) return patients;
  std::string text;
  for (const auto& [name, port] : world.places().ports) {
    text += " " + name + " :" + std::to_string(port);
  }
  teller.say("patients:" + text);
  const Result<std::string> ready = world.start_service(teller);
  if (!ready) return ready.error();
  teller.say("service: " + *ready);
  if (ready->find("mode=execute") == std::string::npos) {
    return Error{ErrorCode::refused,
                 "the environment keeps the service from acting, and here it has to: see "
                 "SELF_HEAL_OBSERVE_ONLY and SELF_HEAL_EXECUTE"};
  }
  world.start_sentinels();
  teller.say("sentinels: 10 requests a second to each patient, signals by POST /api/signals");
  return {};
}

// Runs a command of ours that prints one JSON object.
Json ask(DemoWorld& world, const std::vector<std::string>& arguments) {
  const Result<ProgramAnswer> answer = world.run_selfheal(arguments);
  if (!answer) return Json{{"error", answer.error().context}};
  const Result<Json> json = parse_json(answer->output);
  return json && json->is_object() ? *json : Json{{"error", answer->log}};
}

void finish(DemoWorld& world, DemoTeller& teller, Json& summary) {
  teller.title("Afterwards");
  const int code = world.stop_service();
  teller.check(code == 0, "the service stops cleanly (SIGTERM, exit " + std::to_string(code) + ")");
  const std::string data = data_folder(world.places());
  const Json replay = ask(world, {"replay", "--data-dir", data, "--json"});
  const bool same = replay.value("differing", std::int64_t{-1}) == 0 &&
                    replay.value("compared", std::int64_t{0}) > 0;
  teller.check(same, "replay: the same code on the same inputs decides the same, bit for bit");
  teller.detail(dump(replay));
  const Json audit = ask(world, {"audit", "verify", "--deep", "--data-dir", data, "--json"});
  teller.check(audit.value("holds", false),
               "audit: chain and signatures are whole, every invariant holds");
  teller.detail(dump(audit));
  summary["replay"] = replay;
  summary["audit"] = audit;
}

Json to_json(const ScenarioResult& result) {
  return Json{{"name", result.name},         {"passed", result.passed},
              {"seconds", result.seconds},   {"incident", result.incident},
              {"playbook", result.playbook}, {"auto_approved", result.auto_approved},
              {"outcome", result.outcome}};
}

Exit demo(const DemoOptions& options) {
  const Result<std::vector<Scenario>> list = chosen(options.scenarios);
  if (!list) return fail(list.error());
  DemoTeller teller(options.json ? std::cerr : std::cout);
  const Result<std::unique_ptr<DemoWorld>> world = DemoWorld::build(options.keep);
  if (!world) return fail(world.error());
  const Result<void> started = start(**world, teller);
  if (!started) return fail(started.error());
  Json summary = Json{{"scenarios", Json::array()}};
  bool passed = true;
  for (const Scenario& scenario : *list) {
    if (teller.interrupted()) break;
    const ScenarioResult result = play(scenario, **world, teller);
    passed = passed && result.passed;
    summary["scenarios"].push_back(to_json(result));
  }
  if (!teller.interrupted()) finish(**world, teller, summary);
  passed = passed && teller.failures() == 0 && !teller.interrupted();
  if (options.json) print_line(summary);
  teller.title(passed ? "Everything held." : "NOT everything held.");
  if (options.keep) teller.say("kept: " + (*world)->places().folder);
  return passed ? Exit::done : Exit::did_not_hold;
}

}  // namespace

void add_demo_command(CLI::App& application, Action& action) {
  CLI::App* command = application.add_subcommand(
      "demo", "Shows the service at work on this machine: patients fall ill and are healed");
  auto options = std::make_shared<DemoOptions>();
  command->add_option("--scenario", options->scenarios, "s-01, s-02, crash, crash-service; repeat")
      ->expected(1)
      ->take_all();
  command->add_flag("--json", options->json, "One JSON object; the story goes to stderr");
  command->add_flag("--keep", options->keep, "Leave the folder with configuration, data and logs");
  command->callback([&action, options] { action = [options] { return demo(*options); }; });
}

}  // namespace selfheal
