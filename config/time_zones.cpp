#include "config/time_zones.hpp"

#include <absl/time/time.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "config/yaml_reader.hpp"

namespace selfheal {
namespace {

namespace fs = std::filesystem;

const fs::path zone_folder = "/usr/share/zoneinfo";
constexpr int first_year = 2020;
constexpr int last_year = 2060;

// Beside the zones the folder holds tables ("zone.tab"), and twice the whole tree once more.
bool is_zone_part(const std::string& name) {
  return name != "posix" && name != "right" && name != "localtime" && name != "posixrules" &&
         name.find('.') == std::string::npos && name[0] >= 'A' && name[0] <= 'Z';
}

std::vector<std::string> read_names() {
  std::vector<std::string> names;
  std::error_code failure;
  fs::recursive_directory_iterator each(zone_folder, failure);
  for (; !failure && each != fs::recursive_directory_iterator(); each.increment(failure)) {
    const bool mine = is_zone_part(each->path().filename().string());
    if (each->is_directory(failure)) {
      if (!mine) each.disable_recursion_pending();
    } else if (mine) {
      names.push_back(each->path().lexically_relative(zone_folder).string());
    }
  }
  std::ranges::sort(names);
  return names;
}

// The moment of a change: its civil times are skipped or repeated ones.
absl::Time moment_of(const absl::TimeZone& zone, const absl::TimeZone::CivilTransition& change) {
  return zone.At(std::min(change.from, change.to)).trans;
}

}  // namespace

const std::vector<std::string>& time_zone_names() {
  static const std::vector<std::string> names = read_names();
  return names;
}

Result<TimeZone> load_time_zone(const std::string& name) {
  const std::vector<std::string>& names = time_zone_names();
  absl::TimeZone zone;
  // Only what is listed: the library would also take paths and names of its own.
  if (!std::ranges::binary_search(names, name) || !absl::LoadTimeZone(name, &zone)) {
    std::string message = "unknown time zone '" + name + "'";
    if (names.empty()) {
      message += "; this machine has no time zone data, the package tzdata brings it";
    } else {
      message += "; did you mean '" + nearest_name(name, names) + "'?";
    }
    return Error{ErrorCode::invalid, message};
  }
  TimeZone table{.name = name};
  const auto add = [&](absl::Time from) {
    table.changes.push_back({absl::ToUnixMillis(from), zone.At(from).offset});
  };
  const absl::Time end = absl::FromCivil(absl::CivilSecond(last_year), absl::UTCTimeZone());
  absl::Time at = absl::FromCivil(absl::CivilSecond(first_year), absl::UTCTimeZone());
  add(at);
  absl::TimeZone::CivilTransition change;
  while (zone.NextTransition(at, &change)) {
    const absl::Time moment = moment_of(zone, change);
    if (moment <= at || moment >= end) break;
    at = moment;
    add(at);
  }
  return table;
}

std::vector<TimeZone> zones_of(const std::vector<ChangeWindow>& windows) {
  std::set<std::string> names;
  for (const ChangeWindow& window : windows) {
    if (window.time_zone != "UTC") names.insert(window.time_zone);
  }
  std::vector<TimeZone> zones;
  for (const std::string& name : names) {
    Result<TimeZone> zone = load_time_zone(name);
    if (zone) zones.push_back(std::move(*zone));
  }
  return zones;
}

}  // namespace selfheal
