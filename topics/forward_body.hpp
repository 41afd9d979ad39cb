#pragma once
// What a forward carries of its signals. Few go as NDJSON, which any build reads. Many go as
// "frame:" and a binary frame in hex: as text in the text of a journal record they would be ten
// times what they were in a frame, and a cut must fit one record. Pure.
#include <span>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "topics/signal.hpp"

namespace selfheal {

// ErrorCode::exhausted as encode_frame() has it. The signals must have passed check_signal().
Result<std::string> framed_forward(std::span<const Signal> signals);

// The bytes that a decoder reads. They lie in `body`, or in `frame`, which is written to.
std::string_view forward_value(std::string_view body, std::string& frame);

}  // namespace selfheal
