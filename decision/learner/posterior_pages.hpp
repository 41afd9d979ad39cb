#pragma once
// Posterior rows as pages, and what a Learned event does to a copy of the posteriors. The scheduler
// and the learner each keep a copy by events alone, so none of them reads the other's memory.
#include <string>
#include <string_view>

#include "decision/learner/posteriors.hpp"
#include "decision/table.hpp"
#include "topics/incident_events.hpp"

namespace selfheal {

// Writes the three rows that one arm touches.
void save_arm(const Posteriors& posteriors, const ArmKey& key, const std::string& prefix,
              PageSink& sink);

// True where the page is one of `prefix`.
bool load_arm(Posteriors& posteriors, const std::string& prefix, std::string_view page_key,
              std::string_view value);

void learn_from(Posteriors& posteriors, const Learned& learned);

}  // namespace selfheal
