#include "topics/event_codec.hpp"

#include <utility>

namespace selfheal {
namespace {

// Tries each alternative of the variant by its name.
template <std::size_t index = 0>
std::string read_body(const std::string& name, const Json& data, EventBody& body) {
  if constexpr (index < std::variant_size_v<EventBody>) {
    using Body = std::variant_alternative_t<index, EventBody>;
    if (name != Body::kName) return read_body<index + 1>(name, data, body);
    return from_json_value(data, body.emplace<index>());
  } else {
    return ": unknown event type '" + name + "' (written by a newer build?)";
  }
}

std::string text_of(const Json& json, const char* name) {
  const auto found = json.find(name);
  return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace

const char* event_name(const EventBody& body) {
  return std::visit([](const auto& each) { return std::decay_t<decltype(each)>::kName; }, body);
}

Json event_to_json(const Event& event) {
  Json json = Json::object();
  json["type"] = event_name(event.body);
  json["service"] = event.service;
  if (!event.incident_id.empty()) json["incident"] = event.incident_id;
  if (!event.causation_id.empty()) json["cause"] = event.causation_id;
  json["data"] = std::visit([](const auto& body) { return to_json_value(body); }, event.body);
  return json;
}

Result<Event> event_from_json(const Json& json) {
  if (!json.is_object() || !json.contains("data")) {
    return Error{ErrorCode::invalid, "an event is an object with type and data"};
  }
  Event event;
  event.service = text_of(json, "service");
  event.incident_id = text_of(json, "incident");
  event.causation_id = text_of(json, "cause");
  const std::string wrong = read_body(text_of(json, "type"), json["data"], event.body);
  if (!wrong.empty()) return Error{ErrorCode::invalid, "event" + wrong};
  return event;
}

std::string decision_id(std::int64_t shard, std::int64_t seq, std::int64_t k) {
  return std::to_string(shard) + "/" + std::to_string(seq) + "/" + std::to_string(k);
}

Json to_cloud_event(const Event& event, const DecisionAddress& address) {
  Json json = Json::object();
  json["specversion"] = "1.0";
  json["id"] = decision_id(address.shard, address.seq, address.k);
  json["source"] = "/selfheal/" + address.topics_prefix + "/" + std::to_string(address.shard);
  json["type"] = std::string("self_heal.") + event_name(event.body);
  json["subject"] = event.service;
  json["time"] = format_rfc3339(address.time_ms);
  json["datacontenttype"] = "application/json";
  // Extension attributes may not be empty, so an absent one is left out.
  if (!event.incident_id.empty()) json["incidentid"] = event.incident_id;
  if (!event.causation_id.empty()) json["causationid"] = event.causation_id;
  json["data"] = std::visit([](const auto& body) { return to_json_value(body); }, event.body);
  return json;
}

}  // namespace selfheal
