#include "config/automation.hpp"

#include <gtest/gtest.h>

#include "base/hash.hpp"
#include "support.hpp"

namespace selfheal {
namespace {

Result<TrustedAutomation> load(const AutomationConfig& config,
                               const std::map<std::string, std::string>& environment = {}) {
  return load_automation(config, [&](const std::string& name) {
    const auto found = environment.find(name);
    return found == environment.end() ? std::nullopt : std::optional(found->second);
  });
}

TEST(Automation, KeepsOnlyTheHashOfItsSecret) {
  const TemporaryDirectory directory;
  const std::string file = directory.write("secret", "correct horse battery\n");
  const Result<TrustedAutomation> trusted = load({.models = {"ft:one", ""}, .secret_file = file});
  ASSERT_TRUE(trusted) << error_of(trusted);
  EXPECT_EQ(trusted->secret_sha256, to_hex(sha256("correct horse battery")));
  EXPECT_EQ(trusted->models, std::vector<std::string>{"ft:one"}) << "an absent header is no model";
}

TEST(Automation, KnowsTheNamesOfAnotherService) {
  const Result<TrustedAutomation> trusted =
      load({}, {{"ARCANOS_AUTOMATION_SECRET", "correct horse battery"},
                {"ARCANOS_AUTOMATION_HEADER", "X-Robot"}});
  ASSERT_TRUE(trusted) << error_of(trusted);
  EXPECT_EQ(trusted->secret_sha256, to_hex(sha256("correct horse battery")));
  EXPECT_EQ(trusted->headers,
            (std::vector<std::string>{"x-selfheal-automation", "x-arcanos-automation", "x-robot"}));
}

TEST(Automation, WithoutASecretNoneIsTrusted) {
  EXPECT_EQ(load({})->secret_sha256, "");
  const TemporaryDirectory directory;
  EXPECT_FALSE(load({.secret_file = directory.write("empty", "\n")}));
  EXPECT_FALSE(load({.secret_file = directory.write("short", "fifteen letters")}));
  EXPECT_FALSE(load({.secret_file = "/nowhere/secret"}));
  EXPECT_FALSE(load({.header = "not a header"}));
}

}  // namespace
}  // namespace selfheal
