#pragma once
#include <algorithm>
#include <cstddef>
#include <vector>

namespace selfheal {

// Room for `wanted` elements, twofold at least where it has to grow: a plain reserve() for each of
// many small additions would copy everything each time.
template <class T>
void reserve_growing(std::vector<T>& list, std::size_t wanted) {
  if (wanted > list.capacity()) list.reserve(std::max(wanted, 2 * list.capacity()));
}

}  // namespace selfheal
