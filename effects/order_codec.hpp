#pragma once
// An order as JSON, the way it goes to the shim: over a socket, never in argv.
#include <string>

#include "base/result.hpp"
#include "effects/step_effect.hpp"

namespace selfheal {

// The order and the folders it is to be carried out in.
struct ShimOrder {
  StepOrder order;
  std::string actions_folder;
  std::string secrets_folder;
};

constexpr std::size_t shim_order_bytes_max = std::size_t{1024} * 1024;

// An error where a text is not UTF-8: replacing bytes would run something else than was approved.
Result<std::string> encode_shim_order(const ShimOrder& shim_order);
Result<ShimOrder> decode_shim_order(const std::string& text);

// How long the effect may take: the step's own timeout within the order's limit. Never zero.
DurationMs effect_limit_ms(const StepOrder& order);

}  // namespace selfheal
