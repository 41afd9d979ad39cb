#pragma once
// One field list a struct: JSON, YAML, the binary form, CAF inspection and the reference pages are
// all derived from it, so a field can never be forgotten in one of them.
#include <concepts>
#include <cstddef>
#include <string_view>
#include <tuple>
#include <utility>

namespace selfheal {

template <class Owner, class Member>
struct Field {
  const char* name;
  Member Owner::*member;
  const char* help;  // one sentence for the reference; may be empty
};

template <class Owner, class Member>
constexpr Field<Owner, Member> field(const char* name, Member Owner::*member,
                                     const char* help = "") {
  return {name, member, help};
}

// A struct that offers `static constexpr auto fields()`, a tuple of Field.
template <class T>
concept HasFields = requires {
  T::fields();
};

// Calls visit(field) for each field of T in list order.
template <HasFields T, class Visit>
constexpr void for_each_field(Visit&& visit) {
  std::apply([&](const auto&... each) { (visit(each), ...); }, T::fields());
}

}  // namespace selfheal
