#pragma once
// What a scan promises: where it reads a text, the general reader reads the same.
#include <bit>
#include <string>
#include <tuple>

#include "topics/metric_scan.hpp"
#include "topics/signal_object.hpp"

namespace selfheal {

// Of either draft: what both have.
template <class Draft>
auto common_members(const Draft& draft) {
  const auto bits = [](const std::optional<double>& value) {
    return std::pair(value.has_value(), std::bit_cast<std::uint64_t>(value.value_or(0)));
  };
  return std::tuple(draft.service, draft.metric, draft.time, draft.sentinel, draft.id,
                    draft.resource_kind, draft.resource_id, draft.labels, draft.time_ms,
                    bits(draft.value));
}

enum class Scanned { left, agrees, differs };

// A text as the decoder hands it on: no blanks around it.
inline Scanned scan_both(const std::string& text) {
  const std::string padded = text + std::string(text_padding, '\0');
  const std::string_view content(padded.data(), text.size());
  MetricDraft scanned;
  if (scan_metric(content, {}, scanned) != content.size()) return Scanned::left;
  SignalObjectReader reader;
  SignalDraft read;
  std::string why;
  if (!reader.read(content, read, why)) return Scanned::differs;
  const bool only_these = read.type == "metric" && !read.cloud_event && read.wrong.empty() &&
                          read.code.empty() && read.data.empty();
  if (!only_these || common_members(scanned) != common_members(read)) return Scanned::differs;
  // Labels that are known are passed over, and nothing else becomes different by it.
  MetricDraft again;
  const std::string known(scanned.labels_text);
  if (scan_metric(content, known, again) != content.size()) return Scanned::differs;
  if (again.are_labels_known == known.empty()) return Scanned::differs;
  again.labels = scanned.labels;
  return common_members(again) == common_members(scanned) ? Scanned::agrees : Scanned::differs;
}

}  // namespace selfheal
