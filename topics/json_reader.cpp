#include "topics/json_reader.hpp"

#include "topics/json_plain.hpp"

namespace selfheal {
namespace {

bool is_digit(const char* at, const char* end) {
  return at != end && *at >= '0' && *at <= '9';
}

const char* digits_end(const char* at, const char* end) {
  while (is_digit(at, end)) ++at;
  return at;
}

// -1 where it is no hex digit.
int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

void append_utf8(std::string& out, unsigned code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xc0 | code >> 6);
    out += static_cast<char>(0x80 | (code & 0x3f));
  } else {
    out += static_cast<char>(0xe0 | code >> 12);
    out += static_cast<char>(0x80 | (code >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (code & 0x3f));
  }
}

// Past the string whose quote is at `at`, by looking for its end only; null where it has none.
const char* rough_text_end(const char* at, const char* end) {
  for (++at; at < end; ++at) {
    at = json_detail::plain_end(at, end);
    if (at == end) return nullptr;
    if (*at == '"') return at + 1;
    if (*at == '\\') ++at;
  }
  return nullptr;
}

// Past the value at `at`, up to the comma or bracket that ends it; null where nothing does.
const char* rough_value_end(const char* at, const char* end) {
  int depth = 0;
  while (at < end) {
    if (*at == '"') {
      at = rough_text_end(at, end);
      if (at == nullptr) return nullptr;
      continue;
    }
    if (*at == '{' || *at == '[') ++depth;
    if (depth == 0 && (*at == ',' || *at == '}' || *at == ']')) return at;
    if (*at == '}' || *at == ']') --depth;
    ++at;
  }
  return nullptr;
}

}  // namespace

namespace json_detail {

std::size_t utf8_length(const char* at, const char* end) {
  const auto byte = [&](std::ptrdiff_t i) { return static_cast<unsigned char>(at[i]); };
  const auto follows = [&](std::ptrdiff_t i, unsigned low, unsigned high) {
    return end - at > i && byte(i) >= low && byte(i) <= high;
  };
  if (at == end) return 0;
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return follows(1, 0x80, 0xbf) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    // No overlong forms, no surrogates.
    const unsigned low = first == 0xe0 ? 0xa0 : 0x80;
    const unsigned high = first == 0xed ? 0x9f : 0xbf;
    return follows(1, low, high) && follows(2, 0x80, 0xbf) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    const unsigned low = first == 0xf0 ? 0x90 : 0x80;
    const unsigned high = first == 0xf4 ? 0x8f : 0xbf;
    return follows(1, low, high) && follows(2, 0x80, 0xbf) && follows(3, 0x80, 0xbf) ? 4 : 0;
  }
  return 0;
}

}  // namespace json_detail

bool JsonReader::text(std::string& into) {
  if (!take('"')) return false;
  into.clear();
  while (true) {
    const char* const begin = at_;
    at_ = json_detail::plain_end(at_, end_);
    into.append(begin, at_);
    if (at_ == end_) return false;
    if (*at_ == '"') {
      ++at_;
      return true;
    }
    if (*at_ == '\\') {
      ++at_;
      if (!escape(into)) return false;
      continue;
    }
    const std::size_t length = json_detail::utf8_length(at_, end_);
    // A control character counts as one byte of UTF-8 and is still no part of a string.
    if (length < 2) return false;
    into.append(at_, length);
    at_ += length;
  }
}

bool JsonReader::escape(std::string& into) {
  if (at_ == end_) return false;
  const char c = *at_++;
  constexpr std::string_view names = "\"\\/bfnrt";
  constexpr std::string_view meant = "\"\\/\b\f\n\r\t";
  if (const std::size_t found = names.find(c); found != std::string_view::npos) {
    into += meant[found];
    return true;
  }
  if (c != 'u' || end_ - at_ < 4) return false;
  unsigned code = 0;
  for (int i = 0; i < 4; ++i) {
    const int digit = hex_digit(*at_++);
    if (digit < 0) return false;
    code = code << 4 | static_cast<unsigned>(digit);
  }
  if (code >= 0xd800 && code <= 0xdfff) return false;
  append_utf8(into, code);
  return true;
}

