#include "effects/step_effect.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <system_error>
#include <thread>

#include "effects/action_files.hpp"
#include "effects/order_codec.hpp"
#include "effects/posix_file.hpp"
#include "effects/program_runner.hpp"
#include "effects/start_once.hpp"
#include "topics/json_codec.hpp"

namespace selfheal {
namespace {

using Clock = std::chrono::steady_clock;

// For the end of a process group that ignores the polite signal, and for the disk.
constexpr std::chrono::seconds grace{5};
constexpr std::size_t answer_bytes_max = std::size_t{64} * 1024;

struct Shim {
  pid_t process = -1;
  Descriptor socket;  // our end of what are its stdin and stdout
};

// What the shim itself needs of our environment; its program gets a clean one.
std::vector<std::string> shim_environment() {
  std::vector<std::string> variables;
  for (const auto& [name, value] : base_environment()) variables.push_back(name + "=" + value);
  for (const char* name :
       {"LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "SELF_HEAL_SHIM_FAILPOINT",
        // An order says by our clock until when it is valid.
        "SELFHEAL_CLOCK_SKEW_MS"}) {
    const char* const value = std::getenv(name);
    if (value != nullptr) variables.push_back(std::string(name) + "=" + value);
  }
  return variables;
}

Result<Shim> start_shim(const std::string& program) {
  std::array<int, 2> ends{};
  // A socket, not a pipe: writing to a shim that died must not raise SIGPIPE in the service.
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return system_error("create a socket pair");
  }
  Shim shim;
  shim.socket.reset(ends[0]);
  const Descriptor theirs(ends[1]);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, theirs.get(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, theirs.get(), STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  // Sockets and database files must be free for the next service while the shim lives on.
  posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
  std::string path = program;
  std::string name = "effect-shim";
  std::array<char*, 3> arguments = {path.data(), name.data(), nullptr};
  // No secret and no value of the step is in argv or environment: others can read both.
  std::vector<std::string> variables = shim_environment();
  std::vector<char*> environment;
  environment.reserve(variables.size() + 1);
  for (std::string& variable : variables) environment.push_back(variable.data());
  environment.push_back(nullptr);
  const int failed = posix_spawn(&shim.process, path.c_str(), &actions, nullptr, arguments.data(),
                                 environment.data());
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) {
    return Error{ErrorCode::unavailable,
                 "start " + program + " effect-shim: " + std::generic_category().message(failed)};
  }
  return shim;
}

bool wait_until_ready(int socket, short event, Clock::time_point deadline) {
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) return false;
    pollfd events{socket, event, 0};
    constexpr DurationMs poll_ms_max = 60 * one_second_ms;
    const auto wait_ms = static_cast<int>(std::min<DurationMs>(left.count(), poll_ms_max));
    if (poll(&events, 1, wait_ms) > 0) return true;
  }
}

// A shim that does not take the whole order runs nothing: half of it is no JSON.
void send_order(const Shim& shim, std::string_view text, Clock::time_point deadline) {
  while (!text.empty() && wait_until_ready(shim.socket.get(), POLLOUT, deadline)) {
    const ssize_t count =
        send(shim.socket.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0 && errno != EINTR && errno != EAGAIN) break;
    if (count > 0) text.remove_prefix(static_cast<std::size_t>(count));
  }
  shutdown(shim.socket.get(), SHUT_WR);
}

struct ShimAnswer {
  bool ended = false;  // it closed its side; else the deadline came first
  std::string text;
};

ShimAnswer read_answer(const Shim& shim, Clock::time_point deadline) {
  ShimAnswer answer;
  std::array<char, 4096> chunk;
  while (answer.text.size() <= answer_bytes_max &&
         wait_until_ready(shim.socket.get(), POLLIN, deadline)) {
    const ssize_t count = recv(shim.socket.get(), chunk.data(), chunk.size(), MSG_DONTWAIT);
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    // A reset is an end as well: a shim that died before it read the whole order.
    if (count <= 0) {
      answer.ended = true;
      return answer;
    }
    answer.text.append(chunk.data(), static_cast<std::size_t>(count));
  }
  return answer;
}

void reap(pid_t process) {
  while (waitpid(process, nullptr, 0) < 0 && errno == EINTR) {
  }
}

