#include "effects/start_once.hpp"

#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <thread>

#include "base/hash.hpp"
#include "effects/action_files.hpp"
#include "effects/order_codec.hpp"
#include "effects/output_capture.hpp"

namespace selfheal {
namespace {

using Clock = std::chrono::steady_clock;

// A result travels through the journal to every replica: long outputs stay out of it.
constexpr std::size_t excerpt_bytes_max = 2048;

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
std::optional<StepResult> begin(ActionFiles& files, const StepOrder& order,
                                const EffectContext& context) {
  // Held until this function returns, so that no raised fence comes between check and mark.
  Result<Fence> fence = Fence::lock(context.actions_folder, order.shard);
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

}  // namespace

void set_output(StepResult& result, const std::string& scrubbed) {
  result.output_hash = to_hex(sha256(scrubbed));
  result.output = excerpt(scrubbed, excerpt_bytes_max);
}

std::string idempotency_key(const StepOrder& order) {
  return order.action_id + (order.rollback ? "-rollback" : "");
}

StepResult start_once(const StepOrder& order, const EffectContext& context, const Effect& effect) {
  Result<ActionFiles> files = ActionFiles::open(context.actions_folder, order);
  if (!files) return result_of(order, "failed", files.error().context);
  if (std::optional<StepResult> other = wait_for_lock(*files, order)) return *other;
  if (files->started()) return result_of(order, "in_doubt", "it was begun and nobody saw it end");
  // Before the mark: a missing secret is a clear failure, not a doubt.
  const Result<Secrets> secrets = read_secrets(context.secrets_folder, order.secrets);
  std::optional<StepResult> refusal;
  if (!secrets) {
    refusal = result_of(order, "failed", secrets.error().context + "; nothing ran");
  } else {
    refusal = begin(*files, order, context);
  }
  if (refusal) {
    // An answer that was given stays the answer, whoever asks later and whatever has changed.
    // Where that cannot be written, nothing has begun either.
    [[maybe_unused]] const Result<void> written = files->write_result(*refusal);
    return *refusal;
  }
  reach("after_started", context);
  const Clock::time_point began = Clock::now();
  StepResult result = effect(*secrets, files->lock_descriptor());
  result.took_ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - began).count();
  reach("after_effect", context);
  // Where the disk fails now, the answer still goes to whoever waits; the files say in doubt.
  const Result<void> written = files->write_result(result);
  if (written) reach("after_result", context);
  return result;
}

}  // namespace selfheal