bool JsonReader::skip_text() {
  if (!take('"')) return false;
  while (true) {
    at_ = json_detail::plain_end(at_, end_);
    if (at_ == end_) return false;
    if (*at_ == '"') {
      ++at_;
      return true;
    }
    if (*at_ == '\\') {
      ++at_;
      std::string unused;
      if (!escape(unused)) return false;
      continue;
    }
    const std::size_t length = json_detail::utf8_length(at_, end_);
    if (length < 2) return false;
    at_ += length;
  }
}

bool JsonReader::plain_name(std::string_view& into) {
  if (!take('"')) return false;
  const char* const begin = at_;
  at_ = json_detail::plain_end(at_, end_);
  if (at_ == end_ || *at_ != '"') return false;
  into = std::string_view(begin, static_cast<std::size_t>(at_ - begin));
  ++at_;
  return true;
}

bool JsonReader::literal(std::string_view word) {
  if (!std::string_view(at_, static_cast<std::size_t>(end_ - at_)).starts_with(word)) return false;
  at_ += word.size();
  return true;
}

bool JsonReader::truth(bool& into) {
  skip_space();
  into = literal("true");
  return into || literal("false");
}

const char* JsonReader::number_end(bool& whole) const {
  const char* at = at_;
  whole = true;
  if (at != end_ && *at == '-') ++at;
  if (!is_digit(at, end_)) return nullptr;
  at = *at == '0' ? at + 1 : digits_end(at, end_);
  if (at != end_ && *at == '.') {
    whole = false;
    if (!is_digit(++at, end_)) return nullptr;
    at = digits_end(at, end_);
  }
  if (at != end_ && (*at == 'e' || *at == 'E')) {
    whole = false;
    ++at;
    if (at != end_ && (*at == '+' || *at == '-')) ++at;
    if (!is_digit(at, end_)) return nullptr;
    at = digits_end(at, end_);
  }
  return at;
}

bool JsonReader::integer_ends_well() {
  bool whole = false;
  token_end_ = number_end(whole);
  return token_end_ != nullptr && whole;
}

bool JsonReader::real(double& into) {
  skip_space();
  bool whole = false;
  const char* const end = number_end(whole);
  if (end == nullptr) return false;
  if (whole) {
    // The tree makes an integer of it first, which has no negative zero.
    std::int64_t value = 0;
    const auto read = std::from_chars(at_, end, value);
    if (read.ec != std::errc()) return false;
    into = static_cast<double>(value);
  } else {
    const auto read = std::from_chars(at_, end, into);
    if (read.ec != std::errc() || read.ptr != end) return false;
  }
  at_ = end;
  return true;
}

bool JsonReader::skip_value() {
  skip_space();
  if (at_ == end_) return false;
  switch (*at_) {
    case '"':
      return skip_text();
    case '{':
      return members([&](std::string_view) { return skip_value(); });
    case '[':
      return items([&] { return skip_value(); });
    case 't':
      return literal("true");
    case 'f':
      return literal("false");
    case 'n':
      return literal("null");
    default:
      double unused = 0;
      return real(unused);
  }
}

bool JsonReader::find_member(std::string_view name) {
  if (!take('{')) return false;
  do {
    std::string_view each;
    if (!plain_name(each) || !take(':')) return false;
    if (each == name) return true;
    at_ = rough_value_end(at_, end_);
  } while (at_ != nullptr && take(','));
  return false;
}

bool JsonReader::peek_member(std::string_view name, std::string_view& value) const {
  JsonReader ahead(std::string_view(at_, static_cast<std::size_t>(end_ - at_)));
  return ahead.find_member(name) && ahead.plain_name(value);
}

}  // namespace selfheal
