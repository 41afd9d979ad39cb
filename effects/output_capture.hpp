#pragma once
// What a program or a server answered, kept to a bound: the first and the last 32 KiB, because the
// reason of a failure is usually at the end. The bytes between are counted.
#include <cstdint>
#include <string>
#include <string_view>

#include "effects/secrets.hpp"

namespace selfheal {

class OutputCapture {
 public:
  void take(std::string_view bytes);

  // Everything that was kept, without secrets. The middle of a longer output is "[N bytes]".
  std::string scrubbed(const Secrets& secrets) const;

 private:
  std::string head_;
  std::string tail_;  // may hold up to twice the bound before it is cut
  std::uint64_t size_ = 0;
};

// Valid UTF-8 of at most bytes_max bytes: the whole text, or its head and its tail.
std::string excerpt(std::string_view text, std::size_t bytes_max);

}  // namespace selfheal
