#pragma once
// An incident as a person reads it: what was seen, chosen, checked, done, and how it ended. Pure.
#include <string>

#include "topics/json_codec.hpp"

namespace selfheal {

// From GET /api/incidents/ID. Several lines, each ended.
std::string incident_story(const Json& incident);

// "2026-11-22 09:30:00" of an RFC 3339 time or a number of milliseconds; empty for anything else.
std::string readable_time(const Json& time);

}  // namespace selfheal
