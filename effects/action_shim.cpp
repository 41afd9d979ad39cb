// The action shim: a process of its own that carries one start out and outlives whoever asked.
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <optional>
#include <thread>

#include "decision/systemd_unit.hpp"
#include "effects/action_files.hpp"
#include "effects/http_caller.hpp"
#include "effects/order_codec.hpp"
#include "effects/program_runner.hpp"
#include "effects/secrets.hpp"
#include "effects/start_once.hpp"
#include "topics/json_codec.hpp"

namespace selfheal {
namespace {

using Clock = std::chrono::steady_clock;

// A session of its own: neither a closed terminal nor a stop of the service ends a begun effect.
void detach_from_parent() {
  setsid();
  for (const int ignored : {SIGHUP, SIGPIPE, SIGTERM, SIGINT}) std::signal(ignored, SIG_IGN);
  std::signal(SIGCHLD, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  // Whoever may look into this process sees secrets.
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

Result<std::string> read_order() {
  std::string text;
  std::array<char, std::size_t{16} * 1024> chunk;
  while (true) {
    const ssize_t count = read(STDIN_FILENO, chunk.data(), chunk.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_error("read the order");
    if (count == 0) return text;
    text.append(chunk.data(), static_cast<std::size_t>(count));
    if (text.size() > shim_order_bytes_max) {
      return Error{ErrorCode::exhausted, "the order is longer than 1 MiB"};
    }
  }
}

// Asks systemd what became of the unit, until it is settled. Empty where it is as promised; `told`
// is what was read last.
std::string why_not_as_promised(const UnitOrder& unit,
                                const std::map<std::string, std::string>& environment,
                                Clock::time_point deadline, std::string& told) {
  constexpr std::chrono::milliseconds pause{200};
  constexpr DurationMs look_ms_max = 5 * one_second_ms;
  constexpr DurationMs look_ms_min = one_second_ms;
  Program show;
  show.argv = {unit.program, "show", "--property=ActiveState,SubState,Result", "--", unit.unit};
  while (true) {
    const DurationMs left_ms =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    const ProgramEnd end =
        run_program(show, environment, {.limit_ms = std::clamp(left_ms, look_ms_min, look_ms_max)});
    const std::string failed = unit.unit + ": its state cannot be read back";
    if (!end.began) return failed + ": " + end.failure;
    if (end.exit_code != 0) {
      return failed + ": systemctl show ended with " + std::to_string(end.exit_code);
    }
    const Result<UnitState> state = parse_unit_state(end.output.scrubbed({}));
    if (!state) return failed + ": " + state.error().context;
    told = unit.unit + " is " + describe(*state);
    switch (judge_unit(unit.action, *state)) {
      case UnitPromise::kept:
        return {};
      case UnitPromise::broken:
        return told + " after " + unit.action;
      case UnitPromise::pending:
        break;
    }
    if (Clock::now() + pause > deadline) return told + " still, after " + unit.action;
    std::this_thread::sleep_for(pause);
  }
}

// Into the output: the state in the end, before what systemctl itself said.
void read_back(const UnitOrder& unit, const std::map<std::string, std::string>& environment,
               Clock::time_point deadline, const Secrets& secrets, StepResult& result) {
  std::string told;
  const std::string wrong = why_not_as_promised(unit, environment, deadline, told);
  if (!wrong.empty() && result.status == "ok") result.status = "failed";
  OutputCapture output;
  output.take((wrong.empty() ? told : wrong) + "\n" + result.output);
  set_output(result, output.scrubbed(secrets));
}

StepResult run_step(const StepOrder& order, const Secrets& secrets, int lock_descriptor) {
  const Program& program = order.what.run[0];
  std::map<std::string, std::string> environment = base_environment();
  for (const auto& [name, value] : program.environment) environment[name] = value;
  for (const auto& [name, value] : secrets) environment[secret_variable(name)] = value;
  // Last, so that neither a playbook nor a secret can pass for another action.
  environment["SELF_HEAL_ACTION_ID"] = order.action_id;
  environment["SELF_HEAL_ATTEMPT"] = std::to_string(order.attempt);
  environment["SELF_HEAL_INCIDENT_ID"] = order.incident_id;
  environment["SELF_HEAL_SERVICE"] = order.service;
  const Clock::time_point deadline =
      Clock::now() + std::chrono::milliseconds(effect_limit_ms(order));
  const ProgramEnd end = run_program(program, environment,
                                     {.limit_ms = effect_limit_ms(order),
                                      .kept_descriptor = lock_descriptor,
                                      .owns_descendants = true});
  StepResult result = result_of(order, "ok", "");
  result.exit_code = end.exit_code;
  // An exit within the grace counts as timed out even where the code is 0: the work was cut.
  if (!end.began || end.exit_code != 0) result.status = "failed";
  if (end.timed_out) result.status = "timeout";
  set_output(result, end.began ? end.output.scrubbed(secrets) : scrub(end.failure, secrets));
  if (const std::optional<UnitOrder> unit = unit_order_of(program)) {
    read_back(*unit, environment, deadline, secrets, result);
  }
  return result;
}

StepResult call_step(const StepOrder& order, const Secrets& secrets) {
  const HttpCall& call = order.what.http[0];
  const HttpAnswer answer =
      call_http(call, {{"Idempotency-Key", idempotency_key(order)}}, effect_limit_ms(order));
  const std::string wrong = why_unexpected(call, answer);
  StepResult result = result_of(order, wrong.empty() ? "ok" : "failed", "");
  if (answer.outcome == HttpOutcome::unknown) result.status = "in_doubt";
  // 0 stays "it worked" for both kinds of steps; else the status tells people what came back.
  if (!wrong.empty()) result.exit_code = answer.status;
  // The reason first: the body of an error page may be long.
  OutputCapture output;
  if (!wrong.empty()) output.take(wrong + (answer.body.empty() ? "" : "\n"));
  output.take(answer.body);
  set_output(result, output.scrubbed(secrets));
  return result;
}

StepResult obey(const ShimOrder& shim_order, EffectContext context) {
  const StepOrder& order = shim_order.order;
  if (order.what.run.size() + order.what.http.size() != 1) {
    return result_of(order, "failed", "the step has neither one run nor one http; nothing ran");
  }
  // Before anything is marked: its variables have their values only now.
  if (!order.what.run.empty()) {
    const std::optional<UnitOrder> unit = unit_order_of(order.what.run[0]);
    const Result<void> named = unit ? check_unit_name(unit->unit) : Result<void>();
    if (!named) return result_of(order, "failed", named.error().context + "; nothing ran");
  }
  context.actions_folder = shim_order.actions_folder;
  context.secrets_folder = shim_order.secrets_folder;
  return start_once(order, context, [&](const Secrets& secrets, int lock_descriptor) {
    return order.what.run.empty() ? call_step(order, secrets)
                                  : run_step(order, secrets, lock_descriptor);
  });
}

}  // namespace

int effect_shim_main(const EffectContext& context) {
  detach_from_parent();
  const Result<std::string> text = read_order();
  const Result<ShimOrder> shim_order =
      text ? decode_shim_order(*text) : Result<ShimOrder>(text.error());
  StepResult result;
  if (shim_order) {
    result = obey(*shim_order, context);
  } else {
    result = result_of({}, "failed", shim_order.error().context + "; nothing ran");
  }
  // Nobody may be listening any more, and need not: the files hold it.
  const Result<void> told = write_all(STDOUT_FILENO, to_json_text(result) + "\n", "the result");
  // A call that was given up may still be on its thread; nothing is left to clean up.
  _exit(shim_order && told ? 0 : 1);
}

}  // namespace selfheal
