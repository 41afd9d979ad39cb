// Who the rivals for an incident are, and what the chosen one is proposed with: everything that the
// approver and a person judge by.
#include <algorithm>

#include "decision/scheduler/scheduler.hpp"

namespace selfheal {

std::string Scheduler::why_excluded(const Playbook& playbook, const IncidentRow& incident,
                                    const std::string& code, TimeMs now_ms) const {
  if (contains(incident.failed_playbooks, playbook.name)) return "it failed in this incident";
  if (posteriors_.floored_until_ms(now_ms, incident.opened.service, code, playbook.name) > 0) {
    return "it failed too often in a row and rests";
  }
  for (const Condition& condition : playbook.preconditions) {
    if (condition.metric.empty()) continue;
    const ConditionView view =
        look_at(condition, incident.opened.service, observed_, now_ms, observed_age_ms_max);
    // An unknown value is left to the approver, who fails closed and says so.
    if (!view.holds && view.value != "unknown") {
      return "precondition " + describe(condition) + ": " + view.value;
    }
  }
  return {};
}

Context Scheduler::context_of(TimeMs now_ms, bool proactive) const {
  constexpr TimeMs quarter_day_ms = one_day_ms / time_of_day_count;
  Context context;
  context.time_of_day = static_cast<int>(now_ms % one_day_ms / quarter_day_ms);
  // The load of the fleet as this shard sees it: how many subjects are ill at once.
  context.load = incidents_.size() <= 1 ? 0 : (incidents_.size() <= 10 ? 1 : 2);
  context.proactive = proactive;
  return context;
}

bool Scheduler::fits(const Playbook& playbook, const IncidentRow& incident, const std::string& code,
                     Fit fit) {
  const bool named = fit == Fit::trigger
                         ? contains(playbook.triggers, code)
                         : code == incident.opened.code &&
                               contains(incident.opened.suggested_playbooks, playbook.name);
  return named && in_scope(playbook.scope, incident.opened.service, incident.opened.resource_kind);
}

bool Scheduler::has_more_to_try(const IncidentRow& incident) const {
  if (incident.attempts >= settings().limits.attempts_per_incident) return false;
  const auto& playbooks = settings().playbooks;
  return std::any_of(playbooks.begin(), playbooks.end(), [&](const Playbook& playbook) {
    if (contains(incident.failed_playbooks, playbook.name)) return false;
    return std::any_of(incident.codes.begin(), incident.codes.end(), [&](const std::string& code) {
      return fits(playbook, incident, code, Fit::trigger) ||
             fits(playbook, incident, code, Fit::suggestion);
    });
  });
}

std::vector<Arm> Scheduler::arms_for(const IncidentRow& incident, const std::string& code,
                                     TimeMs now_ms, Fit fit) const {
  std::vector<Arm> arms;
  const Context context = context_of(now_ms, incident.proactive);
  const std::int64_t radius = graph_.blast_radius(incident.opened.service).count;
  for (const Playbook& playbook : settings().playbooks) {
    if (!fits(playbook, incident, code, fit)) continue;
    const PlaybookPrior prior = effective_prior(playbook);
    Arm arm;
    arm.playbook = playbook.name;
    arm.belief = posteriors_.read(now_ms, incident.opened.service, code, playbook.name,
                                  {prior.mean, prior.weight}, context);
    arm.blast_radius = radius;
    arm.excluded = why_excluded(playbook, incident, code, now_ms);
    arms.push_back(std::move(arm));
  }
  return arms;
}

Proposal Scheduler::make_proposal(const Token& token, const IncidentRow& incident,
                                  const std::vector<Arm>& arms, const Choice& choice) const {
  const RankedArm& winner = choice.candidates[*choice.winner];
  const Playbook& playbook = *find_playbook(settings(), winner.playbook);
  const BlastRadius radius = graph_.blast_radius(incident.opened.service);
  const Context context = context_of(token.cut.tick_ms, incident.proactive);
  Proposal proposal{.proposal_id = token.name_of("prop", token.events.size()),
                    .incident_id = incident.opened.incident_id,
                    .playbook = winner.playbook,
                    .playbook_hash = hash_of(playbook),
                    .code = incident.opened.code,
                    .service = incident.opened.service,
                    .resource_kind = incident.opened.resource_kind,
                    .resource_id = incident.opened.resource_id,
                    .risk = playbook.risk,
                    .impact = impact_of(playbook.risk, tier_of(incident.opened.service)),
                    .explored = choice.explored,
                    .unattended = choice.unattended,
                    .blast_radius = {radius.count, radius.services, radius.known},
                    .confidence = incident.confidence,
                    .mean = winner.mean,
                    .context_free_mean = arms[*choice.winner].belief.context_free_mean,
                    .time_of_day = context.time_of_day,
                    .load = context.load,
                    .proactive = incident.proactive,
                    .lead_deadline_ms = incident.lead_deadline_ms,
                    .signal_time_ms = incident.opened.signal_time_ms,
                    .labels = incident.opened.labels,
                    .attempt = incident.attempts + 1};
  for (const RankedArm& arm : choice.candidates) {
    proposal.candidates.push_back({arm.playbook, arm.draw, arm.propensity, arm.alpha, arm.beta,
                                   arm.mean, arm.eligible, arm.excluded});
  }
  return proposal;
}

}  // namespace selfheal
