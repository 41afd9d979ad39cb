#include "base/result.hpp"

namespace selfheal {

const char* to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid:
      return "invalid";
    case ErrorCode::not_found:
      return "not_found";
    case ErrorCode::unavailable:
      return "unavailable";
    case ErrorCode::refused:
      return "refused";
    case ErrorCode::corrupt:
      return "corrupt";
    case ErrorCode::fenced:
      return "fenced";
    case ErrorCode::exhausted:
      return "exhausted";
    case ErrorCode::internal:
      return "internal";
  }
  return "unknown";
}

}  // namespace selfheal
