// `selfheal approve|deny|resolve`: answers a held proposal, or says of a run in doubt whether its
// effect has happened, with a message signed here, so that the service needs to trust neither the
// network nor itself with the caller's secret.
#include <chrono>
#include <future>
#include <thread>

#include "base/percent_encoding.hpp"
#include "base/signature.hpp"
#include "cli/commands.hpp"
#include "cli/service_source.hpp"
#include "topics/control.hpp"
#include "topics/routing.hpp"
#include "topics/topic_table.hpp"

namespace selfheal {
namespace {

struct AnswerOptions {
  SourceOptions source;
  std::string kind;
  std::string id;
  std::string reason;
  std::string outcome;  // of resolve: happened or not_happened
  std::int64_t wait_seconds = 10;
  bool no_wait = false;
};

Result<ControlMessage> signed_answer(const AnswerOptions& options, const SecretKey& key,
                                     const Json& target) {
  ControlMessage message{.kind = options.kind, .target = options.id, .reason = options.reason};
  message.body = options.outcome;
  if (options.kind != "resolve") message.content_hash = target.value("content_hash", "");
  message.time_ms = wall_clock_ms();
  message.key_id = key.name;
  message.nonce = random_hex(16);
  const Result<std::string> signature = sign(key.secret_key, message.signed_text());
  if (!signature) return signature.error();
  message.signature = *signature;
  return message;
}

Result<void> publish(const ServiceConfig& config, const std::string& service,
                     const ControlMessage& message) {
  const Result<std::shared_ptr<Log>> log = open_log(config);
  if (!log) return log.error();
  const std::string topic = topic_names(config.topics.prefix).control;
  const Result<std::int32_t> partitions = (*log)->partitions(topic);
  if (!partitions) return partitions.error();
  auto answered = std::make_shared<std::promise<Result<Offset>>>();
  (*log)->append({topic, shard_of(service, *partitions)}, {service, encode_control(message), {}},
                 [answered](Result<Offset> offset) { answered->set_value(std::move(offset)); });
  std::future<Result<Offset>> offset = answered->get_future();
  if (offset.wait_for(std::chrono::seconds(20)) != std::future_status::ready) {
    return Error{ErrorCode::unavailable, "the bus has not answered; the message may be on it"};
  }
  const Result<Offset> stored = offset.get();
  if (!stored) return stored.error();
  return {};
}

Result<void> post(const HttpClient& client, const ControlMessage& message) {
  const Result<ApiAnswer> answer = client.post("/api/control", encode_control(message));
  if (!answer) return answer.error();
  if (answer->status == 202) return {};
  return Error{answer->status >= 500 ? ErrorCode::unavailable : ErrorCode::refused,
               answer->problem()};
}

// Why a shard did not obey the message; empty while nothing is known.
std::string refusal_of(const HttpClient& client, const ControlMessage& message) {
  const Result<Json> refused = client.get_json("/api/audit?type=control_refused&limit=1000");
  if (!refused || !refused->is_array()) return {};
  std::string reason;
  for (const Json& each : *refused) {
    const Json data = each.value("data", Json::object());
    const Result<TimeMs> time_ms = parse_rfc3339(each.value("time", ""));
    // Clocks differ a little between the machines.
    const bool recent = time_ms && *time_ms >= message.time_ms - 5 * one_second_ms;
    const bool mine =
        data.value("target", "") == message.target && data.value("key_id", "") == message.key_id;
    if (recent && mine) reason = data.value("reason", "");
  }
  return reason;
}

// What is answered: a proposal, or a run in doubt.
std::string path_of(const AnswerOptions& options) {
  const std::string list = options.kind == "resolve" ? "/api/runs/" : "/api/proposals/";
  return list + percent_encoded(options.id);
}

bool waits_for_answer(const AnswerOptions& options, const Json& target) {
  return options.kind == "resolve" ? target.value("awaits_answer", false)
                                   : target.value("state", "") == "held";
}

void tell(const AnswerOptions& options, const Json& verdict) {
  if (options.source.json) return print_line(verdict);
  std::cout << options.id << ": " << verdict.value("state", "");
  const std::string reason = verdict.value("reason", "");
  std::cout << (reason.empty() ? "" : ", " + reason) << "\n";
}

// The target waits no longer; did_not_hold where that was somebody else's doing.
Exit tell_end(const AnswerOptions& options, const Json& target) {
  const std::string state = target.value("state", "");
  if (options.kind == "resolve") {
    tell(options, {{"run", options.id},
                   {"state", state},
                   {"answer", target.value("answer", "")},
                   {"answered_by", target.value("answered_by", "")},
                   {"outcome", target.value("outcome", "")},
                   {"reason", target.value("reason", "")}});
    return target.value("answer", "") == options.outcome ? Exit::done : Exit::did_not_hold;
  }
  tell(options, {{"proposal", options.id},
                 {"state", state},
                 {"verdict", target.value("verdict", "")},
                 {"approved_by", target.value("approved_by", "")},
                 {"reason", target.value("reason", "")}});
  // Held no longer, and not as was asked: it expired or another answer came first.
  const bool was_denied = target.value("verdict", "") == "denied";
  return was_denied == (options.kind == "deny") ? Exit::done : Exit::did_not_hold;
}

Exit await_end(const AnswerOptions& options, const HttpClient& client,
               const ControlMessage& message) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(options.wait_seconds);
  while (std::chrono::steady_clock::now() < until) {
    const Result<Json> target = client.get_json(path_of(options));
    if (!target) return fail(target.error());
    if (!waits_for_answer(options, *target)) return tell_end(options, *target);
    const std::string refusal = refusal_of(client, message);
    if (!refusal.empty()) return fail({ErrorCode::refused, "refused: " + refusal});
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  const std::string list = options.kind == "resolve" ? "runs" : "proposals";
  return fail({ErrorCode::unavailable,
               "the answer is on the bus and no shard has decided on it "
               "yet; look with: selfheal " +
                   list + " show " + options.id});
}

Exit answer(const AnswerOptions& options) {
  const std::string what = options.kind == "resolve" ? "run" : "proposal";
  const Result<LoadedConfig> loaded = load(options.source.config);
  if (!loaded) return fail(loaded.error());
  const ServiceConfig& config = loaded->config;
  const Result<SecretKey> key = load_secret(config.keys_dir, options.source.key);
  if (!key) return fail(key.error());
  const Result<HttpClient> client = open_client(options.source, config);
  if (!client) return fail(client.error());
  const Result<Json> target = client->get_json(path_of(options));
  if (!target) {
    if (target.error().code != ErrorCode::not_found) return fail(target.error());
    return fail({ErrorCode::refused, "no " + what + " has the id " + options.id});
  }
  if (!waits_for_answer(options, *target)) {
    return fail({ErrorCode::refused,
                 options.id + " waits for no answer; it is " + target->value("state", "")});
  }
  const Result<ControlMessage> message = signed_answer(options, *key, *target);
  if (!message) return fail(message.error());
  const Result<void> sent = config.bus.kind == "kafka"
                                ? publish(config, target->value("service", ""), *message)
                                : post(*client, *message);
  if (!sent) return fail(sent.error());
  if (!options.no_wait) return await_end(options, *client, *message);
  tell(options, {{what, options.id}, {"state", "sent"}});
  return Exit::done;
}

void add_answer(CLI::App& application, Action& action, const std::string& kind,
                const std::string& help) {
  CLI::App* command = application.add_subcommand(kind, help);
  auto options = std::make_shared<AnswerOptions>();
  options->kind = kind;
  add_client_options(*command, options->source);
  const bool resolves = kind == "resolve";
  command->add_option("id", options->id, resolves ? "The run in doubt" : "The proposal")
      ->required();
  if (resolves) {
    command->add_option("--outcome", options->outcome, "What was found outside")
        ->required()
        ->check(CLI::IsMember({"happened", "not_happened"}));
  }
  CLI::Option* reason = command->add_option("--reason", options->reason, "Kept with the decision");
  if (kind == "deny") reason->required();
  command->add_option("--wait-seconds", options->wait_seconds, "How long to wait for the decision")
      ->capture_default_str();
  command->add_flag("--no-wait", options->no_wait, "Only send the answer");
  command->add_flag("--json", options->source.json, "The decision as one JSON object");
  command->callback([&action, options] { action = [options] { return answer(*options); }; });
}

}  // namespace

void add_answer_commands(CLI::App& application, Action& action) {
  add_answer(application, action, "approve", "Lets a held proposal run, as it was proposed");
  add_answer(application, action, "deny", "Ends a held proposal without a run");
  add_answer(application, action, "resolve",
             "Says of a run in doubt whether its effect has happened");
}

}  // namespace selfheal
