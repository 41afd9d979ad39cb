// The action shim: a process of its own that carries one start out and outlives whoever asked.
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <thread>

#include "base/hash.hpp"
#include "effects/action_files.hpp"
#include "effects/http_caller.hpp"
#include "effects/order_codec.hpp"
#include "effects/program_runner.hpp"
#include "effects/secrets.hpp"
#include "topics/json_codec.hpp"

namespace selfheal {
namespace {

using Clock = std::chrono::steady_clock;

// A result travels through the journal to every replica: long outputs stay out of it.
constexpr std::size_t excerpt_bytes_max = 2048;

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
  std::array<char, 16 * 1024> chunk;
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

// Tests end the process here, as a power cut would: no handler, no destructor.
void reach(const char* point, const EffectContext& context) {
  const char* const wanted = std::getenv("SELF_HEAL_SHIM_FAILPOINT");
  if (wanted != nullptr && std::strcmp(wanted, point) == 0) kill(getpid(), SIGKILL);
  if (context.failpoint) context.failpoint(point);
}

TimeMs now_ms(const EffectContext& context) {
  if (context.now_ms) return context.now_ms();
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// The effect's output, as the result may carry it.
void set_output(StepResult& result, const std::string& scrubbed) {
  result.output_hash = to_hex(sha256(scrubbed));
  result.output = excerpt(scrubbed, excerpt_bytes_max);
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
  return result;
}

StepResult call_step(const StepOrder& order, const Secrets& secrets) {
  const HttpCall& call = order.what.http[0];
  // Attempts share the key: a target that has seen one of them answers the next the same way. So do
  // the steps of a run; undoing is another action.
  const std::string key = order.action_id + (order.rollback ? "-rollback" : "");
  const HttpAnswer answer = call_http(call, {{"Idempotency-Key", key}}, effect_limit_ms(order));
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

StepResult have_effect(const StepOrder& order, const Secrets& secrets, int lock_descriptor) {
  const Clock::time_point began = Clock::now();
  StepResult result = order.what.run.empty() ? call_step(order, secrets)
                                             : run_step(order, secrets, lock_descriptor);
  result.took_ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - began).count();
  return result;
}

// Empty once the lock is ours; else the answer that somebody else's run gave.
std::optional<StepResult> wait_for_lock(ActionFiles& files, const StepOrder& order) {
  constexpr std::chrono::milliseconds pause{20};
  // The holder may need its whole limit and the seconds in which its program may end by itself.
  constexpr std::chrono::milliseconds margin{3000};
  const Clock::time_point deadline =
      Clock::now() + std::chrono::milliseconds(effect_limit_ms(order)) + margin;
  while (true) {
    const Result<bool> locked = files.try_lock();
    if (!locked) return result_of(order, "failed", locked.error().context + "; nothing ran");
    // Even without the lock: a daemon of the step may hold it long after the result is there.
    const Result<std::optional<StepResult>> result = files.result();
    if (!result) return result_of(order, "in_doubt", result.error().context);
    if (result->has_value()) return **result;
    if (*locked) return std::nullopt;
    if (Clock::now() > deadline) {
      return result_of(order, "in_doubt", "it is still running after its time limit");
    }
    std::this_thread::sleep_for(pause);
  }
}

// Steps 4 to 6. Empty where the effect may begin now: `started` is on the disk.
std::optional<StepResult> begin(ActionFiles& files, const ShimOrder& shim_order,
                                const EffectContext& context) {
  const StepOrder& order = shim_order.order;
  // Held until this function returns, so that no raised fence comes between check and mark.
  Result<Fence> fence = Fence::lock(shim_order.actions_folder, order.shard);
  if (!fence) return result_of(order, "failed", fence.error().context + "; nothing ran");
  if (fence->epoch() > order.epoch) {
    return result_of(order, "fenced",
                     "epoch " + std::to_string(order.epoch) + " is over, the fence is at " +
                         std::to_string(fence->epoch()) + "; nothing ran");
  }
  const Result<void> raised = fence->raise(order.epoch);
  if (!raised) return result_of(order, "failed", raised.error().context + "; nothing ran");
  // Asked after the waits for both locks: only the moment of the mark counts.
  const TimeMs now = now_ms(context);
  if (now > order.valid_until_ms) {
    return result_of(order, "expired",
                     "it was to begin by " + format_rfc3339(order.valid_until_ms) + ", now it is " +
                         format_rfc3339(now) + "; nothing ran");
  }
  const Result<void> marked = files.mark_started(now);
  if (!marked) return result_of(order, "failed", marked.error().context + "; nothing ran");
  return std::nullopt;
}

StepResult obey(const ShimOrder& shim_order, const EffectContext& context) {
  const StepOrder& order = shim_order.order;
  if (order.what.run.size() + order.what.http.size() != 1) {
    return result_of(order, "failed", "the step has neither one run nor one http; nothing ran");
  }
  Result<ActionFiles> files = ActionFiles::open(shim_order.actions_folder, order);
  if (!files) return result_of(order, "failed", files.error().context);
  if (std::optional<StepResult> other = wait_for_lock(*files, order)) return *other;
  if (files->started()) return result_of(order, "in_doubt", "it was begun and nobody saw it end");
  // Before the mark: a missing secret is a clear failure, not a doubt.
  const Result<Secrets> secrets = read_secrets(shim_order.secrets_folder, order.secrets);
  std::optional<StepResult> refusal;
  if (!secrets) {
    refusal = result_of(order, "failed", secrets.error().context + "; nothing ran");
  } else {
    refusal = begin(*files, shim_order, context);
  }
  if (refusal) {
    // An answer that was given stays the answer, whoever asks later and whatever has changed.
    // Where that cannot be written, nothing has begun either.
    [[maybe_unused]] const Result<void> written = files->write_result(*refusal);
    return *refusal;
  }
  reach("after_started", context);
  const StepResult result = have_effect(order, *secrets, files->lock_descriptor());
  reach("after_effect", context);
  // Where the disk fails now, the answer still goes to whoever waits; the files say in doubt.
  const Result<void> written = files->write_result(result);
  if (written) reach("after_result", context);
  return result;
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
