#pragma once
// Reads JSON straight into structs, without a tree, where it is certain what the text means. False
// means "not certain", not "wrong": a name twice, a surrogate escape, a number beyond its type,
// anything that is not JSON. The caller then asks the tree (json_codec.hpp), which alone says what
// such a text means and words the error. So this reader may be strict, and must never accept what
// the tree would read as something else.
#include <array>
#include <charconv>
#include <concepts>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "topics/json_shapes.hpp"

namespace selfheal {

namespace json_detail {

// May stand in a JSON string as it is, and is ASCII.
inline bool is_plain(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x20 && byte < 0x80 && c != '"' && c != '\\';
}

// Of the well-formed UTF-8 sequence at `at`; 0 where there is none.
std::size_t utf8_length(const char* at, const char* end);

}  // namespace json_detail

class JsonReader {
 public:
  explicit JsonReader(std::string_view text) : at_(text.data()), end_(text.data() + text.size()) {}

  bool text(std::string& into);
  bool truth(bool& into);
  bool real(double& into);
  // Signed or unsigned as the type is; a number that does not fit is not certain.
  template <std::integral T>
  bool integer(T& into) {
    skip_space();
    if (!integer_ends_well()) return false;
    const auto read = std::from_chars(at_, end_, into);
    if (read.ec != std::errc() || read.ptr != token_end_) return false;
    at_ = read.ptr;
    return true;
  }

  // visit(name) for each member: it reads the value. Only for names without escapes.
  template <class Visit>
  bool members(Visit&& visit) {
    if (!open('{')) return false;
    if (close('}')) return true;
    do {
      std::string_view name;
      if (!plain_name(name) || !take(':') || !visit(name)) return false;
    } while (take(','));
    return close('}');
  }
  // visit() for each item of a list.
  template <class Visit>
  bool items(Visit&& visit) {
    if (!open('[')) return false;
    if (close(']')) return true;
    do {
      if (!visit()) return false;
    } while (take(','));
    return close(']');
  }
  // An object or list; for who reads its members or items itself.
  bool open(char bracket) { return take(bracket) && ++depth_ <= depth_max; }
  bool close(char bracket) {
    if (!take(bracket)) return false;
    --depth_;
    return true;
  }
  // The next character that matters, if it is this one.
  bool take(char c) {
    skip_space();
    if (at_ == end_ || *at_ != c) return false;
    ++at_;
    return true;
  }
  bool skip_value();
  // Nothing follows but space.
  bool ends() {
    skip_space();
    return at_ == end_;
  }
  // Moves to the value of a member of the object that comes next; where false, anywhere. Takes the
  // object for well-formed and each name in it for its only one.
  bool find_member(std::string_view name);
  // The text of such a member, without reading on.
  bool peek_member(std::string_view name, std::string_view& value) const;

 private:
  void skip_space() {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\t' || *at_ == '\r')) ++at_;
  }
  bool plain_name(std::string_view& into);
  bool escape(std::string& into);
  bool literal(std::string_view word);
  bool integer_ends_well();
  // Where the number that begins here ends; null where none does.
  const char* number_end(bool& whole) const;
  bool skip_text();

  // The tree takes 64 levels; deeper than this is left to it.
  static constexpr int depth_max = 32;

  const char* at_;
  const char* end_;
  const char* token_end_ = nullptr;
  int depth_ = 0;
};

template <class T>
bool read_json(JsonReader& in, T& value);

namespace json_detail {

template <HasFields T>
using ReadField = bool (*)(JsonReader&, T&);

template <HasFields T, std::size_t place>
bool read_field(JsonReader& in, T& value) {
  constexpr auto each = std::get<sorted_fields<T>[place]>(T::fields());
  return read_json(in, value.*each.member);
}

template <HasFields T, std::size_t... place>
constexpr auto field_readers(std::index_sequence<place...>) {
  return std::array<ReadField<T>, sizeof...(place)>{&read_field<T, place>...};
}

// `unknown(in, name)` reads the value of a member that is no field.
template <HasFields T, class Unknown>
bool read_fields(JsonReader& in, T& value, Unknown&& unknown) {
  constexpr std::size_t count = field_count<T>;
  static_assert(count <= 64, "more fields than the set of those seen can hold");
  static constexpr auto readers = field_readers<T>(std::make_index_sequence<count>());
  std::uint64_t seen = 0;
  std::size_t next = 0;  // names come sorted from our own writer, so this guess is mostly right
  return in.members([&](std::string_view name) {
    for (std::size_t tried = 0; tried < count; ++tried) {
      const std::size_t place = next + tried < count ? next + tried : next + tried - count;
      if (sorted_names<T>[place] != name) continue;
      if ((seen >> place & 1) != 0) return false;
      seen |= std::uint64_t{1} << place;
      next = place + 1 == count ? 0 : place + 1;
      return readers[place](in, value);
    }
    return unknown(in, name);
  });
}

template <class T>
bool read_map(JsonReader& in, T& value) {
  value.clear();
  if (!in.open('{')) return false;
  if (in.close('}')) return true;
  do {
    std::string key;
    typename T::mapped_type item{};
    if (!in.text(key) || !in.take(':') || !read_json(in, item)) return false;
    if (!value.emplace(std::move(key), std::move(item)).second) return false;
  } while (in.take(','));
  return in.close('}');
}

}  // namespace json_detail

template <class T>
bool read_json(JsonReader& in, T& value) {
  if constexpr (HasFields<T>) {
    const auto skip = [](JsonReader& at, std::string_view) { return at.skip_value(); };
    return json_detail::read_fields(in, value, skip);
  } else if constexpr (json_detail::is_vector<T>::value) {
    value.clear();
    return in.items([&] { return read_json(in, value.emplace_back()); });
  } else if constexpr (json_detail::is_map<T>::value) {
    return json_detail::read_map(in, value);
  } else if constexpr (std::is_same_v<T, Duration>) {
    std::string text;
    if (!in.text(text)) return false;
    const Result<DurationMs> duration = parse_duration(text);
    if (duration) value.ms = *duration;
    return duration.has_value();
  } else if constexpr (std::is_same_v<T, bool>) {
    return in.truth(value);
  } else if constexpr (std::is_same_v<T, double>) {
    return in.real(value);
  } else if constexpr (std::is_integral_v<T>) {
    return in.integer(value);
  } else if constexpr (std::is_same_v<T, std::string>) {
    return in.text(value);
  } else {
    return false;  // a shape that only the tree knows
  }
}

// The whole text as one value. Where it answers false, `value` holds anything.
template <class T>
bool read_json_text(std::string_view text, T& value) {
  JsonReader in(text);
  return read_json(in, value) && in.ends();
}

}  // namespace selfheal
