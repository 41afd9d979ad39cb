#pragma once
// Time zones by their IANA names, from the machine's own time zone data. They are read while the
// configuration is, into the settings; nothing looks at them later.
#include <string>
#include <vector>

#include "base/result.hpp"
#include "decision/settings.hpp"

namespace selfheal {

// Every name that can be asked for, sorted; empty where the machine has no time zone data. Looks
// once. Thread-safe.
const std::vector<std::string>& time_zone_names();

// The zone's changes from 2020 to 2060: a table of two entries a year, where decisions look up. Not
// found: the message names the nearest known name.
Result<TimeZone> load_time_zone(const std::string& name);

// The zones that the windows name and that are known here; the others are left to validation.
std::vector<TimeZone> zones_of(const std::vector<ChangeWindow>& windows);

}  // namespace selfheal
