#pragma once
// Secrets: one file each in a folder that only the service may read. Their values go to the step
// that names them, and never into a file, a log or an answer.
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace selfheal {

using Secrets = std::map<std::string, std::string>;  // name → value

// Refuses what others than the owner can read. One newline at the end is not part of the value.
Result<std::string> read_secret(const std::string& folder, const std::string& name);

// All of them, or the first failure.
Result<Secrets> read_secrets(const std::string& folder, const std::vector<std::string>& names);

// Whatever the folder holds and this process can read, for scrubbing where no step names secrets.
Secrets readable_secrets(const std::string& folder);

// SELF_HEAL_SECRET_<NAME>, upper-case, - as _.
std::string secret_variable(std::string_view name);

// Every secret's value replaced by ***.
std::string scrub(std::string_view text, const Secrets& secrets);

// Where a text was cut at its end or its beginning, a secret may have been cut with it: its part at
// the edge is replaced too.
enum class CutEdge : std::uint8_t { end, begin };
std::string scrub_cut(std::string_view text, CutEdge edge, const Secrets& secrets);

}  // namespace selfheal
