#pragma once
// A stage with a bug that a few particular records hit: what a broken invariant in any real stage
// looks like from outside.
#include <set>
#include <string>
#include <utility>

#include "decision/stage.hpp"

namespace selfheal::simulation {

using PoisonRecords = std::set<std::pair<TopicPartition, Offset>>;

class PoisonStage : public Stage {
 public:
  PoisonStage(const PoisonRecords& poison, TopicPartition signals, TopicPartition control)
      : poison_(poison), signals_(std::move(signals)), control_(std::move(control)) {}

  std::string_view name() const override { return "poison"; }
  TimeMs next_due_ms() const override { return Token::no_due; }
  void save(PageSink&) override {}
  bool load(std::string_view, std::string_view) override { return false; }

 protected:
  void evolve(const Event&, const EventPlace&) override {}
  void decide(Token& token) override {
    const bool hit = lies_in(signals_, token.cut.signals_begin, token.cut.signals_end) ||
                     lies_in(control_, token.cut.control_begin, token.cut.control_end);
    CHECK(!hit, "a poisonous record");
  }

 private:
  bool lies_in(const TopicPartition& where, Offset begin, Offset end) const {
    const auto found = poison_.lower_bound({where, begin});
    return found != poison_.end() && found->first == where && found->second < end;
  }

  const PoisonRecords& poison_;
  const TopicPartition signals_;
  const TopicPartition control_;
};

}  // namespace selfheal::simulation
