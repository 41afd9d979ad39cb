// Looking at a condition: one question to the outside, without any change to it.
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <optional>
#include <system_error>

#include "base/percent_encoding.hpp"
#include "effects/http_caller.hpp"
#include "effects/posix_file.hpp"
#include "effects/program_runner.hpp"
#include "effects/secrets.hpp"
#include "effects/step_effect.hpp"
#include "topics/json_codec.hpp"

namespace selfheal {
namespace {

constexpr std::size_t detail_bytes_max = 512;
constexpr DurationMs connect_limit_ms = 2 * one_second_ms;
constexpr DurationMs default_limit_ms = 10 * one_second_ms;

// A condition without a timeout must not hold its thread for ever.
DurationMs limit_of(Duration timeout) {
  return timeout.ms > 0 ? timeout.ms : default_limit_ms;
}

ProbeAnswer look_http(const HttpCall& call) {
  const HttpAnswer answer = call_http(call, {}, limit_of(call.timeout));
  const std::string wrong = why_unexpected(call, answer);
  if (!wrong.empty()) return {false, wrong};
  return {true, "status " + std::to_string(answer.status)};
}

// 0, or the errno of the failure.
int connect_to(const addrinfo& address) {
  const Descriptor socket(::socket(
      address.ai_family, address.ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, address.ai_protocol));
  if (!socket.valid()) return errno;
  if (connect(socket.get(), address.ai_addr, address.ai_addrlen) == 0) return 0;
  if (errno != EINPROGRESS) return errno;
  pollfd event{socket.get(), POLLOUT, 0};
  if (poll(&event, 1, static_cast<int>(connect_limit_ms)) <= 0) return ETIMEDOUT;
  int failed = 0;
  socklen_t size = sizeof failed;
  if (getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &failed, &size) != 0) return errno;
  return failed;
}

ProbeAnswer look_tcp(const TcpTarget& target) {
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  const int failed =
      getaddrinfo(target.host.c_str(), std::to_string(target.port).c_str(), &wanted, &list);
  if (failed != 0) return {false, target.host + ": " + gai_strerror(failed)};
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(list, &freeaddrinfo);
  int error = 0;
  for (const addrinfo* each = list; each != nullptr; each = each->ai_next) {
    error = connect_to(*each);
    if (error == 0) return {true, "connected"};
    // A second address would double the wait.
    if (error == ETIMEDOUT) break;
  }
  return {false, std::generic_category().message(error)};
}

ProbeAnswer look_run(const Program& program, const Secrets& secrets) {
  std::map<std::string, std::string> environment = base_environment();
  // No secret: a look is repeated many times, and nobody approved it as a step.
  for (const auto& [name, value] : program.environment) environment[name] = value;
  const ProgramEnd end = run_program(program, environment, {.limit_ms = limit_of(program.timeout)});
  if (!end.began) return {false, end.failure};
  const std::string output = end.output.scrubbed(secrets);
  if (end.timed_out) {
    return {false, "no end within " + format_duration(limit_of(program.timeout)) + "\n" + output};
  }
  return {end.exit_code == 0, "exit " + std::to_string(end.exit_code) + "\n" + output};
}

// A sample is [time, "value"]. NaN holds for nothing.
std::optional<double> sample_value(const Json& sample) {
  if (!sample.is_array() || sample.size() != 2 || !sample[1].is_string()) return std::nullopt;
  const std::string& text = sample[1].get_ref<const std::string&>();
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (end == text.c_str()) return std::nullopt;
  return value;
}

ProbeAnswer judge_promql(const std::string& body) {
  const Result<Json> json = parse_json(body);
  if (!json) return {false, "the answer is " + json.error().context};
  const Json::json_pointer kind_at("/data/resultType");
  const Json::json_pointer result_at("/data/result");
  if (!json->contains(result_at) || !json->contains(kind_at) || !(*json)[kind_at].is_string()) {
    return {false, "the answer holds no result"};
  }
  const Json& result = (*json)[result_at];
  const std::string kind = (*json)[kind_at].get<std::string>();
  // A range or a text has no single value that could hold.
  if (kind != "scalar" && kind != "vector") return {false, "the result is a " + kind};
  // A comparison in a query filters: no series means that it is false everywhere.
  if (kind == "vector" && result.is_array() && result.empty()) return {false, "no series"};
  const Json* const sample =
      kind == "scalar" ? &result
      : result.is_array() && result[0].is_object() && result[0].contains("value")
          ? &result[0]["value"]
          : nullptr;
  const std::optional<double> value = sample == nullptr ? std::nullopt : sample_value(*sample);
  if (!value) return {false, "the result holds no number"};
  return {*value != 0 && !std::isnan(*value), "value " + dump(Json(*value))};
}

ProbeAnswer look_promql(const PromqlQuery& query) {
  std::string url = query.url;
  while (url.ends_with('/')) url.pop_back();
  HttpCall call;
  call.url = url + "/api/v1/query?query=" + percent_encoded(query.query);
  const HttpAnswer answer = call_http(call, {}, limit_of(call.timeout));
  const std::string wrong = why_unexpected(call, answer);
  return wrong.empty() ? judge_promql(answer.body) : ProbeAnswer{false, wrong};
}

ProbeAnswer look_outside(const Condition& condition, const Secrets& secrets) {
  if (!condition.http.empty()) return look_http(condition.http[0]);
  if (!condition.tcp.empty()) return look_tcp(condition.tcp[0]);
  if (!condition.run.empty()) return look_run(condition.run[0], secrets);
  if (!condition.promql.empty()) return look_promql(condition.promql[0]);
  return {false, "a bug: a metric is not looked at from here"};
}

}  // namespace

ProbeAnswer look(const Condition& condition, const EffectContext& context) {
  // A condition names no secrets, but what it looks at may show some.
  const Secrets secrets = readable_secrets(context.secrets_folder);
  ProbeAnswer answer = look_outside(condition, secrets);
  answer.detail = excerpt(scrub(answer.detail, secrets), detail_bytes_max);
  while (answer.detail.ends_with('\n')) answer.detail.pop_back();
  return answer;
}

}  // namespace selfheal
