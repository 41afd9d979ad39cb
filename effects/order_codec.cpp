#include "effects/order_codec.hpp"

#include <algorithm>

#include "topics/json_codec.hpp"

namespace selfheal {
namespace {

template <class T>
std::string take(const Json& json, const char* name, T& value) {
  const auto found = json.find(name);
  // Unlike for events, a default in place of a missing field could run something else.
  if (found == json.end()) return std::string(name) + ": missing";
  const std::string wrong = from_json_value(*found, value);
  return wrong.empty() ? wrong : name + wrong;
}

}  // namespace

Result<std::string> encode_shim_order(const ShimOrder& shim_order) {
  const StepOrder& order = shim_order.order;
  Step what = order.what;
  what.rollback.clear();  // an order of its own
  const Json json = {{"action_id", order.action_id},
                     {"shard", order.shard},
                     {"step", order.step},
                     {"attempt", order.attempt},
                     {"rollback", order.rollback},
                     {"epoch", order.epoch},
                     {"valid_until_ms", order.valid_until_ms},
                     {"runtime_limit_ms", order.runtime_limit_ms},
                     {"incident_id", order.incident_id},
                     {"service", order.service},
                     {"what", to_json_value(what)},
                     {"secrets", order.secrets},
                     {"actions_folder", shim_order.actions_folder},
                     {"secrets_folder", shim_order.secrets_folder}};
  try {
    std::string text = json.dump();
    if (text.size() > shim_order_bytes_max) {
      return Error{ErrorCode::exhausted, "the step is longer than 1 MiB; nothing ran"};
    }
    return text;
  } catch (const Json::exception&) {
    return Error{ErrorCode::invalid, "a text of the step is not UTF-8; nothing ran"};
  }
}

Result<ShimOrder> decode_shim_order(const std::string& text) {
  const Result<Json> json = parse_json(text);
  if (!json) return json.error().within("read the order");
  if (!json->is_object()) return Error{ErrorCode::invalid, "read the order: expected an object"};
  ShimOrder shim_order;
  StepOrder& order = shim_order.order;
  for (const std::string& wrong :
       {take(*json, "action_id", order.action_id), take(*json, "shard", order.shard),
        take(*json, "step", order.step), take(*json, "attempt", order.attempt),
        take(*json, "rollback", order.rollback), take(*json, "epoch", order.epoch),
        take(*json, "valid_until_ms", order.valid_until_ms),
        take(*json, "runtime_limit_ms", order.runtime_limit_ms),
        take(*json, "incident_id", order.incident_id), take(*json, "service", order.service),
        take(*json, "what", order.what), take(*json, "secrets", order.secrets),
        take(*json, "actions_folder", shim_order.actions_folder),
        take(*json, "secrets_folder", shim_order.secrets_folder)}) {
    if (!wrong.empty()) return Error{ErrorCode::invalid, "read the order: " + wrong};
  }
  return shim_order;
}

DurationMs effect_limit_ms(const StepOrder& order) {
  // A step without any limit would keep its lock for ever.
  constexpr DurationMs default_limit_ms = 60 * one_second_ms;
  DurationMs limit_ms = 0;
  if (!order.what.run.empty()) limit_ms = order.what.run[0].timeout.ms;
  if (!order.what.http.empty()) limit_ms = order.what.http[0].timeout.ms;
  if (!order.what.publish.empty()) limit_ms = publish_limit_ms;
  if (limit_ms <= 0) limit_ms = default_limit_ms;
  return order.runtime_limit_ms > 0 ? std::min(limit_ms, order.runtime_limit_ms) : limit_ms;
}

}  // namespace selfheal
