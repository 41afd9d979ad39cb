#include "decision/approver/policies.hpp"

#include <gtest/gtest.h>

namespace selfheal {
namespace {

TimeMs at(const std::string& text) {
  return *parse_rfc3339(text);
}

// Central Europe around 2027: one hour ahead, two from the last Sunday of March to that of October.
Settings with_window(const ChangeWindow& window) {
  Settings settings;
  settings.change_windows = {window};
  settings.time_zones = {{"Europe/Berlin",
                          {{at("2026-10-25T01:00:00Z"), 3600},
                           {at("2027-03-28T01:00:00Z"), 7200},
                           {at("2027-10-31T01:00:00Z"), 3600}}}};
  return settings;
}

TEST(ChangeWindows, FollowTheClockOfTheirZone) {
  const Settings settings =
      with_window({.days = {"mon"}, .from = "09:00", .to = "17:00", .time_zone = "Europe/Berlin"});
  const std::pair<const char*, bool> cases[] = {
      {"2027-01-18T07:59:59Z", false},  // a Monday in winter, 08:59:59 in Berlin
      {"2027-01-18T08:00:00Z", true},  {"2027-01-18T15:59:59Z", true},
      {"2027-01-18T16:00:00Z", false}, {"2027-07-19T06:59:59Z", false},  // in summer
      {"2027-07-19T07:00:00Z", true},  {"2027-07-19T15:00:00Z", false},
      {"2027-07-20T08:00:00Z", false},  // a Tuesday
      {"2029-01-15T08:00:00Z", true},   // behind the table: its last offset
  };
  for (const auto& [time, open] : cases) {
    EXPECT_EQ(in_change_window(settings, at(time)), open) << time;
  }
}

TEST(ChangeWindows, BelongToTheDayOfTheirZone) {
  // 23:30 UTC on Sunday is Monday in Berlin.
  const Settings settings =
      with_window({.days = {"mon"}, .from = "00:00", .to = "01:00", .time_zone = "Europe/Berlin"});
  EXPECT_TRUE(in_change_window(settings, at("2027-01-17T23:30:00Z")));
  EXPECT_FALSE(in_change_window(settings, at("2027-01-18T00:30:00Z")));
  EXPECT_EQ(next_change_window_ms(settings, at("2027-01-18T00:30:00Z")),
            at("2027-01-24T23:00:00Z"));
}

TEST(ChangeWindows, AnHourThatIsSkippedOrRepeated) {
  const Settings settings =
      with_window({.from = "02:30", .to = "03:30", .time_zone = "Europe/Berlin"});
  // 02:00 becomes 03:00: half an hour is left.
  EXPECT_FALSE(in_change_window(settings, at("2027-03-28T00:59:00Z")));
  EXPECT_TRUE(in_change_window(settings, at("2027-03-28T01:29:00Z")));
  EXPECT_FALSE(in_change_window(settings, at("2027-03-28T01:30:00Z")));
  // 03:00 becomes 02:00 again: 02:30 comes twice.
  EXPECT_TRUE(in_change_window(settings, at("2027-10-31T00:30:00Z")));
  EXPECT_FALSE(in_change_window(settings, at("2027-10-31T01:00:00Z")));
  EXPECT_TRUE(in_change_window(settings, at("2027-10-31T01:30:00Z")));
}

TEST(ChangeWindows, AZoneWithoutItsTableIsNoSetting) {
  Settings settings = with_window({.time_zone = "Europe/Berlin"});
  EXPECT_TRUE(validate(settings));
  settings.time_zones.clear();
  const Result<void> valid = validate(settings);
  ASSERT_FALSE(valid);
  EXPECT_EQ(valid.error().context,
            "change_windows[0].time_zone must be UTC or an IANA name, not 'Europe/Berlin'");
}

}  // namespace
}  // namespace selfheal
