#pragma once
// Looking at eight bytes of text at once, as one word. Marks are the top bits of the bytes found;
// above the lowest of them there may be false ones, because of borrows.
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace selfheal::eight_bytes {

static_assert(std::endian::native == std::endian::little, "the lowest byte comes first");

constexpr std::uint64_t ones = 0x0101010101010101;
constexpr std::uint64_t tops = 0x8080808080808080;

// Eight bytes from `text` on have to be readable.
inline std::uint64_t load(const char* text) {
  std::uint64_t word = 0;
  std::memcpy(&word, text, sizeof word);
  return word;
}

// Bytes that are `byte`.
constexpr std::uint64_t equal(std::uint64_t word, char byte) {
  const std::uint64_t zero = word ^ (ones * static_cast<unsigned char>(byte));
  return (zero - ones) & ~zero & tops;
}

// Bytes below `limit`, which is at most 128.
constexpr std::uint64_t below(std::uint64_t word, unsigned limit) {
  return (word - ones * limit) & ~word & tops;
}

// Bytes above nine; no mark is false.
constexpr std::uint64_t above_nine(std::uint64_t word) {
  constexpr std::uint64_t up_to_top = ones * (0x80 - 10);
  return (((word & ~tops) + up_to_top) | word) & tops;
}

// Which byte the lowest mark stands for; there is one.
constexpr std::size_t first(std::uint64_t marks) {
  return static_cast<std::size_t>(std::countr_zero(marks)) >> 3;
}

}  // namespace selfheal::eight_bytes
