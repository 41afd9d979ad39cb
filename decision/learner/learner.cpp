#include "decision/learner/learner.hpp"

#include "decision/learner/posterior_pages.hpp"
#include "decision/playbook.hpp"

namespace selfheal {
namespace {
const std::string arm_prefix = "learner/posterior/";
}

Learner::Learner() : choices_("learner/choice/") {}

void Learner::save(PageSink& sink) {
  choices_.save(sink);
  for (const ArmKey& key : changed_arms_) save_arm(posteriors_, key, arm_prefix, sink);
  changed_arms_.clear();
}

bool Learner::load(std::string_view page_key, std::string_view value) {
  return choices_.load(page_key, value) || load_arm(posteriors_, arm_prefix, page_key, value);
}

void Learner::evolve(const Event& event, const EventPlace&) {
  if (const auto* proposal = std::get_if<Proposal>(&event.body)) {
    choices_.put(proposal->proposal_id, *proposal);
  } else if (const auto* verdict = std::get_if<Verdict>(&event.body)) {
    if (verdict->verdict == "denied") choices_.erase(verdict->proposal_id);
  } else if (const auto* finished = std::get_if<RunFinished>(&event.body)) {
    const bool taught = finished->result == "succeeded" || finished->result == "failed";
    if (!taught && !finished->awaits_answer) choices_.erase(finished->proposal_id);
  } else if (const auto* outcome = std::get_if<Outcome>(&event.body)) {
    // Kept until it is learnt in the same cut; in doubt teaches nothing until a person answers.
    if (outcome->result == "in_doubt" && !outcome->awaits_answer) {
      choices_.erase(outcome->proposal_id);
    }
  } else if (const auto* resolved = std::get_if<DoubtResolved>(&event.body)) {
    // What was never done says nothing about what it would have helped. Where an undo was in doubt,
    // what was to be undone had been done.
    if (resolved->answer == "not_happened") choices_.erase(resolved->proposal_id);
  } else if (const auto* learned = std::get_if<Learned>(&event.body)) {
    learn_from(posteriors_, *learned);
    changed_arms_.insert({learned->service, learned->code, learned->playbook});
    choices_.erase(learned->proposal_id);
  } else if (const auto* closed = std::get_if<IncidentClosed>(&event.body)) {
    std::vector<std::string> gone;
    for (const auto& [id, choice] : choices_.rows()) {
      if (choice.incident_id == closed->incident_id) gone.push_back(id);
    }
    for (const std::string& id : gone) choices_.erase(id);
  }
}

void Learner::decide(Token& token) {
  const std::size_t before = token.events.size();
  for (std::size_t k = 0; k < before; ++k) {
    const auto* found = std::get_if<Outcome>(&token.events[k].body);
    if (found == nullptr || found->result == "in_doubt") continue;
    const Outcome outcome = *found;
    learn_outcome(token, outcome, token.id_of(k));
  }
}

void Learner::learn_outcome(Token& token, const Outcome& outcome, const std::string& cause) {
  const Proposal* choice = choices_.find(outcome.proposal_id);
  if (choice == nullptr) return;
  const Proposal proposal = *choice;
  const Playbook* playbook = find_playbook(settings(), proposal.playbook);
  const PlaybookPrior prior =
      playbook != nullptr ? effective_prior(*playbook) : PlaybookPrior{proposal.mean, 8};
  Learned learned{.proposal_id = outcome.proposal_id,
                  .service = proposal.service,
                  .code = proposal.code,
                  .playbook = proposal.playbook,
                  .success = outcome.result == "recovered",
                  .prior_mean = prior.mean,
                  .prior_weight = prior.weight,
                  .context_free_mean = proposal.context_free_mean,
                  .time_of_day = proposal.time_of_day,
                  .load = proposal.load,
                  .proactive = proposal.proactive,
                  .seconds_to_recover = outcome.seconds_to_recover,
                  .learned_ms = token.cut.tick_ms};
  // What the belief will be is said with the event, so that the audit tells its story alone: the
  // three rows of the arm are moved in a copy of just those rows.
  Posteriors after;
  const ArmKey key{learned.service, learned.code, learned.playbook};
  const WideKey wide_key{learned.code, learned.playbook};
  if (const auto row = posteriors_.narrow_rows().find(key); row != posteriors_.narrow_rows().end())
    after.set(key, row->second);
  if (const auto row = posteriors_.wide_rows().find(wide_key); row != posteriors_.wide_rows().end())
    after.set(wide_key, row->second);
  if (const auto row = posteriors_.playbook_rows().find(learned.playbook);
      row != posteriors_.playbook_rows().end())
    after.set(learned.playbook, row->second);
  learn_from(after, learned);
  const Context context{static_cast<int>(learned.time_of_day), static_cast<int>(learned.load),
                        learned.proactive};
  const ArmBelief belief = after.read(learned.learned_ms, learned.service, learned.code,
                                      learned.playbook, {prior.mean, prior.weight}, context);
  learned.alpha = belief.alpha;
  learned.beta = belief.beta;
  learned.mean = belief.mean;
  emit(token, {proposal.service, proposal.incident_id, cause, learned});
}

}  // namespace selfheal
