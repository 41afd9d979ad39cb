#pragma once
// What the JSON writers and readers need to know of a field list at compile time.
#include <array>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/fields.hpp"
#include "base/time.hpp"

namespace selfheal::json_detail {

template <class T>
struct is_vector : std::false_type {};
template <class T>
struct is_vector<std::vector<T>> : std::true_type {};
template <class T>
struct is_map : std::false_type {};
template <class T>
struct is_map<std::map<std::string, T>> : std::true_type {};

template <HasFields T>
constexpr std::size_t field_count = std::tuple_size_v<decltype(T::fields())>;

template <HasFields T>
constexpr std::array<std::string_view, field_count<T>> field_names() {
  return std::apply(
      [](const auto&... each) {
        return std::array<std::string_view, field_count<T>>{std::string_view(each.name)...};
      },
      T::fields());
}

// Places in the field list, by name: canonical JSON sorts its keys.
template <HasFields T>
constexpr std::array<std::size_t, field_count<T>> sort_fields() {
  constexpr auto names = field_names<T>();
  std::array<std::size_t, field_count<T>> order{};
  for (std::size_t i = 0; i < order.size(); ++i) {
    std::size_t place = i;
    for (; place > 0 && names[i] < names[order[place - 1]]; --place)
      order[place] = order[place - 1];
    order[place] = i;
  }
  return order;
}

template <HasFields T>
constexpr auto sorted_fields = sort_fields<T>();

template <HasFields T>
constexpr std::array<std::string_view, field_count<T>> sort_names() {
  constexpr auto names = field_names<T>();
  std::array<std::string_view, field_count<T>> sorted{};
  for (std::size_t i = 0; i < sorted.size(); ++i) sorted[i] = names[sorted_fields<T>[i]];
  return sorted;
}

// Plain names only: they are written and compared without escaping. Twice the same name would be
// one member in a tree and two here.
template <HasFields T>
constexpr bool plain_names() {
  constexpr auto names = sort_names<T>();
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i > 0 && names[i] == names[i - 1]) return false;
    for (const char c : names[i]) {
      if (c <= ' ' || c > '~' || c == '"' || c == '\\') return false;
    }
  }
  return true;
}

template <HasFields T>
constexpr auto sorted_names = [] {
  static_assert(plain_names<T>(), "a field name that JSON would have to escape, or a name twice");
  return sort_names<T>();
}();

}  // namespace selfheal::json_detail
