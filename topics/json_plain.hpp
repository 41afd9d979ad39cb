#pragma once
// What most of a JSON text consists of: characters that may stand in a string as they are.
#include <cstdint>
#include <cstring>

#include "topics/json_reader.hpp"

namespace selfheal::json_detail {

// Past the plain characters at `at`. Eight at a time: where none of them is special, no byte of
// `special` has its highest bit set. The converse need not hold, so the last few go one by one.
inline const char* plain_end(const char* at, const char* end) {
  constexpr std::uint64_t ones = 0x0101010101010101;
  constexpr std::uint64_t highs = ones << 7;
  const auto has_zero = [](std::uint64_t v) { return (v - ones) & ~v; };
  for (; end - at >= 8; at += 8) {
    std::uint64_t eight = 0;
    std::memcpy(&eight, at, sizeof eight);
    const std::uint64_t special = eight | (eight - ones * 0x20) | has_zero(eight ^ ones * '"') |
                                  has_zero(eight ^ ones * '\\');
    if ((special & highs) != 0) break;
  }
  while (at != end && is_plain(*at)) ++at;
  return at;
}

}  // namespace selfheal::json_detail
