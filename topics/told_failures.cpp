#include <algorithm>

#include "topics/dead_letter.hpp"

namespace selfheal {

std::vector<DecodeFailure> told_failures(const std::vector<DecodeFailure>& all) {
  std::vector<DecodeFailure> told;
  for (auto first = all.begin(); first != all.end();) {
    const auto behind = std::find_if(
        first, all.end(), [&](const DecodeFailure& each) { return each.offset != first->offset; });
    const std::size_t count = static_cast<std::size_t>(behind - first);
    const std::size_t room = told.size() < letters_usual_max ? lines_told_max : 1;
    const std::size_t named = count <= room ? count : room - 1;
    told.insert(told.end(), first, first + static_cast<std::ptrdiff_t>(named));
    if (named < count) {
      DecodeFailure rest = *(first + static_cast<std::ptrdiff_t>(named));
      rest.reason = "too_many_bad_lines: " + std::to_string(count - named) +
                    " lines from this one on; it says: " + rest.reason;
      told.push_back(std::move(rest));
    }
    first = behind;
  }
  return told;
}

}  // namespace selfheal
