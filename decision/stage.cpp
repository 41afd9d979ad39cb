#include "decision/stage.hpp"

namespace selfheal {

void Stage::settle(const std::vector<Event>& events, const ShardFacts& facts, TimeMs tick_ms) {
  const StageScope scope;
  CHECK(own_end_ <= events.size(), "a stage saw events that the previous cut does not have");
  for (std::size_t k = own_end_; k < events.size(); ++k) {
    evolve(events[k], {facts.shard, facts.seq, static_cast<std::int64_t>(k), tick_ms});
  }
  own_end_ = events.size();
}

void Stage::receive(Token& token) {
  const StageScope scope;
  if (token.previous_events != nullptr) {
    settle(*token.previous_events, token.previous_facts, token.previous_tick_ms);
  }
  if (token.settings_changed) configure(token.settings);
  for (std::size_t k = 0; k < token.events.size(); ++k) {
    evolve(token.events[k],
           {token.facts.shard, token.facts.seq, static_cast<std::int64_t>(k), token.cut.tick_ms});
  }
  if (next_due_ms() <= token.cut.tick_ms) token.timer_was_due = true;
  decide(token);
  own_end_ = token.events.size();
  token.due_at(next_due_ms());
}

void Stage::replay_events(const std::vector<Event>& events, const ShardFacts& facts,
                          TimeMs tick_ms) {
  const StageScope scope;
  for (std::size_t k = 0; k < events.size(); ++k) {
    evolve(events[k], {facts.shard, facts.seq, static_cast<std::int64_t>(k), tick_ms});
  }
  own_end_ = 0;
}

const std::string& Stage::hash_of(const Playbook& playbook) const {
  std::string& hash = playbook_hashes_[playbook.name];
  if (hash.empty()) hash = playbook_hash(playbook);
  return hash;
}

std::string Stage::emit(Token& token, Event event) {
  token.events.push_back(std::move(event));
  const std::size_t k = token.events.size() - 1;
  evolve(token.events[k],
         {token.facts.shard, token.facts.seq, static_cast<std::int64_t>(k), token.cut.tick_ms});
  return token.id_of(k);
}

}  // namespace selfheal
