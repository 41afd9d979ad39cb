#pragma once
// CAF's inspect for every struct with a field list: the one place that a later CAF would change.
#include <caf/all.hpp>
#include <tuple>

#include "base/fields.hpp"

namespace selfheal {

template <class Inspector, HasFields T>
auto inspect(Inspector& inspector, T& value) {
  return std::apply(
      [&](const auto&... each) {
        return inspector(caf::meta::type_name(T::kName), value.*each.member...);
      },
      T::fields());
}

}  // namespace selfheal
