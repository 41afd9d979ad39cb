#pragma once
// Text within URLs.
#include <string>
#include <string_view>

namespace selfheal {

// Everything but letters, digits and -._~ escaped, so that it stays within one segment or value.
std::string percent_encoded(std::string_view text);

}  // namespace selfheal
