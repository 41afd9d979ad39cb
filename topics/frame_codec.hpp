#pragma once
// The binary frame: many signals in one record, names stored once. docs/frame.md has the layout.
// Both functions are pure and thread-safe.
#include <cstdint>
#include <span>
#include <string>

#include "base/result.hpp"
#include "topics/log.hpp"
#include "topics/signal.hpp"

namespace selfheal {

constexpr char frame_magic = '\xb1';  // no UTF-8 text begins with this byte
constexpr std::uint8_t frame_version = 1;

// ErrorCode::exhausted: more than 10,000 signals, or more than record_bytes_max bytes. The signals
// must have passed check_signal().
Result<std::string> encode_frame(std::span<const Signal> signals);

// Adds the frame's signals to `batch`, the row as line. A row that is no acceptable signal becomes
// a failure of its row; a broken layout becomes one failure of the record, and none of its rows
// counts.
void decode_frame(const RecordView& record, SignalBatch& batch);

}  // namespace selfheal
