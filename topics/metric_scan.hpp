#pragma once
// The usual form of a metric, read in one pass without an index: nearly all signals are metrics,
// and nearly all metrics are written like this. Internal to the decoder.
#include <string_view>

#include "topics/signal_draft.hpp"

namespace selfheal {

// True: `draft` is what SignalObjectReader would make of `text`, to the bit. False: this is not
// for a scan (another type, an escape, a byte beyond ASCII, an unknown member, a mistake); nothing
// is said about the text, and `draft` holds nothing of use.
// Behind `text` lies a byte below 0x20, and eight bytes more that may be read.
bool scan_metric(std::string_view text, SignalDraft& draft);

}  // namespace selfheal
