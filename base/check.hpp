#pragma once
// CHECK(condition, why): a broken invariant is a bug. On in release builds.
// Inside a StageScope it throws CheckFailure and costs its shard a restart; elsewhere it ends the
// process, because state that nobody restores can no longer be trusted.
#include <stdexcept>
#include <string>

namespace selfheal {

class CheckFailure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Marks the calling thread as running a stage of a shard until it goes out of scope. Nests.
class StageScope {
 public:
  StageScope();
  ~StageScope();
  StageScope(const StageScope&) = delete;
  StageScope& operator=(const StageScope&) = delete;
};

[[noreturn]] void check_failed(const char* expression, const char* file, int line,
                               const std::string& why);

}  // namespace selfheal

#define CHECK(condition, why)                                          \
  do {                                                                 \
    if (!(condition)) [[unlikely]] {                                   \
      ::selfheal::check_failed(#condition, __FILE__, __LINE__, (why)); \
    }                                                                  \
  } while (false)
