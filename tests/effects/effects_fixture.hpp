#pragma once
// A folder, a context and an order for tests of effects.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "effects/step_effect.hpp"

namespace selfheal {

inline TimeMs wall_clock_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// Looks until it holds; false after 20 s.
template <class Holds>
bool eventually(Holds&& holds) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

inline std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

class EffectsTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() /
              ("selfheal-effects-" + std::to_string(getpid()) + "-" +
               testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_ / "secrets");
    context_.actions_folder = folder_ / "actions";
    context_.secrets_folder = folder_ / "secrets";
    context_.program = std::filesystem::read_symlink("/proc/self/exe");
    context_.now_ms = wall_clock_ms;
    unsetenv("SELF_HEAL_SHIM_FAILPOINT");
  }
  void TearDown() override {
    unsetenv("SELF_HEAL_SHIM_FAILPOINT");
    std::filesystem::remove_all(folder_);
  }

  std::string path(const std::string& name) const { return folder_ / name; }

  void write_secret(const std::string& name, const std::string& value, mode_t mode = 0600) {
    const std::string file = folder_ / "secrets" / name;
    std::ofstream(file) << value;
    ASSERT_EQ(chmod(file.c_str(), mode), 0);
  }

  // An order of its own each time: action-1, action-2, …
  StepOrder order() {
    StepOrder made;
    made.action_id = "action-" + std::to_string(++orders_);
    made.epoch = 1;
    made.valid_until_ms = wall_clock_ms() + one_hour_ms;
    made.runtime_limit_ms = 30 * one_second_ms;
    made.incident_id = "incident-7";
    made.service = "checkout";
    return made;
  }
  StepOrder program_order(std::vector<std::string> argv) {
    StepOrder made = order();
    made.what.run = {Program{.argv = std::move(argv)}};
    return made;
  }
  StepOrder script_order(const std::string& script, std::vector<std::string> rest = {}) {
    rest.insert(rest.begin(), script);
    StepOrder made = program_order(std::move(rest));
    made.what.run[0].shell = true;
    return made;
  }
  StepResult carry(const StepOrder& order) { return carry_out(order, context_); }

  std::filesystem::path folder_;
  EffectContext context_;
  int orders_ = 0;
};

}  // namespace selfheal
