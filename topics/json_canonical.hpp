#pragma once
// Tells JSON that is already canonical, so that it need not go through a tree to become so.
#include <string_view>

namespace selfheal {

// How many bytes at the beginning of `text` are one value in canonical form (see json_codec.hpp);
// 0 where they are not, or where only the tree can say.
std::size_t canonical_length(std::string_view text);

}  // namespace selfheal
