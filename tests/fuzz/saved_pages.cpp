#include "tests/fuzz/saved_pages.hpp"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/check.hpp"
#include "tests/decision/shard/vertical.hpp"

namespace selfheal {
namespace {

using Pages = std::vector<std::pair<std::string, std::string>>;

struct SavedState {
  ShardKind kind = ShardKind::services;
  Pages pages;
};

SavedState state_of(Vertical& shard, ShardKind kind) {
  SavedState state{.kind = kind, .pages = {}};
  for (auto& [key, value] : shard.all_pages(kind)) state.pages.emplace_back(key, value);
  return state;
}

// More series than one page holds, of every use that the predictor makes of a metric.
void watch(Vertical& shard, int rounds) {
  for (int round = 0; round < rounds; ++round) {
    shard.now_ms += 10'000;
    for (const char* service : {"catalog", "shop", "stranger"}) {
      for (int number = 0; number < 8; ++number) {
        shard.metric("metric_" + std::to_string(number), round % 7 + number, service);
      }
      shard.metric("latency_p99_seconds", 0.1 + 0.01 * (round % 5), service);
      shard.metric("error_rate", 0.01 * (round % 3), service);
    }
  }
}

// A shard that watches; one whose run is under way; one that is in doubt and waits for a person;
// one that has learnt from a run; and the fleet's with a lock that is held.
std::vector<SavedState> make_states() {
  std::vector<SavedState> states;
  Settings careful = settings();
  careful.playbooks[0].effect = "neither";
  {
    Vertical shard(settings());
    watch(shard, 40);
    states.push_back(state_of(shard, ShardKind::services));
  }
  {
    Vertical shard(settings());
    watch(shard, 2);
    shard.predict(0.9);
    states.push_back(state_of(shard, ShardKind::services));
    states.push_back(state_of(shard, ShardKind::fleet));
  }
  {
    Vertical shard(careful);
    shard.predict(0.9);
    shard.step_ends("lost");
    shard.pass(120'000);
    states.push_back(state_of(shard, ShardKind::services));
  }
  {
    Vertical shard(settings());
    shard.predict(0.9);
    shard.step_ends("ok");
    shard.pass(11'000);
    shard.step_ends("ok");
    shard.pass(1'000);
    states.push_back(state_of(shard, ShardKind::services));
  }
  return states;
}

enum class Change : std::uint8_t { value, bytes_of_value, length, key, count };

class Changes {
 public:
  explicit Changes(std::string_view text) : text_(text) {}

  bool more() const { return !text_.empty(); }
  std::uint8_t byte() {
    if (text_.empty()) return 0;
    const auto first = static_cast<std::uint8_t>(text_.front());
    text_.remove_prefix(1);
    return first;
  }
  std::size_t number() {
    const std::size_t high = byte();
    return high << 8 | byte();
  }
  std::string_view bytes(std::size_t count) {
    const std::string_view taken = text_.substr(0, count);
    text_.remove_prefix(taken.size());
    return taken;
  }

 private:
  std::string_view text_;
};

void overwrite(std::string& text, Changes& changes) {
  const std::size_t at = changes.number() % (text.size() + 1);
  const std::string_view bytes = changes.bytes(changes.byte());
  text.replace(at, std::min(bytes.size(), text.size() - at), bytes);
}

void change(Pages& pages, Changes& changes) {
  auto& [key, value] = pages[changes.number() % pages.size()];
  switch (static_cast<Change>(changes.byte() % static_cast<std::uint8_t>(Change::count))) {
    case Change::value:
      value = changes.bytes(changes.number());
      break;
    case Change::bytes_of_value:
      overwrite(value, changes);
      break;
    case Change::length:
      value.resize(changes.number());
      break;
    case Change::key:
      overwrite(key, changes);
      break;
    case Change::count:
      break;
  }
}

// A cut long after everything was saved, with a value of a known series and one of a new one.
Token next_token(const std::shared_ptr<const Settings>& settings) {
  Chain chain;
  chain.partitions = 1;
  chain.epoch = 2;
  chain.seq = 100'000;
  Token token;
  token.facts = facts_after(chain);
  token.settings = settings;
  token.cut.tick_ms = begin_ms + one_day_ms;
  token.cut.caught_up_through_ms = token.cut.tick_ms;
  const auto batch = std::make_shared<SignalBatch>();
  for (const char* metric : {"latency_p99_seconds", "error_rate", "metric_0", "new"}) {
    batch->signals.push_back({.time_ms = token.cut.tick_ms,
                              .received_ms = token.cut.tick_ms,
                              .service = "catalog",
                              .metric = metric,
                              .value = 1.0});
  }
  token.signals = batch;
  return token;
}

}  // namespace

void load_changed_pages(std::string_view text) {
  static const std::vector<SavedState> states = make_states();
  static const auto in_force = std::make_shared<const Settings>(settings());
  Changes changes(text);
  const SavedState& state = states[changes.byte() % states.size()];
  Pages pages = state.pages;
  constexpr int changes_max = 16;
  for (int i = 0; i < changes_max && changes.more(); ++i) change(pages, changes);
  ShardFold fold(make_stages(state.kind));
  fold.configure(in_force);
  const StageScope scope;
  try {
    fold.load(pages);
    Token token = next_token(in_force);
    fold.decide(token);
    PageMap saved;
    fold.save(saved);
  } catch (const CheckFailure&) {
    // Named, and the shard is parked: that is what is asked for.
  }
}

}  // namespace selfheal