// The answer, or what the files say where there is none.
StepResult conclude(const StepOrder& order, const ShimAnswer& answer,
                    const EffectContext& context) {
  // A shim that died while it wrote leaves half an answer, which is no JSON; then the files tell.
  const Result<StepResult> told = from_json_text<StepResult>(answer.text);
  // An order that the shim could not read names no action.
  if (told && told->action_id == order.action_id) return *told;
  if (told && told->action_id.empty()) return result_of(order, told->status, told->output);
  const TracedStep traced = trace_step(order, context);
  switch (traced.trace) {
    case StepTrace::finished:
      return traced.result;
    case StepTrace::running:
      if (answer.ended) return await_step(order, context);
      return result_of(order, "in_doubt", "it is still running after its time limit");
    case StepTrace::died:
      return result_of(order, "in_doubt", "it was begun and nobody saw it end");
    case StepTrace::none:
      break;
  }
  if (answer.ended) return result_of(order, "failed", "the shim died before it began anything");
  return result_of(order, "in_doubt", "the shim has not answered, and may still begin");
}

}  // namespace

namespace {

StepResult publish(const StepOrder& order, const EffectContext& context) {
  if (!context.publish) return result_of(order, "failed", "there is no bus here; nothing ran");
  return start_once(order, context, [&](const Secrets&, int) {
    const PublishEnd end =
        context.publish(order.what.publish[0], idempotency_key(order), effect_limit_ms(order));
    StepResult result = result_of(order, "in_doubt", "");
    if (end.kind == PublishEnd::Kind::stored) result.status = "ok";
    if (end.kind == PublishEnd::Kind::refused) result.status = "failed";
    set_output(result, end.detail);
    return result;
  });
}

}  // namespace

StepResult carry_out(const StepOrder& order, const EffectContext& context) {
  const Result<void> checked = check_order(order);
  if (!checked) return result_of(order, "failed", checked.error().context);
  if (!order.what.publish.empty()) return publish(order, context);
  const Result<std::string> text =
      encode_shim_order({order, context.actions_folder, context.secrets_folder});
  if (!text) return result_of(order, "failed", text.error().context);
  if (context.failpoint) context.failpoint("before_spawn");
  const Result<Shim> shim = start_shim(context.program);
  if (!shim) return result_of(order, "failed", shim.error().context + "; nothing ran");
  // A duplicate waits for the first one's end, which began earlier and so ends within this.
  const DurationMs limit_ms = std::max(order.runtime_limit_ms, effect_limit_ms(order));
  const Clock::time_point deadline = Clock::now() + std::chrono::milliseconds(limit_ms) + grace;
  send_order(*shim, *text, deadline);
  const ShimAnswer answer = read_answer(*shim, deadline);
  if (answer.ended) {
    reap(shim->process);
  } else {
    // It may hold a begun effect, so it is left alone; somebody must reap it in the end.
    std::thread(reap, shim->process).detach();
  }
  return conclude(order, answer, context);
}

TracedStep trace_step(const StepOrder& order, const EffectContext& context) {
  return trace_files(context.actions_folder, order);
}

StepResult await_step(const StepOrder& order, const EffectContext& context) {
  constexpr std::chrono::milliseconds pause{20};
  const DurationMs limit_ms = std::max(order.runtime_limit_ms, effect_limit_ms(order));
  const Clock::time_point deadline = Clock::now() + std::chrono::milliseconds(limit_ms) + grace;
  while (true) {
    const TracedStep traced = trace_step(order, context);
    switch (traced.trace) {
      case StepTrace::finished:
        return traced.result;
      case StepTrace::died:
        return result_of(order, "in_doubt", "it was begun and nobody saw it end");
      case StepTrace::none:
        return result_of(order, "expired", "its owner ended before it began");
      case StepTrace::running:
        break;
    }
    if (Clock::now() > deadline) {
      return result_of(order, "in_doubt", "it is still running after its time limit");
    }
    std::this_thread::sleep_for(pause);
  }
}

Result<std::vector<std::int64_t>> raise_fence(const EffectContext& context, std::int64_t shard,
                                              std::int64_t epoch) {
  if (shard < 0) return Error{ErrorCode::invalid, "a shard's number is not negative"};
  Result<Fence> fence = Fence::lock(context.actions_folder, shard);
  if (!fence) return fence.error();
  std::vector<std::int64_t> owned_before = fence->owned();
  const Result<void> raised = fence->own(epoch);
  if (!raised) return raised.error();
  return owned_before;
}

}  // namespace selfheal
