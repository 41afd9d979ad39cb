#include "decision/systemd_unit.hpp"

#include <algorithm>
#include <array>

namespace selfheal {
namespace {

constexpr std::array<std::string_view, 8> unit_actions = {
    "start",  "stop", "restart",      "try-restart",
    "reload", "kill", "reset-failed", "reload-or-restart"};
constexpr std::size_t unit_name_bytes_max = 255;

bool is_unit_letter(char each) {
  return (each >= 'a' && each <= 'z') || (each >= 'A' && each <= 'Z') ||
         (each >= '0' && each <= '9') ||
         std::string_view(":_.\\@-").find(each) != std::string_view::npos;
}

}  // namespace

bool is_unit_action(std::string_view action) {
  return std::ranges::find(unit_actions, action) != unit_actions.end();
}

Result<void> check_unit_name(std::string_view unit) {
  const bool fits = !unit.empty() && unit.size() <= unit_name_bytes_max && unit.front() != '-' &&
                    std::ranges::all_of(unit, is_unit_letter);
  if (fits) return {};
  return Error{ErrorCode::invalid,
               "'" + std::string(unit.substr(0, unit_name_bytes_max)) +
                   "' is no name of a unit: letters, digits and ':_.\\@-', not beginning with '-'"};
}

std::optional<UnitOrder> unit_order_of(const Program& program) {
  const auto& argv = program.argv;
  if (program.shell || argv.size() != 4 || argv[2] != "--") return std::nullopt;
  const bool is_systemctl = argv[0] == "systemctl" || argv[0].ends_with("/systemctl");
  if (!is_systemctl || !is_unit_action(argv[1])) return std::nullopt;
  return UnitOrder{argv[0], argv[1], argv[3]};
}

Result<UnitState> parse_unit_state(std::string_view text) {
  UnitState state;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const std::size_t equals = line.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view name = line.substr(0, equals);
    const std::string value(line.substr(equals + 1));
    if (name == "ActiveState") state.active = value;
    if (name == "SubState") state.sub = value;
    if (name == "Result") state.result = value;
  }
  if (state.active.empty()) return Error{ErrorCode::invalid, "it told no ActiveState"};
  return state;
}

UnitPromise judge_unit(std::string_view action, const UnitState& state) {
  const std::string& active = state.active;
  // What a killed unit does then is the business of its own restart settings.
  if (action == "kill") return UnitPromise::kept;
  if (active != "active" && active != "inactive" && active != "failed") return UnitPromise::pending;
  bool kept = active == "active";
  if (action == "stop") kept = active != "active";
  // A unit that was not running is left alone by these.
  if (action == "try-restart" || action == "reset-failed") kept = active != "failed";
  return kept ? UnitPromise::kept : UnitPromise::broken;
}

std::string describe(const UnitState& state) {
  return state.active + " (SubState " + state.sub + ", Result " + state.result + ")";
}

}  // namespace selfheal
