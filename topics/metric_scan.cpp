#include "topics/metric_scan.hpp"

#include <array>
#include <charconv>

#include "topics/eight_bytes.hpp"

namespace selfheal {
namespace {

bool is_digit(char byte) {
  return byte >= '0' && byte <= '9';
}

// The first byte that ends a text, or that a scan leaves to others: a quote, a backslash, a control
// character or a byte beyond ASCII.
const char* plain_end(const char* text) {
  using namespace eight_bytes;
  for (;; text += sizeof(std::uint64_t)) {
    const std::uint64_t word = load(text);
    const std::uint64_t found =
        equal(word, '"') | equal(word, '\\') | below(word, 0x20) | (word & tops);
    if (found != 0) return text + first(found);
  }
}

// Never runs past the byte below 0x20 behind the text: nothing here goes on at such a byte.
class Scan {
 public:
  Scan(std::string_view text, SignalDraft& draft)
      : at_(text.data()), end_(text.data() + text.size()), draft_(draft) {}

  bool read() {
    if (!members([this](std::string_view key) { return member(key); })) return false;
    return at_ == end_ && draft_.type == "metric";
  }

 private:
  bool take(char wanted) {
    while (*at_ == ' ') ++at_;
    if (*at_ != wanted) return false;
    ++at_;
    return true;
  }

  bool text(std::string_view& out) {
    if (!take('"')) return false;
    const char* end = plain_end(at_);
    if (*end != '"') return false;
    out = {at_, static_cast<std::size_t>(end - at_)};
    at_ = end + 1;
    return true;
  }

  template <class Member>
  bool members(const Member& member) {
    if (!take('{')) return false;
    if (take('}')) return true;
    do {
      std::string_view key;
      if (!text(key) || !take(':') || !member(key)) return false;
    } while (take(','));
    return take('}');
  }

  bool member(std::string_view key) {
    switch (key.size()) {
      case 2:
        return key == "id" && text(draft_.id);
      case 4:
        if (key == "type") return text(draft_.type);
        return key == "time" && text(draft_.time);
      case 5:
        return key == "value" && number(draft_.value);
      case 6:
        if (key == "metric") return text(draft_.metric);
        return key == "labels" && labels();
      case 7:
        if (key == "service") return text(draft_.service);
        return key == "time_ms" && whole(draft_.time_ms);
      case 8:
        if (key == "sentinel") return text(draft_.sentinel);
        return key == "resource" && resource();
      default:
        return false;
    }
  }

  bool labels() {
    draft_.labels.clear();
    return members([this](std::string_view key) {
      std::string_view value;
      if (!text(value) || draft_.labels.size() == signal_limits::labels_max) return false;
      draft_.labels.emplace_back(key, value);
      return true;
    });
  }

  bool resource() {
    return members([this](std::string_view key) {
      if (key == "kind") return text(draft_.resource_kind);
      return key == "id" && text(draft_.resource_id);
    });
  }

  // Digits from at_ on, added to `value`; at most 19 fit, which callers see to.
  std::size_t digits(std::uint64_t& value) {
    const char* const begin = at_;
    for (; is_digit(*at_); ++at_) value = value * 10 + static_cast<unsigned>(*at_ - '0');
    return static_cast<std::size_t>(at_ - begin);
  }

  // A sign and the digits before a point, as JSON has them: no zero in front of others.
  bool whole_part(bool& negative, std::uint64_t& value, std::size_t& count) {
    while (*at_ == ' ') ++at_;
    negative = *at_ == '-';
    if (negative) ++at_;
    const bool zero = *at_ == '0';
    count = digits(value);
    return count == 1 || (count > 1 && !zero);
  }

  bool whole(std::optional<std::int64_t>& out) {
    constexpr std::size_t digits_max = 18;  // of those that fit whatever they are
    bool negative = false;
    std::uint64_t value = 0;
    std::size_t count = 0;
    if (!whole_part(negative, value, count) || count > digits_max) return false;
    if (*at_ == '.' || *at_ == 'e' || *at_ == 'E') return false;
    const auto positive = static_cast<std::int64_t>(value);
    out = negative ? -positive : positive;
    return true;
  }

  bool number(std::optional<double>& out) {
    while (*at_ == ' ') ++at_;
    const char* const begin = at_;
    bool negative = false;
    std::uint64_t value = 0;
    std::size_t count = 0;
    if (!whole_part(negative, value, count)) return false;
    std::size_t decimals = 0;
    if (*at_ == '.') {
      ++at_;
      decimals = digits(value);
      if (decimals == 0) return false;
    }
    // Up to fifteen digits are exact in a double, and so is the power of ten: one division then
    // rounds once, as the nearest double wants it.
    if (count + decimals <= exact_digits && *at_ != 'e' && *at_ != 'E') {
      const double exact = static_cast<double>(value) / powers_of_ten[decimals];
      out = negative ? -exact : exact;
      return true;
    }
    double parsed = 0;
    const auto [rest, failure] = std::from_chars(begin, end_, parsed);
    if (failure != std::errc()) return false;
    at_ = rest;
    out = parsed;
    return true;
  }

  static constexpr std::size_t exact_digits = 15;
  static constexpr std::array<double, exact_digits + 1> powers_of_ten = {
      1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};

  const char* at_;
  const char* const end_;
  SignalDraft& draft_;
};

}  // namespace

bool scan_metric(std::string_view text, SignalDraft& draft) {
  draft.clear();
  return Scan(text, draft).read();
}

}  // namespace selfheal
