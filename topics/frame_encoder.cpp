// Writing frames; apart from reading them, because decisions forward signals and read no bytes.
#include <cstring>
#include <unordered_map>
#include <vector>

#include "topics/frame_codec.hpp"
#include "topics/frame_layout.hpp"
#include "topics/signal_check.hpp"

namespace selfheal {
namespace {

using namespace frame_layout;

std::uint64_t zigzag(std::int64_t value) {
  return static_cast<std::uint64_t>(value) << 1 ^ static_cast<std::uint64_t>(value >> 63);
}

class FrameWriter {
 public:
  void byte(std::uint8_t value) { out += static_cast<char>(value); }

  template <class Number>
  void fixed(Number value) {
    std::array<char, sizeof value> bytes{};
    std::memcpy(bytes.data(), &value, sizeof value);
    out.append(bytes.data(), bytes.size());
  }

  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) byte(static_cast<std::uint8_t>(value | 0x80));
    byte(static_cast<std::uint8_t>(value));
  }

  void text(std::string_view value) {
    varint(value.size());
    out += value;
  }

  std::string out;
};

// Strings in order of first use.
class Dictionary {
 public:
  std::uint64_t number(std::string_view text) {
    const auto [found, added] = numbers_.emplace(text, texts.size());
    if (added) texts.push_back(text);
    return found->second;
  }

  std::vector<std::string_view> texts;

 private:
  std::unordered_map<std::string_view, std::uint64_t> numbers_;
};

void write_detail(const SignalDetail& detail, FrameWriter& out) {
  const SignalDetail absent;
  std::uint64_t present = 0;
  const auto mark = [&](std::size_t field, bool there) {
    present |= static_cast<std::uint64_t>(there) << field;
  };
  for (std::size_t i = 0; i < text_fields.size(); ++i) mark(i, !(detail.*text_fields[i]).empty());
  mark(labels_field, !detail.labels.empty());
  mark(playbooks_field, !detail.suggested_playbooks.empty());
  for (std::size_t i = 0; i < number_fields.size(); ++i) {
    mark(first_number_field + i, detail.*number_fields[i] != absent.*number_fields[i]);
  }
  out.varint(present);
  for (const auto field : text_fields) {
    if (!(detail.*field).empty()) out.text(detail.*field);
  }
  if (!detail.labels.empty()) {
    out.varint(detail.labels.size());
    for (const auto& [key, value] : detail.labels) {
      out.text(key);
      out.text(value);
    }
  }
  if (!detail.suggested_playbooks.empty()) {
    out.varint(detail.suggested_playbooks.size());
    for (const std::string& each : detail.suggested_playbooks) out.text(each);
  }
  for (const auto field : number_fields) {
    if (detail.*field != absent.*field) out.fixed(detail.*field);
  }
}

void write_row(const Signal& signal, TimeMs base_ms, Dictionary& words, FrameWriter& out) {
  const bool metric = signal.type == SignalType::metric;
  const bool resource = !signal.resource_kind.empty() || !signal.resource_id.empty();
  std::uint8_t head = static_cast<std::uint8_t>(signal.type);
  if (resource) head |= has_resource;
  if (!signal.sentinel.empty()) head |= has_sentinel;
  if (!signal.id.empty()) head |= has_id;
  if (metric && !signal.labels.empty()) head |= has_labels;
  out.byte(head);
  out.varint(words.number(signal.service));
  out.varint(zigzag(signal.time_ms - base_ms));
  if (metric) {
    out.varint(words.number(signal.metric));
    out.fixed(signal.value);
  }
  if ((head & has_labels) != 0) out.varint(words.number(signal.labels));
  if (resource) {
    out.varint(words.number(signal.resource_kind));
    out.varint(words.number(signal.resource_id));
  }
  if (!signal.sentinel.empty()) out.varint(words.number(signal.sentinel));
  if (!signal.id.empty()) out.text(signal.id);
  if (!metric) write_detail(*signal.detail, out);
}

}  // namespace

Result<std::string> encode_frame(std::span<const Signal> signals) {
  if (signals.size() > signal_limits::signals_max) {
    return Error{ErrorCode::exhausted, "a frame holds at most 10000 signals"};
  }
  // The rows first: they make the word list that stands before them.
  const TimeMs base_ms = signals.empty() ? 0 : signals.front().time_ms;
  Dictionary words;
  FrameWriter rows;
  for (const Signal& signal : signals) write_row(signal, base_ms, words, rows);
  FrameWriter frame;
  frame.byte(static_cast<std::uint8_t>(frame_magic));
  frame.byte(frame_version);
  frame.fixed(static_cast<std::uint16_t>(signals.size()));
  frame.varint(words.texts.size());
  for (const std::string_view text : words.texts) frame.text(text);
  frame.fixed(base_ms);
  frame.out += rows.out;
  if (frame.out.size() > record_bytes_max) {
    return Error{ErrorCode::exhausted, "a frame of " + std::to_string(frame.out.size()) +
                                           " bytes is longer than a record may be"};
  }
  return std::move(frame.out);
}

}  // namespace selfheal
