#pragma once
// Reads times that mostly lie in the same minute, as those of one sentinel do: what names the
// minute is read once. Not thread-safe.
#include <array>
#include <string_view>

#include "base/result.hpp"
#include "base/time.hpp"

namespace selfheal {

class TimeReader {
 public:
  // What parse_rfc3339() makes of it, whatever was read before.
  Result<TimeMs> read(std::string_view text);

 private:
  static constexpr std::size_t minute_bytes = 17;  // "2026-11-22T09:30:"

  void learn_minute(std::string_view text);

  std::array<char, minute_bytes> minute_{};  // as it stood there; no time begins with a zero byte
  TimeMs minute_ms_ = 0;
};

}  // namespace selfheal
