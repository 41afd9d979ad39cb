#include "storage/recent_decisions.hpp"

#include <map>

#include "base/parse_number.hpp"

namespace selfheal {
namespace {

const std::string rows_prefix = "read_model/recent/";

}  // namespace

Result<void> RecentDecisions::load() {
  std::map<std::uint64_t, std::string> found;
  const auto take = [&](std::string_view, std::string_view row) -> Result<void> {
    const std::size_t space = row.find(' ');
    const auto number = parse_number<std::uint64_t>(row.substr(0, space));
    if (number && space != std::string_view::npos) found[*number] = row.substr(space + 1);
    return {};
  };
  if (Result<void> read = rows_.visit_saved(rows_prefix, take); !read) return read;
  for (auto& [number, text] : found) {
    count_ = number + 1;
    texts_.push_back(std::move(text));
  }
  return {};
}

const std::string& RecentDecisions::add(std::string text) {
  // The number in front tells after a start which of them is the oldest.
  rows_.put(rows_prefix + std::to_string(count_ % kept_max), std::to_string(count_) + " " + text);
  ++count_;
  texts_.push_back(std::move(text));
  if (texts_.size() > kept_max) texts_.pop_front();
  return texts_.back();
}

}  // namespace selfheal
