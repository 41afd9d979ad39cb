#include <gtest/gtest.h>

#include <string_view>

#include "effects/step_effect.hpp"

// The program under test starts itself as the shim, the way the service does.
int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "effect-shim") {
    return selfheal::effect_shim_main(selfheal::EffectContext());
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
