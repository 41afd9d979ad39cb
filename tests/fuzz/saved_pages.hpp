#pragma once
// Saved pages that something has changed: a shard that begins from them says so, or works.
#include <string_view>

namespace selfheal {

// `changes` begins with the state to change and goes on with changes of its pages: which one, how,
// how many bytes, the bytes. Ends the process where the stages do anything but work on or throw a
// CheckFailure.
void load_changed_pages(std::string_view changes);

}  // namespace selfheal
