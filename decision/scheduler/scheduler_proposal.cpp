// What a chosen playbook is proposed with: everything that the approver and a person judge by.
#include "decision/scheduler/scheduler.hpp"

namespace selfheal {

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
