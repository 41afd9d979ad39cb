#pragma once
// What a scan promises: where it reads a text, the general reader reads the same.
#include <bit>
#include <string>
#include <tuple>

#include "topics/metric_scan.hpp"
#include "topics/signal_object.hpp"

namespace selfheal {

inline auto members_of(const SignalDraft& draft) {
  const auto bits = [](const std::optional<double>& value) {
    return std::pair(value.has_value(), std::bit_cast<std::uint64_t>(value.value_or(0)));
  };
  return std::tuple(draft.type, draft.service, draft.metric, draft.time, draft.sentinel, draft.id,
                    draft.resource_kind, draft.resource_id, draft.labels, draft.time_ms,
                    bits(draft.value), draft.cloud_event, draft.wrong, draft.code, draft.data);
}

enum class Scanned { left, agrees, differs };

// A text as the decoder hands it on: no blanks around it.
inline Scanned scan_both(const std::string& text) {
  const std::string padded = text + std::string(text_padding, '\0');
  const std::string_view content(padded.data(), text.size());
  SignalDraft scanned;
  if (!scan_metric(content, scanned)) return Scanned::left;
  SignalObjectReader reader;
  SignalDraft read;
  std::string why;
  if (!reader.read(content, read, why)) return Scanned::differs;
  return members_of(scanned) == members_of(read) ? Scanned::agrees : Scanned::differs;
}

}  // namespace selfheal
