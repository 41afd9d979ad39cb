#include "config/time_zones.hpp"

#include <gtest/gtest.h>

#include "config/service_config.hpp"
#include "decision/approver/policies.hpp"

namespace selfheal {
namespace {

std::int64_t offset_at(const TimeZone& zone, const std::string& time) {
  std::int64_t offset = 0;
  for (const ZoneChange& each : zone.changes) {
    if (each.from_ms <= *parse_rfc3339(time)) offset = each.offset_seconds;
  }
  return offset;
}

TEST(TimeZones, ATableHasTheChangesOfItsZone) {
  const Result<TimeZone> zone = load_time_zone("Europe/Berlin");
  ASSERT_TRUE(zone);
  EXPECT_EQ(offset_at(*zone, "2027-03-28T00:59:59Z"), 3600);
  EXPECT_EQ(offset_at(*zone, "2027-03-28T01:00:00Z"), 7200);
  EXPECT_EQ(offset_at(*zone, "2027-10-31T00:59:59Z"), 7200);
  EXPECT_EQ(offset_at(*zone, "2027-10-31T01:00:00Z"), 3600);
  // Beyond what the machine's file lists, by its rule.
  EXPECT_EQ(offset_at(*zone, "2055-07-01T00:00:00Z"), 7200);
  EXPECT_EQ(zone->changes.size(), 81U) << "the offset at the start, and two changes a year";
}

TEST(TimeZones, AZoneThatNeverChangesHasOneOffset) {
  const Result<TimeZone> zone = load_time_zone("Asia/Kolkata");
  ASSERT_TRUE(zone);
  ASSERT_EQ(zone->changes.size(), 1U);
  EXPECT_EQ(zone->changes[0].offset_seconds, 19800);
}

TEST(TimeZones, TheSettingsCarryTheTablesOfTheirWindows) {
  ServiceConfig config;
  config.change_windows = {
      {.time_zone = "America/New_York"}, {.time_zone = "America/New_York"}, {}};
  const Settings settings = decision_settings(config);
  ASSERT_EQ(settings.time_zones.size(), 1U);
  ASSERT_TRUE(validate(settings));
  const Result<Settings> again = settings_from_text(settings_text(settings));
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, settings);
}

TEST(TimeZones, OnlyNamesThatAreListed) {
  for (const char* name : {"", "localtime", "posix/Europe/Berlin", "tzdata.zi", "/etc/localtime",
                           "libc:UTC", "Fixed/UTC+01:00:00", "europe/berlin"}) {
    EXPECT_FALSE(load_time_zone(name)) << name;
  }
}

}  // namespace
}  // namespace selfheal
