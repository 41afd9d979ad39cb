#pragma once
// The usual form of a metric, read in one pass without an index: nearly all signals are metrics,
// and nearly all metrics are written like this. Internal to the decoder.
#include <cstddef>
#include <string_view>

#include "topics/signal_draft.hpp"

namespace selfheal {

// All texts lie in the text that was scanned, are ASCII and hold no control character.
struct MetricDraft : MetricMembers {
  std::string_view labels_text;  // the object as it stands there; empty where there is none
  LabelList labels;
  // The labels are written like those that the caller knows already; `labels` stays empty.
  bool are_labels_known = false;
};

// Reads the object at the beginning of `text` and returns how long it is. `draft` is then what
// SignalObjectReader would make of it, to the bit. 0: it is not for a scan (another type, an
// escape, a byte beyond ASCII, an unknown member, a mistake); nothing is said about the text, and
// `draft` holds nothing of use.
// `known_labels`: labels as they stood in an earlier text, not read again where they stand here.
// Behind `text` lies a byte below 0x20, and eight bytes more that may be read.
std::size_t scan_metric(std::string_view text, std::string_view known_labels, MetricDraft& draft);

}  // namespace selfheal
