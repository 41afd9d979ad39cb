#pragma once
// Events as JSON and as CloudEvents. Both derive from the field lists of events.hpp.
#include <string>

#include "base/result.hpp"
#include "topics/events.hpp"
#include "topics/json_codec.hpp"

namespace selfheal {

// {"type":"proposal","service":…,"incident":…,"cause":…,"data":{…}}
Json event_to_json(const Event& event);
Result<Event> event_from_json(const Json& json);

// The same bytes without a tree.
void append_event(std::string& out, const Event& event);
std::string event_text(const Event& event);
// False: not certain (see json_reader.hpp).
bool read_event(JsonReader& in, Event& event);

// What an embedded consumer of the decisions topic reads: a CloudEvent 1.0 in structured JSON.
struct DecisionAddress {
  std::string topics_prefix;
  std::int64_t shard = 0;
  std::int64_t seq = 0;
  std::int64_t k = 0;
  TimeMs time_ms = 0;
};
std::string decision_id(std::int64_t shard, std::int64_t seq, std::int64_t k);
std::string cloud_event_text(const Event& event, const DecisionAddress& address);

}  // namespace selfheal
