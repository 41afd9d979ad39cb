#pragma once
// What both sides of the binary frame agree on; docs/frame.md tells it in words.
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "topics/signal.hpp"

namespace selfheal::frame_layout {

static_assert(std::endian::native == std::endian::little, "numbers are copied as they lie");

// Bits of a row's first byte above its type.
inline constexpr std::uint8_t type_mask = 0x07;
inline constexpr std::uint8_t has_resource = 0x08;
inline constexpr std::uint8_t has_sentinel = 0x10;
inline constexpr std::uint8_t has_id = 0x20;
inline constexpr std::uint8_t has_labels = 0x40;
inline constexpr std::uint8_t unused_bits = 0x80;

// The order of detail fields is their number on the wire: only ever add at the end.
inline constexpr std::array text_fields = {
    &SignalDetail::code,   &SignalDetail::message,     &SignalDetail::severity,
    &SignalDetail::worker, &SignalDetail::worker_type, &SignalDetail::task_id,
    &SignalDetail::status, &SignalDetail::alertname,   &SignalDetail::fingerprint,
    &SignalDetail::impact, &SignalDetail::evidence};
inline constexpr std::array number_fields = {&SignalDetail::confidence, &SignalDetail::likelihood,
                                             &SignalDetail::lead_time_seconds,
                                             &SignalDetail::health_score, &SignalDetail::progress};
inline constexpr std::size_t labels_field = text_fields.size();
inline constexpr std::size_t playbooks_field = labels_field + 1;
inline constexpr std::size_t first_number_field = playbooks_field + 1;
inline constexpr std::size_t field_count = first_number_field + number_fields.size();

}  // namespace selfheal::frame_layout
