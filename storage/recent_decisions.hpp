#pragma once
// The latest decisions of a process, as text, in the order in which they were shown. As many rows
// as are kept, each written over in its turn. Not thread-safe.
#include <cstdint>
#include <deque>
#include <string>

#include "storage/row_buffer.hpp"

namespace selfheal {

class RecentDecisions {
 public:
  static constexpr std::size_t kept_max = 1000;

  explicit RecentDecisions(RowBuffer& rows) : rows_(rows) {}

  // What was saved; once, before anything is added.
  Result<void> load();
  // Returns the text as it is kept, until the next is added.
  const std::string& add(std::string text);
  // Oldest first.
  const std::deque<std::string>& texts() const { return texts_; }

 private:
  RowBuffer& rows_;
  std::deque<std::string> texts_;
  std::uint64_t count_ = 0;  // so far, those that are not kept any more included
};

}  // namespace selfheal
