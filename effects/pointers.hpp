#pragma once
#include <string>
#include <vector>

namespace selfheal {

// argv or an environment in the form that exec and posix_spawn take: ended by a null pointer, alive
// as long as `texts` is and stays unchanged.
inline std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> list;
  list.reserve(texts.size() + 1);
  for (std::string& text : texts) list.push_back(text.data());
  list.push_back(nullptr);
  return list;
}

}  // namespace selfheal
