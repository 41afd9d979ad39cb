// Routes that put something on the bus.
#include <algorithm>

#include "api/access.hpp"
#include "api/routes.hpp"
#include "api/signal_intake.hpp"
#include "base/signature.hpp"
#include "topics/control.hpp"
#include "topics/routing.hpp"

namespace selfheal::write_routes {
namespace {

std::int32_t partitions_of(const ApiContext& context) {
  return static_cast<std::int32_t>(context.environment().topics.partitions);
}

// Why appending would be in vain; empty where it may be tried. Kafka would keep the caller waiting
// for its delivery timeout and the record in a queue; the embedded log answers at once.
std::string why_away(const ApiContext& context) {
  const std::string trouble =
      context.options.bus_kind == "kafka" ? context.bus_trouble() : std::string();
  return trouble.empty() ? trouble : "the bus is away: " + trouble;
}

void store(const ApiContext& context, Intake intake, Respond respond) {
  if (intake.taken.empty()) {
    ApiResponse response = problem(400, "NO_GOOD_LINE", "nothing in the body is a signal");
    Json body = Json::parse(response.body);
    body.update(intake_json(0, intake.refused, intake.refused_more));
    response.body = dump(body) + "\n";
    return respond(std::move(response));
  }
  if (const std::string trouble = why_away(context); !trouble.empty()) {
    return respond(unavailable(context, trouble));
  }
  store_intake(*context.environment().log, context.environment().topics.signals,
               partitions_of(context), std::move(intake),
               [context, respond = std::move(respond)](const Stored& stored) {
                 if (stored.taken == 0) {
                   return respond(unavailable(context, "nothing was stored: " + stored.trouble));
                 }
                 const Json answer = intake_json(stored.taken, stored.refused, stored.refused_more);
                 respond(json_response(answer, 202));
               });
}

// What the shard of a proposal is told. None where it is not known or waits for nobody.
std::optional<ApiResponse> no_answer_wanted(const std::optional<Json>& proposal,
                                            const std::string& id) {
  if (!proposal) return problem(404, "NOT_FOUND", "no proposal has the id " + id);
  const std::string state = proposal->value("state", "");
  if (state == "held") return std::nullopt;
  return problem(409, "NOT_HELD", "proposal " + id + " waits for no answer; it is " + state);
}

void append_control(const ApiContext& context, const ControlMessage& message,
                    const std::string& service, Respond respond) {
  if (const std::string trouble = why_away(context); !trouble.empty()) {
    return respond(unavailable(context, trouble));
  }
  const std::int32_t shard = shard_of(service, partitions_of(context));
  context.environment().log->append(
      {context.environment().topics.control, shard}, {service, encode_control(message), {}},
      [context, shard, respond = std::move(respond)](const Result<Offset>& offset) {
        if (!offset) return respond(unavailable(context, offset.error().context));
        respond(json_response({{"control_offset", *offset}, {"shard", shard}}, 202));
      });
}

// Only a run that waits for a person's answer takes one.
std::optional<ApiResponse> no_resolution_wanted(const std::optional<Json>& run,
                                                const std::string& id) {
  if (!run) return problem(404, "NOT_FOUND", "no run has the id " + id);
  if (run->value("awaits_answer", false)) return std::nullopt;
  return problem(409, "NOT_IN_DOUBT",
                 "run " + id + " is not in doubt; it is " + run->value("state", ""));
}

// The members that the body may have; empty where it is no such object.
std::optional<Json> answer_body(const ApiRequest& request) {
  if (request.body.empty()) return Json::object();
  Result<Json> body = parse_json(request.body);
  if (!body || !body->is_object()) return std::nullopt;
  for (const char* name : {"reason", "outcome"}) {
    if (body->contains(name) && !(*body)[name].is_string()) return std::nullopt;
  }
  return std::move(*body);
}

// Signs with the caller's key, which must be on this machine, and puts the message on the bus.
void sign_and_append(const ApiContext& context, const ApiRequest& request, ControlMessage message,
                     const std::string& service, Respond respond) {
  const Result<SecretKey> key = load_secret(context.options.keys_dir, request.key->name);
  if (!key) {
    return respond(problem(403, "KEY_ELSEWHERE",
                           "the secret of key " + request.key->name +
                               " is not on this machine: sign the answer where it is, with "
                               "`selfheal " +
                               message.kind + "`"));
  }
  message.time_ms = context.environment().now_ms();
  message.key_id = key->name;
  message.nonce = random_hex(16);
  const Result<std::string> signature = sign(key->secret_key, message.signed_text());
  if (!signature) return respond(problem(500, "NOT_SIGNED", "the key cannot sign"));
  message.signature = *signature;
  append_control(context, message, service, std::move(respond));
}

void answer(const ApiContext& context, const ApiRequest& request, const std::string& kind,
            Respond respond) {
  const std::optional<Json> proposal = context.environment().read_model->proposal(request.id);
  std::optional<ApiResponse> refusal = no_answer_wanted(proposal, request.id);
  if (refusal) return respond(std::move(*refusal));
  const std::optional<Json> body = answer_body(request);
  if (!body) return respond(problem(400, "BAD_BODY", "the body must be {\"reason\":\"…\"}"));
  ControlMessage message{.kind = kind, .target = request.id};
  message.reason = body->value("reason", "");
  if (kind == "deny" && message.reason.empty()) {
    return respond(problem(400, "REASON_REQUIRED", "a denial needs a reason"));
  }
  message.content_hash = proposal->value("content_hash", "");
  sign_and_append(context, request, std::move(message), proposal->value("service", ""),
                  std::move(respond));
}

std::string text_of(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// The service that the graph says runs on it; empty where it does not know it.
std::string service_on(const Settings& settings, const std::string& kind, const std::string& id) {
  for (const ResourceEntry& each : settings.graph.resources) {
    if (each.kind == kind && each.id == id) return each.service;
  }
  return {};
}

Json signal_of_alert(const Json& alert, const Settings& settings) {
  const Json labels =
      alert.contains("labels") && alert["labels"].is_object() ? alert["labels"] : Json::object();
  Json signal{{"type", "alert"}, {"labels", labels}, {"status", text_of(alert, "status")}};
  const std::string instance = text_of(labels, "instance");
  const std::string named = text_of(labels, "resource_id");
  const std::string resource = named.empty() ? instance : named;
  std::string kind = text_of(labels, "resource_kind");
  if (kind.empty()) kind = "Instance";
  for (const std::string& name : {text_of(labels, "service"), service_on(settings, kind, resource),
                                  text_of(labels, "job"), resource}) {
    if (!name.empty() && !signal.contains("service")) signal["service"] = name;
  }
  signal["alertname"] = text_of(labels, "alertname");
  signal["severity"] = text_of(labels, "severity");
  signal["fingerprint"] = text_of(alert, "fingerprint");
  // An alert that goes on for days is told with the time it began: the receipt decides its age.
  if (const std::string began = text_of(alert, "startsAt"); !began.empty()) signal["time"] = began;
  if (alert.contains("annotations") && alert["annotations"].is_object()) {
    signal["annotations"] = alert["annotations"];
  }
  if (!resource.empty()) signal["resource"] = {{"kind", kind}, {"id", resource}};
  return signal;
}

}  // namespace

void signals(const ApiContext& context, const ApiRequest& request, Respond respond) {
  const Environment& environment = context.environment();
  // In binary mode the attributes of a CloudEvent are headers and the body is the signal itself.
  const std::string event_time =
      request.header("ce-specversion").empty() ? std::string() : request.header("ce-time");
  store(context,
        read_intake(request.body, environment.now_ms(), environment.make_decoder(), event_time),
        std::move(respond));
}

void alertmanager(const ApiContext& context, const ApiRequest& request, Respond respond) {
  const Result<Json> body = parse_json(request.body);
  if (!body || !body->is_object() || !body->contains("alerts") || !(*body)["alerts"].is_array()) {
    return respond(problem(400, "BAD_BODY", "not a webhook of Alertmanager: no list of alerts"));
  }
  const std::shared_ptr<const Settings> settings = context.settings();
  std::string lines;
  for (const Json& alert : (*body)["alerts"]) {
    lines += dump(alert.is_object() ? signal_of_alert(alert, *settings) : alert) + "\n";
  }
  const Environment& environment = context.environment();
  if (lines.empty()) return respond(json_response(intake_json(0, {}, 0), 202));
  store(context, read_intake(lines, environment.now_ms(), environment.make_decoder()),
        std::move(respond));
}

void approve(const ApiContext& context, const ApiRequest& request, Respond respond) {
  answer(context, request, "approve", std::move(respond));
}

void deny(const ApiContext& context, const ApiRequest& request, Respond respond) {
  answer(context, request, "deny", std::move(respond));
}

void resolve(const ApiContext& context, const ApiRequest& request, Respond respond) {
  const std::optional<Json> run = context.environment().read_model->run(request.id);
  std::optional<ApiResponse> refusal = no_resolution_wanted(run, request.id);
  if (refusal) return respond(std::move(*refusal));
  const std::optional<Json> body = answer_body(request);
  const std::string outcome = body ? body->value("outcome", "") : std::string();
  if (outcome != "happened" && outcome != "not_happened") {
    return respond(problem(400, "BAD_BODY",
                           "the body must be {\"outcome\":\"happened\"} or "
                           "{\"outcome\":\"not_happened\"}, with a reason if you like"));
  }
  ControlMessage message{.kind = "resolve", .target = request.id};
  message.reason = body->value("reason", "");
  message.body = outcome;
  sign_and_append(context, request, std::move(message), run->value("service", ""),
                  std::move(respond));
}

void control(const ApiContext& context, const ApiRequest& request, Respond respond) {
  const Result<ControlMessage> message = decode_control(request.body);
  const bool resolves = message && message->kind == "resolve";
  if (!message || (message->kind != "approve" && message->kind != "deny" && !resolves)) {
    return respond(
        problem(400, "BAD_BODY", "the body must be a control message: approve, deny or resolve"));
  }
  const Result<std::vector<PublicKey>> keys = list_keys(context.options.keys_dir);
  if (!keys) return respond(problem(500, "NO_KEYS", keys.error().context));
  const auto signs = [&](const PublicKey& key) {
    return key.name == message->key_id &&
           verify(key.public_key, message->signed_text(), message->signature);
  };
  const auto key = std::ranges::find_if(*keys, signs);
  if (key == keys->end()) {
    return respond(problem(401, "BAD_SIGNATURE", "no known key has signed this message"));
  }
  if (!may_approve(key->role)) {
    return respond(problem(403, "ROLE_REQUIRED", "the key's role may not answer"));
  }
  const ReadModel& model = *context.environment().read_model;
  const std::optional<Json> target =
      resolves ? model.run(message->target) : model.proposal(message->target);
  std::optional<ApiResponse> refusal = resolves ? no_resolution_wanted(target, message->target)
                                                : no_answer_wanted(target, message->target);
  if (refusal) return respond(std::move(*refusal));
  append_control(context, *message, target->value("service", ""), std::move(respond));
}

}  // namespace selfheal::write_routes
