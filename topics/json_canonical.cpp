#include "topics/json_canonical.hpp"

#include "topics/json_plain.hpp"
#include "topics/json_reader.hpp"
#include "topics/json_writer.hpp"

namespace selfheal {
namespace {

// The tree takes 64 levels; deeper than this is left to it.
constexpr int depth_max = 32;

// Each returns where the canonical form that begins at `at` ends; null where it is none.
const char* value_end(const char* at, const char* end, int depth);

const char* escape_end(const char* at, const char* end) {
  if (at == end) return nullptr;
  if (std::string_view("\"\\bfnrt").find(*at) != std::string_view::npos) return at + 1;
  // Control characters without a letter of their own, in lower case.
  const std::string_view code(at, static_cast<std::size_t>(end - at));
  if (code.size() < 5 || !code.starts_with("u00")) return nullptr;
  const bool is_hex = (code[4] >= '0' && code[4] <= '9') || (code[4] >= 'a' && code[4] <= 'f');
  if ((code[3] != '0' && code[3] != '1') || !is_hex) return nullptr;
  const bool has_letter =
      code[3] == '0' && std::string_view("89acd").find(code[4]) != std::string_view::npos;
  return has_letter ? nullptr : at + 5;
}

const char* text_end(const char* at, const char* end) {
  for (++at; at != nullptr;) {
    at = json_detail::plain_end(at, end);
    if (at == end) return nullptr;
    if (*at == '"') return at + 1;
    if (*at == '\\') {
      at = escape_end(at + 1, end);
    } else {
      const std::size_t length = json_detail::utf8_length(at, end);
      at = length < 2 ? nullptr : at + length;
    }
  }
  return nullptr;
}

// A name without escapes: only those are in the same order escaped and not.
const char* plain_name_end(const char* at, const char* end) {
  if (at == end || *at != '"') return nullptr;
  at = json_detail::plain_end(at + 1, end);
  return at == end || *at != '"' ? nullptr : at + 1;
}

bool is_of_number(char c) {
  return (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '+' || c == 'e' || c == 'E';
}

const char* number_end(const char* at, const char* end) {
  const char* last = at;
  bool whole = true;
  for (; last != end && is_of_number(*last); ++last) {
    whole = whole && *last != '.' && *last != 'e' && *last != 'E';
  }
  const std::string_view text(at, static_cast<std::size_t>(last - at));
  std::string again;
  if (whole) {
    std::int64_t value = 0;
    if (std::from_chars(at, last, value).ec != std::errc()) return nullptr;
    append_json_integer(again, value);
  } else {
    double value = 0;
    if (std::from_chars(at, last, value).ec != std::errc()) return nullptr;
    append_json_double(again, value);
  }
  return again == text ? last : nullptr;
}

const char* object_end(const char* at, const char* end, int depth) {
  if (++at != end && *at == '}') return at + 1;
  std::string_view before;
  for (bool first = true;; first = false) {
    const char* const begin = at;
    at = plain_name_end(at, end);
    if (at == nullptr || at == end || *at != ':') return nullptr;
    const std::string_view name(begin + 1, static_cast<std::size_t>(at - begin - 2));
    if (!first && name <= before) return nullptr;
    before = name;
    at = value_end(at + 1, end, depth);
    if (at == nullptr || at == end) return nullptr;
    if (*at == '}') return at + 1;
    if (*at++ != ',') return nullptr;
  }
}

const char* list_end(const char* at, const char* end, int depth) {
  if (++at != end && *at == ']') return at + 1;
  while (true) {
    at = value_end(at, end, depth);
    if (at == nullptr || at == end) return nullptr;
    if (*at == ']') return at + 1;
    if (*at++ != ',') return nullptr;
  }
}

const char* value_end(const char* at, const char* end, int depth) {
  if (at == end || depth >= depth_max) return nullptr;
  if (*at == '"') return text_end(at, end);
  if (*at == '{') return object_end(at, end, depth + 1);
  if (*at == '[') return list_end(at, end, depth + 1);
  if (is_of_number(*at)) return number_end(at, end);
  for (const std::string_view word : {"true", "false", "null"}) {
    if (std::string_view(at, static_cast<std::size_t>(end - at)).starts_with(word)) {
      return at + word.size();
    }
  }
  return nullptr;
}

}  // namespace

std::size_t canonical_length(std::string_view text) {
  const char* const end = value_end(text.data(), text.data() + text.size(), 0);
  return end == nullptr ? 0 : static_cast<std::size_t>(end - text.data());
}

}  // namespace selfheal
