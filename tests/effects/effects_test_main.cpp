#include <gtest/gtest.h>

#include <string_view>

#include "effects_fixture.hpp"

// The program under test starts itself as the shim, the way the service does.
int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "effect-shim") {
    selfheal::EffectContext context;
    // As cli/main.cpp has it.
    context.now_ms = [] {
      const char* const skew_ms = std::getenv("SELFHEAL_CLOCK_SKEW_MS");
      return selfheal::wall_clock_ms() + (skew_ms == nullptr ? 0 : std::atoll(skew_ms));
    };
    return selfheal::effect_shim_main(context);
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
