#pragma once
// The usual form of a metric, read in one pass without an index: nearly all signals are metrics,
// and nearly all metrics are written like this. Internal to the decoder.
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "topics/signal_draft.hpp"

namespace selfheal {

// All texts lie in the text that was scanned, are ASCII and hold no control character.
struct MetricDraft : MetricMembers {
  std::string_view type;
  std::string_view labels_text;  // the object as it stands there; empty where there is none
  LabelList labels;
  // The labels are written like those that the caller knows already; `labels` stays empty.
  bool are_labels_known = false;

  // Keeps what the list has allocated. Member by member: a whole struct of this size is zeroed with
  // a string instruction that takes longer than to read a member.
  void clear() {
    service = {};
    metric = {};
    time = {};
    sentinel = {};
    id = {};
    resource_kind = {};
    resource_id = {};
    type = {};
    time_ms.reset();
    value.reset();
    labels_text = {};
    labels.clear();
    are_labels_known = false;
  }
};

// What stood in front of a member's value, such as `,"service":"`. A sentinel writes the same
// members in the same order time and again: where a lead stands again, the processor goes on behind
// it without having looked for its end.
struct MemberLead {
  static constexpr std::size_t words = 2;
  static constexpr std::size_t bytes_max = words * sizeof(std::uint64_t);
  enum class Member : std::uint8_t {
    service,
    metric,
    time,
    sentinel,
    id,
    type,
    time_ms,
    value,
    labels,
    resource,
    none
  };

  // Until it is learnt it stands nowhere: no text without any bits is 1.
  std::array<std::uint64_t, words> text = {1, 0};
  std::array<std::uint64_t, words> mask = {0, 0};
  std::size_t bytes = 0;
  Member member = Member::none;
};

// Not thread-safe.
class MetricScanner {
 public:
  // Reads the object at the beginning of `text` and returns how long it is. `draft` is then what
  // SignalObjectReader would make of it, to the bit. 0: it is not for a scan (another type, an
  // escape, a byte beyond ASCII, an unknown member, a mistake); nothing is said about the text, and
  // `draft` holds nothing of use. What was scanned before makes no difference.
  // `known_labels`: labels as they stood in an earlier text, not read again where they stand here.
  // Behind `text` lies a byte below 0x20, and sixteen bytes more that may be read.
  std::size_t scan(std::string_view text, std::string_view known_labels, MetricDraft& draft);

 private:
  std::array<MemberLead, static_cast<std::size_t>(MemberLead::Member::none)> leads_;
};

}  // namespace selfheal
