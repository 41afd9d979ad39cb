#include "topics/json_codec.hpp"

namespace selfheal {

Result<Json> parse_json(std::string_view text) {
  constexpr int depth_max = 64;
  bool too_deep = false;
  const auto callback = [&](int depth, Json::parse_event_t, Json&) {
    if (depth > depth_max) too_deep = true;
    return !too_deep;
  };
  try {
    Json json = Json::parse(text.begin(), text.end(), callback);
    if (too_deep) return Error{ErrorCode::invalid, "JSON nested deeper than 64 levels"};
    return json;
  } catch (const Json::exception& failure) {
    return Error{ErrorCode::invalid, std::string("not JSON: ") + failure.what()};
  }
}

}  // namespace selfheal
