#pragma once
// Decisions about trouble: what was seen, predicted, chosen and learnt. See events.hpp.
#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "base/fields.hpp"
#include "base/time.hpp"

namespace selfheal {

// One rival in a choice.
struct Candidate {
  static constexpr const char* kName = "candidate";
  std::string playbook;
  double draw = 0;        // lower edge of the bin that the draw fell into, 0 to 63/64
  double propensity = 0;  // exact probability of being chosen
  double alpha = 0;       // of the posterior after shrinkage, with context
  double beta = 0;
  double mean = 0;
  bool eligible = false;  // may run unattended
  std::string excluded;   // why it was not drawn at all; empty where it was
  static constexpr auto fields() {
    return std::tuple{field("playbook", &Candidate::playbook),
                      field("draw", &Candidate::draw),
                      field("propensity", &Candidate::propensity),
                      field("alpha", &Candidate::alpha),
                      field("beta", &Candidate::beta),
                      field("mean", &Candidate::mean),
                      field("eligible", &Candidate::eligible),
                      field("excluded", &Candidate::excluded)};
  }
  bool operator==(const Candidate&) const = default;
};

// Who depends on the subject, directly or not.
struct BlastRadiusReport {
  static constexpr const char* kName = "blast_radius";
  std::int64_t count = 0;  // capped at 10
  std::vector<std::string> services;
  bool known = false;  // false: the graph does not know the subject
  static constexpr auto fields() {
    return std::tuple{field("count", &BlastRadiusReport::count),
                      field("services", &BlastRadiusReport::services),
                      field("known", &BlastRadiusReport::known)};
  }
  bool operator==(const BlastRadiusReport&) const = default;
};

// Open trouble on a subject; closed by a verified recovery, by the trouble passing or by a person.
struct IncidentOpened {
  static constexpr const char* kName = "incident_opened";
  std::string incident_id;
  std::string code;  // the diagnosis or prediction that opened it
  std::string service;
  std::string resource_kind;
  std::string resource_id;
  std::string severity;    // low, medium, high or critical: the subject's risk tier
  double confidence = 0;   // 0 to 1; for a prediction its likelihood
  bool proactive = false;  // true while the trouble is only predicted
  std::map<std::string, std::string>
      labels;                       // of the alert or signal that opened it, for playbook variables
  std::string evidence;             // a short text for a person
  std::int64_t signal_time_ms = 0;  // when the trouble was first observed
  std::int64_t lead_deadline_ms = 0;  // a proactive action is of no use after it; 0: unknown
  std::vector<std::string> suggested_playbooks;  // tried where no trigger fits
  static constexpr auto fields() {
    return std::tuple{field("incident_id", &IncidentOpened::incident_id),
                      field("code", &IncidentOpened::code),
                      field("service", &IncidentOpened::service),
                      field("resource_kind", &IncidentOpened::resource_kind),
                      field("resource_id", &IncidentOpened::resource_id),
                      field("severity", &IncidentOpened::severity),
                      field("confidence", &IncidentOpened::confidence),
                      field("proactive", &IncidentOpened::proactive),
                      field("labels", &IncidentOpened::labels),
                      field("evidence", &IncidentOpened::evidence),
                      field("signal_time_ms", &IncidentOpened::signal_time_ms),
                      field("lead_deadline_ms", &IncidentOpened::lead_deadline_ms),
                      field("suggested_playbooks", &IncidentOpened::suggested_playbooks)};
  }
  bool operator==(const IncidentOpened&) const = default;
};

// A diagnosis about the near future.
struct Prediction {
  static constexpr const char* kName = "prediction";
  std::string code;
  std::string service;
  std::string metric;
  std::string source;            // builtin, or the sentinel that sent it
  double likelihood = 0;         // 0 to 1
  std::string impact;            // low, medium, high or critical
  double lead_time_seconds = 0;  // 0 where unknown
  std::vector<std::string> suggested_playbooks;
  double level = 0;      // what the metric is now
  double expected = 0;   // its seasonal level
  bool stale = false;    // true: teaches, never acts
  bool shadow = false;   // true: recorded and scored only
  std::string evidence;  // a short text for a person
  std::int64_t signal_time_ms = 0;
  static constexpr auto fields() {
    return std::tuple{field("code", &Prediction::code),
                      field("service", &Prediction::service),
                      field("metric", &Prediction::metric),
                      field("source", &Prediction::source),
                      field("likelihood", &Prediction::likelihood),
                      field("impact", &Prediction::impact),
                      field("lead_time_seconds", &Prediction::lead_time_seconds),
                      field("suggested_playbooks", &Prediction::suggested_playbooks),
                      field("level", &Prediction::level),
                      field("expected", &Prediction::expected),
                      field("stale", &Prediction::stale),
                      field("shadow", &Prediction::shadow),
                      field("evidence", &Prediction::evidence),
                      field("signal_time_ms", &Prediction::signal_time_ms)};
  }
  bool operator==(const Prediction&) const = default;
};

// Trouble that is there now.
struct Diagnosis {
  static constexpr const char* kName = "diagnosis";
  std::string code;
  std::string service;
  std::string resource_kind;
  std::string resource_id;
  double confidence = 0;         // 0 to 1
  double likelihood = 0;         // the same, under the name that a prediction has for it
  double lead_time_seconds = 0;  // always 0: the trouble is there
  std::string impact;
  std::string origin;  // rule, failure, alert or degradation
  std::vector<std::string> suggested_playbooks;
  std::map<std::string, std::string> labels;
  bool stale = false;
  std::string evidence;   // a short text for a person
  std::string signal_id;  // of the signal behind it; one id counts once
  std::int64_t signal_time_ms = 0;
  static constexpr auto fields() {
    return std::tuple{field("code", &Diagnosis::code),
                      field("service", &Diagnosis::service),
                      field("resource_kind", &Diagnosis::resource_kind),
                      field("resource_id", &Diagnosis::resource_id),
                      field("confidence", &Diagnosis::confidence),
                      field("likelihood", &Diagnosis::likelihood),
                      field("lead_time_seconds", &Diagnosis::lead_time_seconds),
                      field("impact", &Diagnosis::impact),
                      field("origin", &Diagnosis::origin),
                      field("suggested_playbooks", &Diagnosis::suggested_playbooks),
                      field("labels", &Diagnosis::labels),
                      field("stale", &Diagnosis::stale),
                      field("evidence", &Diagnosis::evidence),
                      field("signal_id", &Diagnosis::signal_id),
                      field("signal_time_ms", &Diagnosis::signal_time_ms)};
  }
  bool operator==(const Diagnosis&) const = default;
};

// The trouble that a diagnosis named has passed.
struct DiagnosisCleared {
  static constexpr const char* kName = "diagnosis_cleared";
  std::string code;
  std::string service;
  std::string resource_id;
  std::string origin;
  std::string reason;
  static constexpr auto fields() {
    return std::tuple{
        field("code", &DiagnosisCleared::code), field("service", &DiagnosisCleared::service),
        field("resource_id", &DiagnosisCleared::resource_id),
        field("origin", &DiagnosisCleared::origin), field("reason", &DiagnosisCleared::reason)};
  }
  bool operator==(const DiagnosisCleared&) const = default;
};

// Many services of a shard fell silent at once, so that the way of their signals is suspected and
// nothing is done without a person; or it is trusted again.
struct InputPathChanged {
  static constexpr const char* kName = "input_path_changed";
  bool suspected = false;
  std::int64_t silent = 0;    // services that fell silent within the window
  std::int64_t services = 0;  // those and the ones that still speak
  std::string reason;
  static constexpr auto fields() {
    return std::tuple{field("suspected", &InputPathChanged::suspected),
                      field("silent", &InputPathChanged::silent),
                      field("services", &InputPathChanged::services),
                      field("reason", &InputPathChanged::reason)};
  }
  bool operator==(const InputPathChanged&) const = default;
};

// How a prediction ended.
struct Scored {
  static constexpr const char* kName = "scored";
  std::string code;
  std::string service;
  std::string source;
  std::string score;      // TP, FP or FN
  double likelihood = 0;  // what had been said
  double rule_alpha = 0;  // the rule's own Beta posterior afterwards
  double rule_beta = 0;
  static constexpr auto fields() {
    return std::tuple{field("code", &Scored::code),
                      field("service", &Scored::service),
                      field("source", &Scored::source),
                      field("score", &Scored::score),
                      field("likelihood", &Scored::likelihood),
                      field("rule_alpha", &Scored::rule_alpha),
                      field("rule_beta", &Scored::rule_beta)};
  }
  bool operator==(const Scored&) const = default;
};

// The playbook chosen for an incident, with every rival and the draw that decided.
struct Proposal {
  static constexpr const char* kName = "proposal";
  std::string proposal_id;
  std::string incident_id;
  std::string playbook;
  std::string playbook_hash;  // of the playbook as it stood, in hex
  std::string code;
  std::string service;
  std::string resource_kind;
  std::string resource_id;
  std::string risk;    // the playbook's: low, moderate, high, critical
  std::string impact;  // the proposal's: low, medium, high, critical
  std::vector<Candidate> candidates;
  bool explored = false;
  bool unattended = false;           // the winner's mean reaches the gate
  std::int64_t decision_number = 0;  // names the draws
  BlastRadiusReport blast_radius;
  double confidence = 0;
  double mean = 0;  // the winner's posterior mean with context
  double context_free_mean = 0;
  std::int64_t time_of_day = 0;  // 0 to 3
  std::int64_t load = 0;         // 0 to 2
  bool proactive = false;
  std::int64_t lead_deadline_ms =
      0;  // a proactive proposal is dropped after it; 0 where there is none
  std::int64_t signal_time_ms = 0;
  bool stale = false;
  std::map<std::string, std::string> labels;
  std::int64_t attempt = 0;  // from 1 within the incident
  static constexpr auto fields() {
    return std::tuple{field("proposal_id", &Proposal::proposal_id),
                      field("incident_id", &Proposal::incident_id),
                      field("playbook", &Proposal::playbook),
                      field("playbook_hash", &Proposal::playbook_hash),
                      field("code", &Proposal::code),
                      field("service", &Proposal::service),
                      field("resource_kind", &Proposal::resource_kind),
                      field("resource_id", &Proposal::resource_id),
                      field("risk", &Proposal::risk),
                      field("impact", &Proposal::impact),
                      field("candidates", &Proposal::candidates),
                      field("explored", &Proposal::explored),
                      field("unattended", &Proposal::unattended),
                      field("decision_number", &Proposal::decision_number),
                      field("blast_radius", &Proposal::blast_radius),
                      field("confidence", &Proposal::confidence),
                      field("mean", &Proposal::mean),
                      field("context_free_mean", &Proposal::context_free_mean),
                      field("time_of_day", &Proposal::time_of_day),
                      field("load", &Proposal::load),
                      field("proactive", &Proposal::proactive),
                      field("lead_deadline_ms", &Proposal::lead_deadline_ms),
                      field("signal_time_ms", &Proposal::signal_time_ms),
                      field("stale", &Proposal::stale),
                      field("labels", &Proposal::labels),
                      field("attempt", &Proposal::attempt)};
  }
  bool operator==(const Proposal&) const = default;
};

// An outcome moved the posteriors.
struct Learned {
  static constexpr const char* kName = "learned";
  std::string proposal_id;
  std::string service;
  std::string code;
  std::string playbook;
  double alpha = 0;  // narrow level after shrinkage, context-free
  double beta = 0;
  double mean = 0;  // with context
  bool success = false;
  double prior_mean = 0;
  double prior_weight = 0;
  double context_free_mean = 0;  // as recorded at the choice
  std::int64_t time_of_day = 0;
  std::int64_t load = 0;
  bool proactive = false;
  double seconds_to_recover = 0;
  std::int64_t learned_ms = 0;
  static constexpr auto fields() {
    return std::tuple{field("proposal_id", &Learned::proposal_id),
                      field("service", &Learned::service),
                      field("code", &Learned::code),
                      field("playbook", &Learned::playbook),
                      field("alpha", &Learned::alpha),
                      field("beta", &Learned::beta),
                      field("mean", &Learned::mean),
                      field("success", &Learned::success),
                      field("prior_mean", &Learned::prior_mean),
                      field("prior_weight", &Learned::prior_weight),
                      field("context_free_mean", &Learned::context_free_mean),
                      field("time_of_day", &Learned::time_of_day),
                      field("load", &Learned::load),
                      field("proactive", &Learned::proactive),
                      field("seconds_to_recover", &Learned::seconds_to_recover),
                      field("learned_ms", &Learned::learned_ms)};
  }
  bool operator==(const Learned&) const = default;
};

// A person has to look.
struct Escalated {
  static constexpr const char* kName = "escalated";
  std::string incident_id;
  std::string service;
  std::string severity;
  std::string reason;
  std::string evidence;  // a short text for a person
  static constexpr auto fields() {
    return std::tuple{field("incident_id", &Escalated::incident_id),
                      field("service", &Escalated::service),
                      field("severity", &Escalated::severity), field("reason", &Escalated::reason),
                      field("evidence", &Escalated::evidence)};
  }
  bool operator==(const Escalated&) const = default;
};

// More evidence joined an open incident.
struct IncidentNoted {
  static constexpr const char* kName = "incident_noted";
  std::string incident_id;
  std::string code;
  std::string service;
  std::string note;
  bool now_present = false;  // a predicted incident has become real
  double confidence = 0;
  static constexpr auto fields() {
    return std::tuple{field("incident_id", &IncidentNoted::incident_id),
                      field("code", &IncidentNoted::code),
                      field("service", &IncidentNoted::service),
                      field("note", &IncidentNoted::note),
                      field("now_present", &IncidentNoted::now_present),
                      field("confidence", &IncidentNoted::confidence)};
  }
  bool operator==(const IncidentNoted&) const = default;
};

// The incident ended.
struct IncidentClosed {
  static constexpr const char* kName = "incident_closed";
  std::string incident_id;
  std::string service;
  std::string reason;  // recovered, cleared, by_person, escalated_and_cleared
  std::string by;
  double open_seconds = 0;
  static constexpr auto fields() {
    return std::tuple{field("incident_id", &IncidentClosed::incident_id),
                      field("service", &IncidentClosed::service),
                      field("reason", &IncidentClosed::reason), field("by", &IncidentClosed::by),
                      field("open_seconds", &IncidentClosed::open_seconds)};
  }
  bool operator==(const IncidentClosed&) const = default;
};

// A limit tuned itself.
struct ThresholdChanged {
  static constexpr const char* kName = "threshold_changed";
  std::string code;
  double before = 0;
  double after = 0;
  std::string reason;
  static constexpr auto fields() {
    return std::tuple{
        field("code", &ThresholdChanged::code), field("before", &ThresholdChanged::before),
        field("after", &ThresholdChanged::after), field("reason", &ThresholdChanged::reason)};
  }
  bool operator==(const ThresholdChanged&) const = default;
};

}  // namespace selfheal
