#include "decision/shard/shard_fold.hpp"

#include <algorithm>

#include "decision/approver/approver.hpp"
#include "decision/fleet/fleet.hpp"
#include "decision/learner/learner.hpp"
#include "decision/predictor/predictor.hpp"
#include "decision/runner/runner.hpp"
#include "decision/scheduler/scheduler.hpp"
#include "decision/shard/fold_version.hpp"
#include "decision/verifier/verifier.hpp"

namespace selfheal {

std::vector<std::unique_ptr<Stage>> make_stages(ShardKind kind) {
  std::vector<std::unique_ptr<Stage>> stages;
  if (kind == ShardKind::fleet) {
    stages.push_back(std::make_unique<Fleet>());
    return stages;
  }
  stages.push_back(std::make_unique<Predictor>());
  stages.push_back(std::make_unique<Scheduler>());
  stages.push_back(std::make_unique<Approver>());
  stages.push_back(std::make_unique<Runner>());
  stages.push_back(std::make_unique<Verifier>());
  stages.push_back(std::make_unique<Learner>());
  return stages;
}

ShardFold::ShardFold(std::vector<std::unique_ptr<Stage>> stages) : stages_(std::move(stages)) {}

void ShardFold::configure(std::shared_ptr<const Settings> settings) {
  settings_ = std::move(settings);
  for (const auto& stage : stages_) stage->configure(settings_);
}

void ShardFold::decide(Token& token) {
  if (token.settings_changed) settings_ = token.settings;
  for (const auto& stage : stages_) stage->receive(token);
  token.next_due_ms = Token::no_due;
  for (const auto& stage : stages_) {
    stage->settle(token.events, token.facts, token.cut.tick_ms);
    token.due_at(stage->next_due_ms());
  }
}

void ShardFold::apply(const std::vector<Event>& events, const ShardFacts& facts, TimeMs tick_ms) {
  for (const auto& stage : stages_) stage->replay_events(events, facts, tick_ms);
}

void ShardFold::forget_soft() {
  for (const auto& stage : stages_) stage->forget_soft();
}

TimeMs ShardFold::next_due_ms() const {
  TimeMs due_ms = Token::no_due;
  for (const auto& stage : stages_) due_ms = std::min(due_ms, stage->next_due_ms());
  return due_ms;
}

void ShardFold::save(PageSink& sink) {
  for (const auto& stage : stages_) stage->save(sink);
}

void ShardFold::load(const std::vector<std::pair<std::string, std::string>>& pages) {
  const StageScope scope;
  for (const auto& [key, value] : pages) {
    // The names are captured one by one, because clang 14 captures no structured binding.
    const bool taken = std::any_of(
        stages_.begin(), stages_.end(),
        [&key = key, &value = value](const auto& stage) { return stage->load(key, value); });
    CHECK(taken, "a saved page belongs to no stage: " + key);
  }
  for (const auto& stage : stages_) stage->finish_load();
}

ShardFacts facts_after(const Chain& chain) {
  return {chain.shard, chain.partitions, chain.shard_seed, chain.epoch, chain.seq + 1};
}

JournalRecord batch_of(const Chain& chain, const Token& token) {
  CHECK(token.facts.seq == chain.seq + 1, "a token was decided for another place in the chain");
  JournalRecord record;
  record.kind = JournalKind::batch;
  record.shard = chain.shard;
  record.epoch = chain.epoch;
  record.seq = token.facts.seq;
  record.prev_hash = to_hex(chain.head);
  record.cut = token.cut;
  record.events = token.events;
  record.state_hash = state_hash_after(chain, token);
  return record;
}

bool is_empty(const Token& token) {
  return token.cut.records() == 0 && token.cut.inputs.empty() && token.events.empty() &&
         token.touched_digest == 0 && !token.settings_changed && !token.timer_was_due;
}

}  // namespace selfheal
