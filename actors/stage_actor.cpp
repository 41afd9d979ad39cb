#include "actors/stage_actor.hpp"

#include <chrono>

#include "actors/clocks.hpp"

namespace selfheal {
namespace {

using Self = stage_actor::stateful_pointer<StageState>;

class SaveSink : public PageSink {
 public:
  explicit SaveSink(ShardChanges& changes) : changes_(changes) {}
  void put(std::string key, std::string value) override {
    changes_.puts.insert_or_assign(std::move(key), std::move(value));
  }
  void erase(std::string key) override { changes_.erases.insert(std::move(key)); }

 private:
  ShardChanges& changes_;
};

void decide(Self self, const TokenPtr& token) {
  StageState& state = self->state;
  const auto begin = std::chrono::steady_clock::now();
  const std::int64_t began_us = thread_cpu_us();
  try {
    const CrashScope scope(token->facts.shard, token->cut, state.stage_name.c_str());
    if (token->cut.records() > 0) state.environment->failpoint("in_stage");
    state.stage->receive(*token);
  } catch (const std::exception& failure) {
    // The shard ends here; the committer records which cut did it, so that the next incarnation
    // takes less at once.
    auto failed = std::make_shared<FailedCut>();
    failed->cut = token->cut;
    failed->stage = std::string(state.stage->name());
    failed->reason = failure.what();
    self->send(state.committer, FailedCutPtr(std::move(failed)));
    return;
  }
  token->work_us += thread_cpu_us() - began_us;
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  state.environment->metrics->observe_stage(state.stage_name, took.count());
  if (state.next) {
    self->send(state.next, token);
  } else {
    self->send(state.committer, token);
  }
}

}  // namespace

stage_actor::behavior_type stage(Self self, EnvironmentPtr environment,
                                 std::shared_ptr<Stage> owned, stage_actor next,
                                 committer_actor committer) {
  self->state.environment = std::move(environment);
  self->state.stage_name = owned->name();
  self->state.stage = std::move(owned);
  self->state.next = std::move(next);
  self->state.committer = std::move(committer);
  return {
      [self](const TokenPtr& token) { decide(self, token); },
      [self](const SavePtr& save) {
        StageState& state = self->state;
        SaveSink sink(save->changes);
        // Nothing is in flight: what later stages said of the last cut is taken in before saving.
        if (save->last_events) {
          state.stage->settle(*save->last_events, save->last_facts, save->last_tick_ms);
        }
        state.stage->save(sink);
        if (state.next) {
          self->send(state.next, save);
        } else {
          self->send(state.committer, save);
        }
      },
  };
}

}  // namespace selfheal
