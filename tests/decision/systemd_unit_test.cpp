#include "decision/systemd_unit.hpp"

#include <gtest/gtest.h>

namespace selfheal {
namespace {

TEST(SystemdUnit, OnlyTheFormThatAStepIsLoadedAsIsOne) {
  const auto order = unit_order_of({.argv = {"systemctl", "restart", "--", "a.service"}});
  ASSERT_TRUE(order);
  EXPECT_EQ(order->action, "restart");
  EXPECT_EQ(order->unit, "a.service");
  EXPECT_TRUE(unit_order_of({.argv = {"/usr/bin/systemctl", "stop", "--", "a"}}));
  EXPECT_FALSE(unit_order_of({.argv = {"systemctl", "restart", "a"}}));
  EXPECT_FALSE(unit_order_of({.argv = {"systemctl", "poweroff", "--", "a"}}));
  EXPECT_FALSE(unit_order_of({.argv = {"notsystemctl", "stop", "--", "a"}}));
  EXPECT_FALSE(unit_order_of({.argv = {"systemctl", "stop", "--", "a"}, .shell = true}));
}

TEST(SystemdUnit, HostileNamesAreRefused) {
  for (const char* good : {"a", "a.service", "app@inc-0-1-2.service", "x\\x2dy.service", "a_b:c"}) {
    EXPECT_TRUE(check_unit_name(good)) << good;
  }
  for (const char* bad : {"", "*", "a*", "a?", "[ab]", "-a", "--force", "a b", "a/b", "/etc/passwd",
                          "a\nb", "a;reboot", "$(id)", "ä"}) {
    EXPECT_FALSE(check_unit_name(bad)) << bad;
  }
  EXPECT_FALSE(check_unit_name(std::string(256, 'a')));
}

TEST(SystemdUnit, EachActionPromisesAState) {
  struct Case {
    const char* action;
    const char* active;
    UnitPromise promise;
  };
  using enum UnitPromise;
  const Case cases[] = {
      {"start", "active", kept},
      {"start", "failed", broken},
      {"start", "inactive", broken},
      {"start", "activating", pending},
      {"restart", "active", kept},
      {"restart", "failed", broken},
      {"reload", "reloading", pending},
      {"reload", "active", kept},
      {"reload-or-restart", "inactive", broken},
      {"stop", "inactive", kept},
      {"stop", "failed", kept},
      {"stop", "active", broken},
      {"stop", "deactivating", pending},
      {"try-restart", "inactive", kept},
      {"try-restart", "failed", broken},
      {"reset-failed", "inactive", kept},
      {"reset-failed", "failed", broken},
      {"kill", "failed", kept},
  };
  for (const Case& each : cases) {
    EXPECT_EQ(judge_unit(each.action, {each.active, "", ""}), each.promise)
        << each.action << " " << each.active;
  }
}

TEST(SystemdUnit, TheStateIsReadByName) {
  const auto state = parse_unit_state("SubState=running\nResult=success\nActiveState=active\n");
  ASSERT_TRUE(state);
  EXPECT_EQ(describe(*state), "active (SubState running, Result success)");
  EXPECT_FALSE(parse_unit_state("SubState=dead\n"));
  EXPECT_FALSE(parse_unit_state(""));
}

}  // namespace
}  // namespace selfheal
