#pragma once
// A stage of a shard: decides on a token and evolves by events.
//
// Every stage evolves by every event of every batch, in batch order, and by nothing else: what it
// decided itself, what earlier stages put into the token before it, and, with the next token, what
// later stages added after it. So a stage's lasting state is a fold over the journal, and a stage
// restored from events equals one that decided them.
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "decision/table.hpp"
#include "decision/token.hpp"

namespace selfheal {

// Where an event stands: evolve() may need its id and the time of its cut.
struct EventPlace {
  std::int64_t shard = 0;
  std::int64_t seq = 0;
  std::int64_t k = 0;
  TimeMs tick_ms = 0;
  std::string id() const {
    return std::to_string(shard) + "/" + std::to_string(seq) + "/" + std::to_string(k);
  }
};

class Stage {
 public:
  virtual ~Stage() = default;
  virtual std::string_view name() const = 0;

  // Takes a token: first what later stages of the previous cut and earlier stages of this cut have
  // said, then its own decisions. Throws CheckFailure where an invariant is broken.
  void receive(Token& token);

  // Takes the events that later stages added after this one, without deciding: before a save, and
  // at the end of a cut where the caller runs the stages itself.
  void settle(const std::vector<Event>& events, const ShardFacts& facts, TimeMs tick_ms);

  // Applies events that are known to be accepted without deciding again: restore, other builds.
  void replay_events(const std::vector<Event>& events, const ShardFacts& facts, TimeMs tick_ms);

  // The settings in force; called before the first token and when they change.
  virtual void configure(std::shared_ptr<const Settings> settings) {
    settings_ = settings;
    playbook_hashes_.clear();
  }

  // The earliest time at which this stage wants a cut even without input.
  virtual TimeMs next_due_ms() const = 0;

  // Hands the rows changed since the last call to `sink`. load() takes one back; false: not mine.
  virtual void save(PageSink& sink) = 0;
  virtual bool load(std::string_view page_key, std::string_view value) = 0;
  // All pages have been offered.
  virtual void finish_load() {}
  // Drops what was learnt from inputs and does not follow from events: another fold version begins.
  virtual void forget_soft() {}

 protected:
  virtual void evolve(const Event& event, const EventPlace& place) = 0;
  virtual void decide(Token& token) = 0;

  // Adds an event and evolves by it at once, so that what is decided next in this cut knows of it.
  // Returns the event's id.
  std::string emit(Token& token, Event event);

  const Settings& settings() const { return *settings_; }
  // playbook_hash() of a playbook of settings(), worked out once: it is asked for in every cut.
  const std::string& hash_of(const Playbook& playbook) const;

 private:
  mutable std::map<std::string, std::string> playbook_hashes_;  // by name
  std::shared_ptr<const Settings> settings_ = std::make_shared<const Settings>();
  std::size_t own_end_ = 0;  // how many events of the previous cut this stage has evolved by
};

enum class ShardKind : std::uint8_t {
  services,  // one of many: decides on the signals of its services
  fleet,     // the one that all others ask for locks
};

// The six in order, or the fleet's one.
std::vector<std::unique_ptr<Stage>> make_stages(ShardKind kind);

}  // namespace selfheal
