// `selfheal emit`: puts signals on the bus, from options or from standard input.
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <future>
#include <map>

#include "api/signal_intake.hpp"
#include "cli/commands.hpp"
#include "cli/journal_source.hpp"
#include "cli/service_source.hpp"
#include "topics/frame_codec.hpp"
#include "topics/routing.hpp"
#include "topics/signal_decoder.hpp"
#include "topics/topic_table.hpp"

namespace selfheal {
namespace {

// What goes out at once, and how long a pipe may be silent before that is less.
constexpr std::size_t portion_bytes = 1 << 20;
constexpr int silence_ms = 50;
constexpr auto bus_wait = std::chrono::seconds(30);
// Of a frame: far below what one may hold, so that its bytes stay below a record's limit too.
constexpr std::size_t frame_signals_max = 2000;

enum class Form : std::uint8_t { text, number, integer, json, list, map };

struct SignalField {
  const char* name;
  Form form;
  const char* help;
};

struct Kind {
  const char* name;
  const char* help;
  std::vector<SignalField> fields;
};

const std::vector<SignalField>& common_fields() {
  static const std::vector<SignalField> fields = {
      {"service", Form::text, "What it is about"},
      {"time", Form::text, "RFC 3339; by default now"},
      {"time_ms", Form::integer, "Milliseconds since 1970, in place of --time"},
      {"id", Form::text, "One id counts once"},
      {"sentinel", Form::text, "Who has observed it"},
      {"label", Form::map, "key=value; repeat"},
  };
  return fields;
}

const std::vector<Kind>& kinds() {
  static const SignalField code{"code", Form::text, "The diagnosis code"};
  static const SignalField message{"message", Form::text, "For people"};
  static const SignalField severity{"severity", Form::text, "low, medium, high or critical"};
  static const SignalField confidence{"confidence", Form::number, "0 to 1"};
  static const SignalField evidence{"evidence", Form::json, "JSON or text"};
  static const SignalField worker{"worker", Form::text, "Id of the worker"};
  static const SignalField worker_type{"worker_type", Form::text, "Its type"};
  static const SignalField task{"task_id", Form::text, "What it works on"};
  static const SignalField score{"health_score", Form::number, "0 to 100"};
  static const SignalField progress{"progress", Form::number, "Of the task"};
  static const std::vector<Kind> all = {
      {"signal",
       "A metric, or any type by --type",
       {{"type", Form::text,
         "metric, heartbeat, failure, alert, prediction, dispatch, degradation"},
        {"metric", Form::text, "Name of the metric"},
        {"value", Form::number, "Its value"},
        {"unit", Form::text, "Its unit"},
        code,
        message,
        severity,
        confidence,
        evidence,
        worker,
        worker_type,
        task,
        score,
        progress,
        {"status", Form::text, "Of an alert: firing or resolved"},
        {"alertname", Form::text, "Of an alert"},
        {"fingerprint", Form::text, "Of an alert"},
        {"annotation", Form::map, "Of an alert: key=value; repeat"},
        {"likelihood", Form::number, "Of a prediction, 0 to 1"},
        {"impact", Form::text, "Of a prediction: low, medium, high or critical"},
        {"lead_time_seconds", Form::number, "Of a prediction"},
        {"suggested_playbook", Form::list, "Of a prediction; repeat"},
        {"input_preview", Form::text, "Of a dispatch"},
        {"result", Form::text, "Of a dispatch"},
        {"error", Form::text, "Of a dispatch"}}},
      {"heartbeat",
       "A worker is alive",
       {worker,
        worker_type,
        score,
        progress,
        task,
        {"token_budget", Form::json, "{\"allocated\":…,\"used\":…}"}}},
      {"failure", "Something has failed", {code, message, worker, task}},
      {"degradation",
       "Something is worse than it should be",
       {code, severity, confidence, message, evidence}},
  };
  return all;
}

struct EmitOptions {
  SourceOptions source;
  bool framed = false;
  std::string input;
  std::string resource;
  std::map<std::string, std::vector<std::string>> fields;  // as given
};

// Where signals go; says what became of them.
class Target {
 public:
  virtual ~Target() = default;
  virtual Result<Stored> send(std::string_view body) = 0;
};

class KafkaTarget : public Target {
 public:
  KafkaTarget(std::shared_ptr<Log> log, std::string topic, std::int32_t partitions, bool framed)
      : log_(std::move(log)),
        topic_(std::move(topic)),
        partitions_(partitions),
        framed_(framed),
        decode_(fresh_decoder()) {}

