#pragma once
// Philox 4x32-10, a counter-based generator (Salmon et al., "Parallel random numbers: as easy as
// 1, 2, 3", SC 2011). A draw is named by what it decides, not by how many draws came before it, so
// cutting the input differently after a crash cannot change a decision.
#include <array>
#include <cstdint>

namespace selfheal {

using PhiloxBlock = std::array<std::uint32_t, 4>;

// Ten rounds over one counter block.
PhiloxBlock philox(PhiloxBlock counter, std::array<std::uint32_t, 2> key);

// The purpose of a draw within one decision. `arm` 0xffffffff is the exploration coin.
struct DrawName {
  std::uint64_t decision = 0;
  std::uint32_t arm = 0;
  std::uint32_t draw = 0;
};

// A uniform number in [0, 1) with 53 random bits.
double uniform_draw(std::uint64_t shard_seed, DrawName name);

}  // namespace selfheal
