#pragma once
// The six stages of a shard as one pure machine, run one after the other: for restoring, replay and
// simulation. Live, the same stage objects sit in six actors, and a test holds both to equal
// events.
#include <memory>
#include <string>
#include <vector>

#include "decision/stage.hpp"
#include "topics/journal.hpp"

namespace selfheal {

class ShardFold {
 public:
  ShardFold() : ShardFold(make_stages(ShardKind::services)) {}
  explicit ShardFold(std::vector<std::unique_ptr<Stage>> stages);

  void configure(std::shared_ptr<const Settings> settings);
  const std::shared_ptr<const Settings>& settings() const { return settings_; }

  // Runs the stages over the token, then lets each take what later ones said. Throws CheckFailure.
  void decide(Token& token);
  // Applies recorded events without deciding.
  void apply(const std::vector<Event>& events, const ShardFacts& facts, TimeMs tick_ms);
  // Another fold version begins: see Stage::forget_soft.
  void forget_soft();
  // The earliest timer of any stage.
  TimeMs next_due_ms() const;

  void save(PageSink& sink);
  // Every page must belong to some stage; configure() comes first.
  void load(const std::vector<std::pair<std::string, std::string>>& pages);

  // Hands the stages over to actors; this object is empty afterwards.
  std::vector<std::unique_ptr<Stage>> release() { return std::move(stages_); }
  const std::vector<std::unique_ptr<Stage>>& stages() const { return stages_; }

 private:
  std::vector<std::unique_ptr<Stage>> stages_;
  std::shared_ptr<const Settings> settings_;
};

// The facts that a batch extending `chain` is decided under.
ShardFacts facts_after(const Chain& chain);

// The batch that records a decided token as the chain's next record.
JournalRecord batch_of(const Chain& chain, const Token& token);

// True where a decided token changed nothing and took nothing: it is dropped, not journaled. A cut
// in which a timer was due is never dropped: time alone may have moved what a stage remembers (how
// long a condition has held), and a replay only sees the ticks that are in the journal.
bool is_empty(const Token& token);

}  // namespace selfheal
