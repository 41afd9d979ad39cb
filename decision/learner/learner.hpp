#pragma once
// Turns outcomes into belief: each outcome moves the posteriors of the playbook that was chosen.
#include <set>
#include <string>

#include "decision/learner/posteriors.hpp"
#include "decision/stage.hpp"

namespace selfheal {

class Learner : public Stage {
 public:
  Learner();
  std::string_view name() const override { return "learner"; }
  TimeMs next_due_ms() const override { return Token::no_due; }
  void save(PageSink& sink) override;
  bool load(std::string_view page_key, std::string_view value) override;

  const Posteriors& posteriors() const { return posteriors_; }

 protected:
  void evolve(const Event& event, const EventPlace& place) override;
  void decide(Token& token) override;

 private:
  void learn_outcome(Token& token, const Outcome& outcome, const std::string& cause);

  Table<Proposal> choices_;  // whose outcome is awaited, by proposal id
  Posteriors posteriors_;
  std::set<ArmKey> changed_arms_;
};

}  // namespace selfheal