  Result<Stored> send(std::string_view body) override {
    Intake intake = read_intake(body, wall_clock_ms(), decode_);
    const Result<void> packed = framed_ ? pack(intake) : Result<void>();
    if (!packed) return packed.error();
    auto done = std::make_shared<std::promise<Stored>>();
    std::future<Stored> stored = done->get_future();
    const std::int64_t extra = extra_;
    store_intake(*log_, topic_, partitions_, std::move(intake),
                 [done](Stored each) { done->set_value(std::move(each)); });
    if (stored.wait_for(bus_wait) != std::future_status::ready) {
      return Error{ErrorCode::unavailable, log_->describe() + " has not taken the signals"};
    }
    Stored result = stored.get();
    if (result.taken == 0 && !result.trouble.empty()) {
      return Error{ErrorCode::unavailable, result.trouble};
    }
    result.taken += extra;
    return result;
  }

 private:
  // Replaces the lines by frames, one a service and at most frame_signals_max rows each.
  Result<void> pack(Intake& intake) {
    std::map<std::string, std::vector<const TakenLine*>> by_service;
    for (const TakenLine& line : intake.taken) by_service[line.service].push_back(&line);
    std::vector<TakenLine> frames;
    for (const auto& [service, lines] : by_service) {
      for (std::size_t begin = 0; begin < lines.size(); begin += frame_signals_max) {
        SignalBatch batch;
        const std::size_t end = std::min(begin + frame_signals_max, lines.size());
        for (std::size_t i = begin; i < end; ++i) {
          decode_({.append_time_ms = wall_clock_ms(), .value = lines[i]->text}, batch);
        }
        Result<std::string> frame = encode_frame(batch.signals);
        if (!frame) return frame.error();
        frames.push_back({lines[begin]->line, service, std::move(*frame)});
      }
    }
    // A stored frame counts as one line; the others of its rows are added to the answer.
    extra_ =
        static_cast<std::int64_t>(intake.taken.size()) - static_cast<std::int64_t>(frames.size());
    intake.taken = std::move(frames);
    return {};
  }

  std::shared_ptr<Log> log_;
  std::string topic_;
  std::int32_t partitions_;
  bool framed_;
  std::int64_t extra_ = 0;
  DecodeSignals decode_;
};

class HttpTarget : public Target {
 public:
  HttpTarget(HttpClient client, bool framed)
      : client_(std::move(client)), framed_(framed), decode_(fresh_decoder()) {}

  Result<Stored> send(std::string_view body) override {
    if (!framed_) return post(std::string(body), "application/x-ndjson");
    Intake intake = read_intake(body, wall_clock_ms(), decode_);
    Stored all{.refused = std::move(intake.refused), .refused_more = intake.refused_more};
    for (std::size_t begin = 0; begin < intake.taken.size(); begin += frame_signals_max) {
      SignalBatch batch;
      const std::size_t end = std::min(begin + frame_signals_max, intake.taken.size());
      for (std::size_t i = begin; i < end; ++i) {
        decode_({.append_time_ms = wall_clock_ms(), .value = intake.taken[i].text}, batch);
      }
      const Result<std::string> frame = encode_frame(batch.signals);
      if (!frame) return frame.error();
      Result<Stored> stored = post(*frame, "application/octet-stream");
      if (!stored) return stored.error();
      all.taken += stored->taken;
    }
    return all;
  }

 private:
  Result<Stored> post(const std::string& body, const std::string& content_type) {
    const Result<ApiAnswer> answer = client_.post("/api/signals", body, content_type);
    if (!answer) return answer.error();
    const Result<Json> json = parse_json(answer->body);
    const bool counted = json && json->is_object() && json->contains("taken");
    if (!counted) {
      return Error{answer->status >= 500 ? ErrorCode::unavailable : ErrorCode::refused,
                   client_.address() + ": " + answer->problem()};
    }
    Stored stored{.taken = json->value("taken", std::int64_t{0}),
                  .refused_more = json->value("refused_more", std::int64_t{0})};
    for (const Json& each : json->value("refused", Json::array())) {
      stored.refused.push_back({each.value("line", std::int64_t{0}), each.value("reason", "")});
    }
    return stored;
  }

