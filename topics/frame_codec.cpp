#include "topics/frame_codec.hpp"

#include <simdjson.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "topics/eight_bytes.hpp"
#include "topics/frame_layout.hpp"
#include "topics/reserve.hpp"
#include "topics/signal_check.hpp"

namespace selfheal {
namespace {

using namespace frame_layout;

std::int64_t unzigzag(std::uint64_t value) {
  return static_cast<std::int64_t>(value >> 1 ^ (~(value & 1) + 1));
}

// Reads within bounds; after the first failure everything reads as zero and `broken` stays.
class FrameReader {
 public:
  explicit FrameReader(std::string_view text) : rest_(text) {}

  std::uint8_t byte() {
    if (rest_.empty()) return fail();
    const auto value = static_cast<std::uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return value;
  }

  template <class Number>
  Number fixed() {
    Number value{};
    if (rest_.size() < sizeof value) return static_cast<Number>(fail());
    std::memcpy(&value, rest_.data(), sizeof value);
    rest_.remove_prefix(sizeof value);
    return value;
  }

  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const std::uint8_t each = byte();
      value |= static_cast<std::uint64_t>(each & 0x7f) << shift;
      if (each < 0x80) {
        // The tenth byte has room for one bit.
        if (shift == 63 && each > 1) return fail();
        return value;
      }
    }
    return fail();
  }

  std::string_view text() {
    const std::uint64_t size = varint();
    if (size > rest_.size()) {
      fail();
      return {};
    }
    const std::string_view value = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return value;
  }

  std::uint8_t fail() {
    broken = true;
    rest_ = {};
    return 0;
  }

  std::size_t left() const { return rest_.size(); }

  bool broken = false;

 private:
  std::string_view rest_;
};

// Most texts are short and ASCII, which is seen faster than the library is called.
bool is_utf8(std::string_view text) {
  constexpr std::size_t short_bytes = 64;
  if (text.size() <= short_bytes) {
    std::size_t at = 0;
    std::uint64_t any = 0;
    for (; at + 8 <= text.size(); at += 8) any |= eight_bytes::load(text.data() + at);
    for (; at < text.size(); ++at) any |= static_cast<unsigned char>(text[at]);
    if ((any & eight_bytes::tops) == 0) return true;
  }
  return simdjson::validate_utf8(text.data(), text.size());
}

// A word of the frame and what is known about it.
struct Word {
  std::string_view text;
  // Short enough for a name and without control characters. Rows share their words, so this is
  // judged once for all of them.
  bool is_name = false;
  enum class Labels : std::uint8_t { unknown, good, bad } labels = Labels::unknown;
};

class FrameDecoder {
 public:
  FrameDecoder(const RecordView& record, SignalBatch& batch)
      : record_(record), batch_(batch), in_(batch.keep(record.value)) {}

  void decode() {
    const std::size_t signals_before = batch_.signals.size();
    const std::size_t failures_before = batch_.failures.size();
    const std::string wrong = decode_all();
    if (wrong.empty()) return;
    batch_.signals.resize(signals_before);
    batch_.failures.resize(failures_before);
    batch_.failures.push_back({record_.offset, -1, "bad_frame: " + wrong});
  }

 private:
  std::string decode_all() {
    in_.byte();  // the magic brought us here
    const std::uint8_t version = in_.byte();
    const auto count = in_.fixed<std::uint16_t>();
    if (in_.broken) return "it ends within its head";
    if (version != frame_version) return "version " + std::to_string(version) + " is not known";
    if (count > signal_limits::signals_max) return "it holds more than 10000 signals";
    if (std::string wrong = read_words(); !wrong.empty()) return wrong;
    base_ms_ = in_.fixed<std::int64_t>();
    // Far from any overflow when a row's difference is added.
    constexpr TimeMs base_ms_max = TimeMs{1} << 52;
    if (base_ms_ < -base_ms_max || base_ms_ > base_ms_max) return "its base time is out of range";
    reserve_growing(batch_.signals, batch_.signals.size() + count);
    for (row_ = 0; row_ < count; ++row_) {
      read_row();
      if (in_.broken) return "row " + std::to_string(row_) + " is cut short or malformed";
    }
    return in_.left() == 0 ? std::string() : "bytes follow its last row";
  }

  std::string read_words() {
    const std::uint64_t count = in_.varint();
    // Each takes a byte at least, so a frame cannot ask for more memory than it brings.
    if (count > in_.left()) return "it is shorter than its word list";
    words_.reserve(count);
    for (std::uint64_t i = 0; i < count && !in_.broken; ++i) {
      const std::string_view text = in_.text();
      if (!is_utf8(text)) return "a word is not UTF-8";
      words_.push_back(
          {text, text.size() <= signal_limits::name_bytes_max && !has_control_character(text)});
    }
    return in_.broken ? "its word list is cut short" : "";
  }

  Word& word() {
    const std::uint64_t number = in_.varint();
    if (number < words_.size()) return words_[number];
    in_.fail();
    return none_ = {};
  }

  // Of a field that holds a name in most rows; the row is judged in full where it does not.
  std::string_view name() {
    const Word& found = word();
    are_names_ = are_names_ && found.is_name;
    return found.text;
  }

  std::string_view text() {
    const std::string_view value = in_.text();
    if (!is_utf8(value)) in_.fail();
    return value;
  }

