#include "topics/metric_scan.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <span>

#include "topics/eight_bytes.hpp"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace selfheal {
namespace {

// The first byte that ends a text, or that a scan leaves to others: a quote, a backslash, a control
// character (also 0x7f, which names may not hold) or a byte beyond ASCII.
#ifdef __SSE2__
const char* plain_end(const char* text) {
  for (;; text += sizeof(__m128i)) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text));
    const auto equal = [bytes](char byte) { return _mm_cmpeq_epi8(bytes, _mm_set1_epi8(byte)); };
    // As signed numbers, bytes beyond ASCII are below 0x20 as well.
    const __m128i below = _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20));
    const __m128i ends = _mm_or_si128(equal('"'), equal('\\'));
    const __m128i found = _mm_or_si128(_mm_or_si128(ends, equal(0x7f)), below);
    const auto marks = static_cast<unsigned>(_mm_movemask_epi8(found));
    if (marks != 0) return text + std::countr_zero(marks);
  }
}
#else
const char* plain_end(const char* text) {
  using namespace eight_bytes;
  for (;; text += sizeof(std::uint64_t)) {
    const std::uint64_t word = load(text);
    const std::uint64_t found = equal(word, '"') | equal(word, '\\') | equal(word, 0x7f) |
                                below(word, 0x20) | (word & tops);
    if (found != 0) return text + first(found);
  }
}
#endif

