#pragma once
// What a `systemd` step promises, and whether a unit's state keeps it. The step is loaded as the
// program `systemctl ACTION -- UNIT`; a `run` step that is spelt exactly so is one too. Pure.
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "decision/playbook.hpp"

namespace selfheal {

// start, stop, restart, try-restart, reload, reload-or-restart, kill and reset-failed.
bool is_unit_action(std::string_view action);

// Letters, digits and ":_.\@-", at most 255 bytes, not beginning with '-'. So neither an option nor
// a path nor a pattern: systemctl would take `*` for every unit.
Result<void> check_unit_name(std::string_view unit);

struct UnitOrder {
  std::string program;  // systemctl, as it is found by PATH, or a path to it
  std::string action;
  std::string unit;
};
// Empty where the program is no systemd step.
std::optional<UnitOrder> unit_order_of(const Program& program);

// As `systemctl show` tells it.
struct UnitState {
  std::string active;  // ActiveState
  std::string sub;     // SubState
  std::string result;  // Result
};
// Of lines NAME=VALUE in any order. An error where there is no ActiveState.
Result<UnitState> parse_unit_state(std::string_view text);

enum class UnitPromise : std::uint8_t {
  kept,
  broken,
  pending,  // the unit is on its way: look again
};
UnitPromise judge_unit(std::string_view action, const UnitState& state);

// "active (SubState running, Result success)".
std::string describe(const UnitState& state);

}  // namespace selfheal
