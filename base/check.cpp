#include "base/check.hpp"

#include <cstdio>
#include <cstdlib>

namespace selfheal {
namespace {
thread_local int stage_depth = 0;
}

StageScope::StageScope() {
  ++stage_depth;
}
StageScope::~StageScope() {
  --stage_depth;
}

void check_failed(const char* expression, const char* file, int line, const std::string& why) {
  const std::string text =
      std::string(file) + ":" + std::to_string(line) + ": " + expression + ": " + why;
  if (stage_depth > 0) throw CheckFailure(text);
  std::fprintf(stderr, "broken invariant: %s\n", text.c_str());
  std::abort();
}

}  // namespace selfheal
