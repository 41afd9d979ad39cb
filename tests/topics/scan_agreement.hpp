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
  MetricScanner scanner;
  MetricDraft scanned;
  const bool left = scanner.scan(content, {}, scanned) != content.size();
  // What was scanned before makes no difference: the same text, or one in the usual order.
  const std::string usual =
      R"({"type":"metric","service":"a","metric":"b","value":1,"time_ms":2,"labels":{"c":"d"}})" +
      std::string(text_padding, '\0');
  MetricScanner used;
  MetricDraft other;
  used.scan({usual.data(), usual.size() - text_padding}, {}, other);
  for (MetricScanner* each : {&used, &scanner}) {
    if ((each->scan(content, {}, other) != content.size()) != left) return Scanned::differs;
    if (!left && common_members(other) != common_members(scanned)) return Scanned::differs;
  }
  if (left) return Scanned::left;
  SignalObjectReader reader;
  SignalDraft read;
  std::string why;
  if (!reader.read(content, read, why)) return Scanned::differs;
  const bool only_these = read.type == "metric" && !read.cloud_event && read.wrong.empty() &&
                          read.code.empty() && read.data.empty();
  if (!only_these || common_members(scanned) != common_members(read)) return Scanned::differs;
  // Labels that are known are passed over, and nothing else becomes different by it.
  const std::string known(scanned.labels_text);
  if (scanner.scan(content, known, other) != content.size()) return Scanned::differs;
  if (other.are_labels_known == known.empty()) return Scanned::differs;
  other.labels = scanned.labels;
  return common_members(other) == common_members(scanned) ? Scanned::agrees : Scanned::differs;
}

}  // namespace selfheal
