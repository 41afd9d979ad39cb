#include "topics/event_codec.hpp"

#include <algorithm>
#include <array>
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

// Begins the alternative of that name; false: there is none.
template <std::size_t index = 0>
bool begin_body(std::string_view name, EventBody& body) {
  if constexpr (index < std::variant_size_v<EventBody>) {
    if (name != std::variant_alternative_t<index, EventBody>::kName) {
      return begin_body<index + 1>(name, body);
    }
    body.emplace<index>();
    return true;
  } else {
    return false;
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

void append_event(std::string& out, const Event& event) {
  JsonObjectWriter object(out);
  if (!event.causation_id.empty()) append_json(object.member("cause"), event.causation_id);
  object.member("data");
  std::visit([&](const auto& body) { append_json(out, body); }, event.body);
  if (!event.incident_id.empty()) append_json(object.member("incident"), event.incident_id);
  append_json(object.member("service"), event.service);
  append_json(object.member("type"), std::string_view(event_name(event.body)));
  object.end();
}

std::string event_text(const Event& event) {
  std::string text;
  text.reserve(512);
  append_event(text, event);
  return text;
}

bool read_event(JsonReader& in, Event& event) {
  // The type stands behind the data whose form it names.
  std::string_view type;
  if (!in.peek_member("type", type) || !begin_body(type, event.body)) return false;
  constexpr std::array<std::string_view, 5> names = {"cause", "data", "incident", "service",
                                                     "type"};
  std::array<bool, names.size()> seen{};
  std::string read_type;
  const bool read = in.members([&](std::string_view name) {
    const auto place = static_cast<std::size_t>(std::ranges::find(names, name) - names.begin());
    if (place == names.size()) return in.skip_value();
    if (std::exchange(seen[place], true)) return false;
    switch (place) {
      case 0:
        return in.text(event.causation_id);
      case 1:
        return std::visit([&](auto& body) { return read_json(in, body); }, event.body);
      case 2:
        return in.text(event.incident_id);
      case 3:
        return in.text(event.service);
      default:
        return in.text(read_type);
    }
  });
  return read && seen[1] && read_type == type;
}

std::string decision_id(std::int64_t shard, std::int64_t seq, std::int64_t k) {
  return std::to_string(shard) + "/" + std::to_string(seq) + "/" + std::to_string(k);
}

std::string cloud_event_text(const Event& event, const DecisionAddress& address) {
  std::string out;
  JsonObjectWriter object(out);
  // No attribute may be empty, so one that is absent is left out.
  if (!event.causation_id.empty()) append_json(object.member("causationid"), event.causation_id);
  object.member("data");
  std::visit([&](const auto& body) { append_json(out, body); }, event.body);
  append_json(object.member("datacontenttype"), std::string_view("application/json"));
  append_json(object.member("id"), decision_id(address.shard, address.seq, address.k));
  if (!event.incident_id.empty()) append_json(object.member("incidentid"), event.incident_id);
  append_json(object.member("source"),
              "/selfheal/" + address.topics_prefix + "/" + std::to_string(address.shard));
  append_json(object.member("specversion"), std::string_view("1.0"));
  if (!event.service.empty()) append_json(object.member("subject"), event.service);
  append_json(object.member("time"), format_rfc3339(address.time_ms));
  append_json(object.member("type"), std::string("self_heal.") + event_name(event.body));
  object.end();
  return out;
}

}  // namespace selfheal
