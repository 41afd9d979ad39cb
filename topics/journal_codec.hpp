#pragma once
// How journal records become bytes and come back. Writing is direct; reading is direct where the
// text is certain and by a tree otherwise, so that both accept the same and word errors alike.
#include "topics/journal.hpp"

namespace selfheal {

// Says what any text means; decode_body() answers the same, faster for what this build writes.
Result<JournalRecord> decode_body_by_tree(std::string_view body);

}  // namespace selfheal