  HttpClient client_;
  bool framed_;
  DecodeSignals decode_;
};

Result<std::unique_ptr<Target>> open_target(const EmitOptions& options) {
  const Result<LoadedConfig> loaded = load(options.source.config);
  if (!loaded) return loaded.error();
  const ServiceConfig& config = loaded->config;
  if (config.bus.kind != "kafka" || !options.source.url.empty()) {
    Result<HttpClient> client = open_client(options.source, config);
    if (!client) return client.error();
    return std::unique_ptr<Target>(
        std::make_unique<HttpTarget>(std::move(*client), options.framed));
  }
  const Result<std::shared_ptr<Log>> log = open_log(config);
  if (!log) return log.error();
  const std::string topic = topic_names(config.topics.prefix).signals;
  const Result<std::int32_t> partitions = (*log)->partitions(topic);
  if (!partitions) return partitions.error().within("run `selfheal topics create` first");
  return std::unique_ptr<Target>(
      std::make_unique<KafkaTarget>(*log, topic, *partitions, options.framed));
}

// Sums up what goes out in portions; line numbers go on from portion to portion.
class Sender {
 public:
  explicit Sender(Target& target) : target_(target) {}

  Result<void> send(std::string_view portion) {
    if (portion.find_first_not_of(" \t\r\n") == std::string_view::npos) return {};
    const Result<Stored> stored = target_.send(portion);
    if (!stored) return stored.error();
    total_.taken += stored->taken;
    for (RefusedLine each : stored->refused) {
      if (each.line > 0) each.line += lines_;
      refuse_line(total_.refused, total_.refused_more, std::move(each));
    }
    total_.refused_more += stored->refused_more;
    lines_ += std::count(portion.begin(), portion.end(), '\n');
    return {};
  }

  const Stored& total() const { return total_; }

