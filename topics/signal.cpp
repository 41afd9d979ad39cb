#include "topics/signal.hpp"

#include <array>
#include <cstring>

namespace selfheal {

std::string_view to_string(SignalType type) {
  constexpr std::array<std::string_view, signal_type_count> names = {
      "metric", "heartbeat", "failure", "alert", "prediction", "dispatch", "degradation"};
  return names[static_cast<std::size_t>(type)];
}

char* SignalBatch::room(std::size_t bytes) {
  if (bytes > block_bytes) {
    return large_.emplace_back(std::make_unique_for_overwrite<char[]>(bytes)).get();
  }
  if (used_ + bytes > block_bytes) {
    // used_ starts full, so the first text opens block 0; cleared batches reuse their blocks.
    if (blocks_.empty() || block_index_ + 1 >= blocks_.size()) {
      blocks_.push_back(std::make_unique_for_overwrite<char[]>(block_bytes));
      block_index_ = blocks_.size() - 1;
    } else {
      ++block_index_;
    }
    used_ = 0;
  }
  char* at = blocks_[block_index_].get() + used_;
  used_ += bytes;
  return at;
}

std::string_view SignalBatch::keep(std::string_view text) {
  if (text.empty()) return {};
  char* at = room(text.size());
  std::memcpy(at, text.data(), text.size());
  return {at, text.size()};
}

std::string_view SignalBatch::keep_padded(std::string_view text, std::size_t padding) {
  char* at = room(text.size() + padding);
  std::memcpy(at, text.data(), text.size());
  std::memset(at + text.size(), 0, padding);
  return {at, text.size()};
}

SignalDetail& SignalBatch::add_detail() {
  return details_.emplace_back();
}

void SignalBatch::clear() {
  signals.clear();
  failures.clear();
  large_.clear();
  details_.clear();
  block_index_ = 0;
  used_ = blocks_.empty() ? block_bytes : 0;
}

std::size_t SignalBatch::held_bytes() const {
  return signals.capacity() * sizeof(Signal) + failures.capacity() * sizeof(DecodeFailure) +
         blocks_.size() * block_bytes;
}

}  // namespace selfheal
