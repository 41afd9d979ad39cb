#include "topics/dead_letter.hpp"

#include "topics/frame_codec.hpp"
#include "topics/signal_check.hpp"

namespace selfheal {
namespace {

// Key, reason and the rest together stay below record_overhead_bytes_max.
constexpr std::size_t key_bytes_max = std::size_t{16} * 1024;
constexpr std::size_t reason_bytes_max = 1024;

// Empty where the record has no such line, as a frame has none.
std::string_view line_of(std::string_view text, std::int64_t line) {
  if (text.starts_with(frame_magic)) return {};
  for (; line > 0; --line) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
  return text.substr(0, text.find('\n'));
}

}  // namespace

NewRecord DeadLetterWriter::write(const TopicPartition& stood, Offset offset, std::int64_t line,
                                  const std::string& reason, const RecordView* record,
                                  const std::string& missing) {
  if (stood != stood_ || offset != offset_) bytes_ = 0;
  stood_ = stood;
  offset_ = offset;
  NewRecord letter;
  letter.headers = {{"reason", std::string(cut_text(reason, reason_bytes_max))},
                    {"topic", stood.topic},
                    {"partition", std::to_string(stood.partition)},
                    {"offset", std::to_string(offset)}};
  // For people, who count from 1; in decisions lines count from 0.
  if (line >= 0) letter.headers.emplace_back("line", std::to_string(line + 1));
  if (record == nullptr) {
    letter.headers.emplace_back("missing", std::string(cut_text(missing, reason_bytes_max)));
    return letter;
  }
  std::string_view value = record->value;
  const bool whole = line < 0 || bytes_ == 0 || bytes_ + value.size() <= letter_bytes_max;
  if (!whole) value = line_of(value, line);
  letter.key = record->key.substr(0, key_bytes_max);
  letter.value = value.substr(0, record_bytes_max);
  const bool is_cut =
      letter.key.size() < record->key.size() || letter.value.size() < record->value.size();
  if (is_cut) {
    letter.headers.emplace_back("truncated",
                                "a record of " + std::to_string(record->value.size()) + " bytes");
  }
  bytes_ += letter.value.size();
  return letter;
}

}  // namespace selfheal