// The number that eight digits make, each a byte from 0 to 9, the first one the lowest: neighbours
// are put together to pairs, those to fours, and those to the whole.
constexpr std::uint64_t eight_digits(std::uint64_t word) {
  word = (word * 10 + (word >> 8)) & 0x00ff00ff00ff00ff;
  word = (word * 100 + (word >> 16)) & 0x0000ffff0000ffff;
  return (word * 10'000 + (word >> 32)) & 0xffffffff;
}

// A name of up to eight bytes as one number, so that names are told apart in one comparison.
constexpr std::uint64_t word_of(std::string_view name) {
  std::uint64_t word = 0;
  for (std::size_t i = 0; i < name.size(); ++i) {
    word |= static_cast<std::uint64_t>(static_cast<unsigned char>(name[i])) << (8 * i);
  }
  return word;
}

using Member = MemberLead::Member;

// In the order of Member.
constexpr std::array<std::uint64_t, static_cast<std::size_t>(Member::none)> names = {
    word_of("service"), word_of("metric"),  word_of("time"),    word_of("sentinel"),
    word_of("id"),      word_of("type"),    word_of("time_ms"), word_of("value"),
    word_of("labels"),  word_of("resource")};

Member member_of(std::uint64_t name) {
  return static_cast<Member>(std::find(names.begin(), names.end(), name) - names.begin());
}

// Of the members that are texts: the first ones.
constexpr std::array<std::string_view MetricDraft::*, 6> texts = {
    &MetricDraft::service,  &MetricDraft::metric, &MetricDraft::time,
    &MetricDraft::sentinel, &MetricDraft::id,     &MetricDraft::type};

bool is_text(Member member) {
  return static_cast<std::size_t>(member) < texts.size();
}

bool stands_at(const MemberLead& lead, const char* text) {
  std::uint64_t different = 0;
  for (std::size_t i = 0; i < MemberLead::words; ++i) {
    different |= (eight_bytes::load(text + 8 * i) & lead.mask[i]) ^ lead.text[i];
  }
  return different == 0;
}

MemberLead lead_of(std::string_view text, Member member) {
  MemberLead lead;
  if (text.size() > MemberLead::bytes_max) return lead;
  lead.text = {};
  std::memcpy(lead.text.data(), text.data(), text.size());
  std::memset(lead.mask.data(), 0xff, text.size());
  lead.bytes = text.size();
  lead.member = member;
  return lead;
}

// Never runs past the byte below 0x20 behind the text: nothing here goes on at such a byte.
class Scan {
 public:
  Scan(std::string_view text, std::string_view known_labels, std::span<MemberLead> leads,
       MetricDraft& draft)
      : begin_(text.data()),
        at_(text.data()),
        end_(text.data() + text.size()),
        known_labels_(known_labels),
        leads_(leads),
        draft_(draft) {}

  // Of the object; 0 where it is none for a scan.
  std::size_t length() {
    if (!object() || draft_.type != "metric") return 0;
    return static_cast<std::size_t>(at_ - begin_);
  }

 private:
  bool object() {
    for (std::size_t i = 0;; ++i) {
      Member member = Member::none;
      if (i < leads_.size() && stands_at(leads_[i], at_)) {
        at_ += leads_[i].bytes;
        member = leads_[i].member;
      } else {
        const char* const begin = at_;
        if (!take(i == 0 ? '{' : ',')) return i > 0 && take('}');
        if (!take('"')) return false;
        member = member_of(name());
        if (is_text(member) && !take('"')) return false;
        if (i < leads_.size()) leads_[i] = lead_of({begin, at_}, member);
      }
      if (!value(member)) return false;
    }
  }

  // From behind its lead on.
  bool value(Member member) {
    if (is_text(member)) return rest_of_text(draft_.*texts[static_cast<std::size_t>(member)]);
    switch (member) {
      case Member::time_ms:
        return whole(draft_.time_ms);
      case Member::value:
        return number(draft_.value);
      case Member::labels:
        return labels();
      case Member::resource:
        return resource();
      default:
        return false;
    }
  }

  bool take(char wanted) {
    while (*at_ == ' ') ++at_;
    if (*at_ != wanted) return false;
    ++at_;
    return true;
  }

  bool text(std::string_view& out) { return take('"') && rest_of_text(out); }

  bool rest_of_text(std::string_view& out) {
    const char* end = plain_end(at_);
    if (*end != '"') return false;
    out = {at_, static_cast<std::size_t>(end - at_)};
    at_ = end + 1;
    return true;
  }

  // The rest of a name, its quote and colon, as word_of() has it; 0 for one that is none of ours.
  std::uint64_t name() {
    std::uint64_t word = eight_bytes::load(at_);
    const std::uint64_t quotes = eight_bytes::equal(word, '"');
    const std::size_t length = quotes == 0 ? sizeof word : eight_bytes::first(quotes);
    if (length < sizeof word) word &= (std::uint64_t{1} << (8 * length)) - 1;
    // Zero bytes at its end do not show in the word.
    if (length > 0 && at_[length - 1] == '\0') return 0;
    at_ += length;
    if (*at_ != '"') return 0;
    ++at_;
    return take(':') ? word : 0;
  }

  // `member` reads each from behind the quote of its name on.
  template <class Member>
  bool members(const Member& member) {
    if (!take('{')) return false;
    if (take('}')) return true;
    do {
      if (!take('"') || !member()) return false;
    } while (take(','));
    return take('}');
  }

  bool labels() {
    while (*at_ == ' ') ++at_;
    const char* const begin = at_;
    draft_.labels.clear();
    draft_.are_labels_known = has_known_labels();
    const bool read = draft_.are_labels_known || label_members();
    draft_.labels_text = {begin, static_cast<std::size_t>(at_ - begin)};
    return read;
  }

  // Goes past them. An object ends with its bracket, so this one is no longer than the known one.
  bool has_known_labels() {
    const std::size_t size = known_labels_.size();
    // Blanks in front of them may lie behind the end, in the padding.
    if (size == 0 || at_ >= end_ || static_cast<std::size_t>(end_ - at_) < size) return false;
    if (std::memcmp(at_, known_labels_.data(), size) != 0) return false;
    at_ += size;
    return true;
  }

  bool label_members() {
    return members([this] {
      std::string_view key;
      std::string_view value;
      if (!rest_of_text(key) || !take(':') || !text(value)) return false;
      if (draft_.labels.size() == signal_limits::labels_max) return false;
      draft_.labels.emplace_back(key, value);
      return true;
    });
  }

  bool resource() {
    return members([this] {
      const std::uint64_t key = name();
      if (key == word_of("kind")) return text(draft_.resource_kind);
      return key == word_of("id") && text(draft_.resource_id);
    });
  }

  // Digits from at_ on, put behind those of `value`; at most 19 fit, which callers see to.
  std::size_t digits(std::uint64_t& value) {
    const char* const begin = at_;
    for (;;) {
      const std::uint64_t word = eight_bytes::load(at_) ^ eight_bytes::ones * '0';
      const std::uint64_t others = eight_bytes::above_nine(word);
      const std::size_t count = others == 0 ? sizeof word : eight_bytes::first(others);
      if (count == 0) break;
      // Zeros in front make eight digits of them.
      value = value * tens[count] + eight_digits(word << 8 * (sizeof word - count));
      at_ += count;
      if (count < sizeof word) break;
    }
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

  static constexpr std::array<std::uint64_t, 9> tens = {
      1, 10, 100, 1'000, 10'000, 100'000, 1'000'000, 10'000'000, 100'000'000};
  static constexpr std::size_t exact_digits = 15;
  static constexpr std::array<double, exact_digits + 1> powers_of_ten = {
      1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};

  const char* const begin_;
  const char* at_;
  const char* const end_;
  const std::string_view known_labels_;
  const std::span<MemberLead> leads_;
  MetricDraft& draft_;
};

}  // namespace

std::size_t MetricScanner::scan(std::string_view text, std::string_view known_labels,
                                MetricDraft& draft) {
  draft.clear();
  return Scan(text, known_labels, leads_, draft).length();
}

}  // namespace selfheal