 private:
  Target& target_;
  Stored total_;
  std::int64_t lines_ = 0;
};

// Whole lines go out as soon as there are many, or the writer of the pipe pauses.
Result<void> send_input(Sender& sender) {
  std::string waiting;
  std::array<char, std::size_t{64} * 1024> bytes{};
  while (true) {
    pollfd input{STDIN_FILENO, POLLIN, 0};
    const bool silent = poll(&input, 1, waiting.empty() ? -1 : silence_ms) == 0;
    if (silent || waiting.size() >= portion_bytes) {
      const std::size_t end = waiting.rfind('\n');
      if (end != std::string::npos) {
        Result<void> sent = sender.send(std::string_view(waiting).substr(0, end + 1));
        if (!sent) return sent;
        waiting.erase(0, end + 1);
      }
      // A line that never ends would be kept for ever.
      if (waiting.size() > record_bytes_max) {
        return Error{ErrorCode::invalid, "a line of the input is longer than 1 MiB"};
      }
      // Half a line: nothing to send before more of it comes.
      if (silent && poll(&input, 1, -1) < 0 && errno != EINTR) break;
    }
    const ssize_t size = read(STDIN_FILENO, bytes.data(), bytes.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return Error{ErrorCode::invalid, "standard input cannot be read"};
    if (size == 0) break;
    waiting.append(bytes.data(), static_cast<std::size_t>(size));
  }
  return sender.send(waiting);
}

Result<Json> map_of(const std::vector<std::string>& pairs, const std::string& name) {
  Json object = Json::object();
  for (const std::string& pair : pairs) {
    const std::size_t equals = pair.find('=');
    if (equals == std::string::npos || equals == 0) {
      return Error{ErrorCode::invalid, "--" + name + " must be key=value, not '" + pair + "'"};
    }
    object[pair.substr(0, equals)] = pair.substr(equals + 1);
  }
  return object;
}

Result<Json> value_of(const SignalField& field, const std::vector<std::string>& given) {
  const std::string& text = given.back();
  if (field.form == Form::text) return Json(text);
  if (field.form == Form::list) return Json(given);
  if (field.form == Form::map) return map_of(given, field.name);
  Result<Json> json = parse_json(text);
  if (field.form == Form::json) return json ? *json : Json(text);
  const bool fits =
      json && (field.form == Form::integer ? json->is_number_integer() : json->is_number());
  if (fits) return json;
  return Error{ErrorCode::invalid,
               "--" + std::string(field.name) + " must be a number, not '" + text + "'"};
}

// Options repeat one thing, the object lists all of them.
std::string member_of(const std::string& name) {
  const bool repeated = name == "label" || name == "annotation" || name == "suggested_playbook";
  return repeated ? name + "s" : name;
}

Result<std::string> line_of(const EmitOptions& options, const Kind& kind) {
  const std::string name = kind.name;
  Json signal{{"type", name == "signal" ? "metric" : name}};
  std::vector<SignalField> fields = common_fields();
  fields.insert(fields.end(), kind.fields.begin(), kind.fields.end());
  for (const SignalField& field : fields) {
    const auto given = options.fields.find(field.name);
    if (given == options.fields.end() || given->second.empty()) continue;
    Result<Json> value = value_of(field, given->second);
    if (!value) return value.error();
    signal[member_of(field.name)] = std::move(*value);
  }
  if (!options.resource.empty()) {
    const std::size_t slash = options.resource.find('/');
    if (slash == std::string::npos) {
      return Error{ErrorCode::invalid, "--resource must be KIND/ID"};
    }
    signal["resource"] = {{"kind", options.resource.substr(0, slash)},
                          {"id", options.resource.substr(slash + 1)}};
  }
  if (!signal.contains("time") && !signal.contains("time_ms")) signal["time_ms"] = wall_clock_ms();
  return dump(signal) + "\n";
}

Exit finish(const Sender& sender, const Result<void>& sent) {
  const Stored& total = sender.total();
  const bool nothing = total.taken == 0 && total.refused.empty();
  if (sent || !nothing) print_line(intake_json(total.taken, total.refused, total.refused_more));
  if (!sent) return fail(sent.error());
  return total.taken == 0 && !total.refused.empty() ? Exit::did_not_hold : Exit::done;
}

Exit emit_one(const EmitOptions& options, const Kind& kind) {
  const Result<std::string> line = line_of(options, kind);
  if (!line) return fail(line.error());
  const Result<std::unique_ptr<Target>> target = open_target(options);
  if (!target) return fail(target.error());
  Sender sender(**target);
  const Result<void> sent = sender.send(*line);
  return finish(sender, sent);
}

Exit emit_input(const EmitOptions& options) {
  if (options.input != "-") {
    return fail({ErrorCode::invalid,
                 "say what to emit: signal, heartbeat, failure, degradation, or - for NDJSON from "
                 "standard input"});
  }
  const Result<std::unique_ptr<Target>> target = open_target(options);
  if (!target) return fail(target.error());
  Sender sender(**target);
  const Result<void> sent = send_input(sender);
  return finish(sender, sent);
}

void add_common(CLI::App& command, EmitOptions& options) {
  add_client_options(command, options.source);
  command.add_flag("--framed", options.framed, "As binary frames; docs/frame.md");
  command.add_flag("--json", options.source.json, "The result is JSON in any case");
}

void add_field(CLI::App& command, EmitOptions& options, const SignalField& field) {
  std::string names = "--" + std::string(field.name);
  std::string dashed = names;
  std::replace(dashed.begin() + 2, dashed.end(), '_', '-');
  if (dashed != names) names = dashed + "," + names;
  command.add_option(names, options.fields[field.name], field.help)->expected(1)->take_all();
}

}  // namespace

void add_emit_command(CLI::App& application, Action& action) {
  CLI::App* emit = application.add_subcommand("emit", "Puts signals on the bus");
  emit->require_subcommand(0, 1);
  auto input = std::make_shared<EmitOptions>();
  add_common(*emit, *input);
  emit->add_option("input", input->input, "-: NDJSON from standard input");
  emit->callback([&action, emit, input] {
    // The callback of a subcommand has run before and is the one that counts.
    if (emit->get_subcommands().empty()) action = [input] { return emit_input(*input); };
  });
  for (const Kind& kind : kinds()) {
    CLI::App* command = emit->add_subcommand(kind.name, kind.help);
    auto options = std::make_shared<EmitOptions>();
    add_common(*command, *options);
    for (const SignalField& field : common_fields()) add_field(*command, *options, field);
    for (const SignalField& field : kind.fields) add_field(*command, *options, field);
    command->add_option("--resource", options->resource, "KIND/ID");
    command->callback([&action, options, &kind] {
      action = [options, &kind] { return emit_one(*options, kind); };
    });
  }
}

}  // namespace selfheal
