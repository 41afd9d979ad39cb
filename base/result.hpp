#pragma once
// Expected failures as values: a Result<T> holds a T or an Error. Bugs are CHECKs (check.hpp).
#include <cstdint>
#include <string>
#include <utility>
#include <variant>

namespace selfheal {

// A new value only where some caller reacts to it; everything else goes into Error::context.
enum class ErrorCode : std::uint8_t {
  invalid,      // the input is wrong; repeating cannot help
  not_found,    // the named thing does not exist
  unavailable,  // a service, broker or disk cannot be reached now; repeating may help
  refused,      // understood, and not allowed
  corrupt,      // stored bytes do not match their hash, signature or form
  fenced,       // another owner has taken over
  exhausted,    // a limit (size, space, count) was hit
  internal,     // a library failed in a way that no caller can mend
};

// The stable lower-case name of a code, for logs and JSON.
const char* to_string(ErrorCode code);

struct Error {
  ErrorCode code = ErrorCode::internal;
  std::string context;  // a sentence for a person: what failed, where, and what to do about it

  // Adds the operation that failed in front; never drops the cause.
  Error within(const std::string& operation) const { return {code, operation + ": " + context}; }
  bool operator==(const Error&) const = default;
};

// Member names follow std::expected, which this compiler's library lacks.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }
  // Asking for the wrong side is a bug and throws std::bad_variant_access.
  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  const Error& error() const { return std::get<1>(state_); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }
  const Error& error() const { return std::get<1>(state_); }

 private:
  std::variant<std::monostate, Error> state_;
};

}  // namespace selfheal