  void read_row() {
    const std::uint8_t head = in_.byte();
    if ((head & type_mask) >= signal_type_count || (head & unused_bits) != 0) in_.fail();
    if (in_.broken) return;
    std::string wrong;
    Signal signal = read_fields(head, wrong);
    if (in_.broken) return;
    if (signal.type != SignalType::metric) {
      read_other(signal, wrong);
    } else {
      if (wrong.empty()) wrong = check_time(signal.time_ms, record_.append_time_ms);
      if (wrong.empty() && !is_plain_metric(signal)) wrong = check_signal(signal, nullptr);
    }
    if (in_.broken) return;
    if (wrong.empty()) {
      batch_.signals.push_back(signal);
    } else {
      batch_.failures.push_back(
          {record_.offset, static_cast<std::int32_t>(row_), std::move(wrong)});
    }
  }

  // What all types have, and the metric's own. `wrong`: what is wrong with the labels.
  Signal read_fields(std::uint8_t head, std::string& wrong) {
    const auto type = static_cast<SignalType>(head & type_mask);
    const bool is_metric = type == SignalType::metric;
    const bool is_of_resource = (head & has_resource) != 0;
    are_names_ = true;
    const std::string_view service = name();
    const std::int64_t difference_ms = unzigzag(in_.varint());
    constexpr std::int64_t difference_ms_max = std::int64_t{1} << 52;
    if (difference_ms < -difference_ms_max || difference_ms > difference_ms_max) in_.fail();
    if (in_.broken) return {};
    const std::string_view metric = is_metric ? name() : std::string_view();
    const double value = is_metric ? in_.fixed<double>() : 0;
    const bool is_labelled = (head & has_labels) != 0;
    const std::string_view labels = is_labelled ? read_labels(is_metric, wrong) : "";
    const std::string_view resource_kind = is_of_resource ? name() : "";
    const std::string_view resource_id = is_of_resource ? name() : "";
    const std::string_view sentinel = (head & has_sentinel) != 0 ? name() : "";
    const std::string_view id = (head & has_id) != 0 ? text() : "";
    // Every member is named: a signal is so large that zeroing it first would cost as much as the
    // rest.
    return {.type = type,
            .offset = record_.offset,
            .line = row_,
            .time_ms = base_ms_ + difference_ms,
            .received_ms = record_.append_time_ms,
            .service = service,
            .metric = metric,
            .value = value,
            .labels = labels,
            .resource_kind = resource_kind,
            .resource_id = resource_id,
            .sentinel = sentinel,
            .id = id,
            .detail = nullptr};
  }

  // Nothing that check_signal() would cut or refuse.
  bool is_plain_metric(const Signal& signal) const {
    return are_names_ && signal.id.empty() && !signal.service.empty() && !signal.metric.empty() &&
           std::isfinite(signal.value);
  }

  void read_other(Signal& signal, std::string& wrong) {
    SignalDetail detail;
    read_detail(detail);
    if (in_.broken) return;
    const bool named_by_worker = signal.type == SignalType::heartbeat && signal.service.empty();
    if (named_by_worker) signal.service = detail.worker_type;
    if (wrong.empty()) wrong = check_time(signal.time_ms, record_.append_time_ms);
    if (wrong.empty()) wrong = check_signal(signal, &detail);
    if (!wrong.empty()) return;
    // The text of the detail may move with it.
    if (named_by_worker) signal.service = batch_.keep(signal.service);
    SignalDetail& kept = batch_.add_detail();
    kept = std::move(detail);
    signal.detail = &kept;
  }

  // One check for all rows with these labels.
  std::string_view read_labels(bool is_metric, std::string& wrong) {
    Word& found = word();
    if (found.labels == Word::Labels::unknown) {
      std::vector<std::pair<std::string, std::string>> pairs;
      found.labels = split_labels(found.text, pairs) ? Word::Labels::good : Word::Labels::bad;
    }
    if (!is_metric) in_.fail();
    if (found.labels == Word::Labels::bad) wrong = "bad_value: labels are not in canonical form";
    return found.text;
  }

  void read_detail(SignalDetail& detail) {
    const std::uint64_t present = in_.varint();
    if (present >> field_count != 0) in_.fail();
    const auto has = [&](std::size_t field) { return (present >> field & 1) != 0; };
    for (std::size_t i = 0; i < text_fields.size(); ++i) {
      if (has(i)) detail.*text_fields[i] = text();
    }
    if (has(labels_field)) {
      for (std::uint64_t left = in_.varint(); left > 0 && !in_.broken; --left) {
        const std::string_view key = text();
        detail.labels[std::string(key)] = text();
      }
    }
    if (has(playbooks_field)) {
      for (std::uint64_t left = in_.varint(); left > 0 && !in_.broken; --left) {
        detail.suggested_playbooks.emplace_back(text());
      }
    }
    for (std::size_t i = 0; i < number_fields.size(); ++i) {
      if (has(first_number_field + i)) detail.*number_fields[i] = in_.fixed<double>();
    }
  }

  const RecordView& record_;
  SignalBatch& batch_;
  FrameReader in_;
  std::vector<Word> words_;
  Word none_;              // what a number beyond the list gets
  bool are_names_ = true;  // every name of the row so far
  TimeMs base_ms_ = 0;
  std::uint32_t row_ = 0;
};

}  // namespace

void decode_frame(const RecordView& record, SignalBatch& batch) {
  FrameDecoder(record, batch).decode();
}

}  // namespace selfheal
