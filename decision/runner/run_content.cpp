// What a playbook's steps may take and undo, and what an approval of a run covers.
#include <algorithm>

#include "base/hash.hpp"
#include "decision/runner/runner.hpp"

namespace selfheal {

DurationMs runtime_limit_of(const Step& step) {
  if (!step.run.empty()) return step.run[0].timeout.ms;
  if (!step.http.empty()) return step.http[0].timeout.ms;
  if (!step.publish.empty()) return publish_limit_ms;
  return 0;
}

const Step* rollback_of(const Playbook& playbook, std::int64_t index) {
  if (index < 0 || index >= static_cast<std::int64_t>(playbook.steps.size())) return nullptr;
  const Step& step = playbook.steps[static_cast<std::size_t>(index)];
  return step.rollback.empty() ? nullptr : step.rollback.data();
}

bool has_rollback(const Playbook& playbook) {
  return std::any_of(playbook.steps.begin(), playbook.steps.end(),
                     [](const Step& step) { return !step.rollback.empty(); });
}

Variables variables_of(const RunIntent& intent) {
  // Trouble of a service as a whole names no resource: the service is it.
  const bool whole = intent.resource_id.empty();
  return {intent.service, whole ? "service" : intent.resource_kind,
          whole ? intent.service : intent.resource_id, intent.incident_id, intent.labels};
}

std::string approval_hash(const std::string& playbook_hash, const std::string& service,
                          const std::string& resource_kind, const std::string& resource_id,
                          const std::map<std::string, std::string>& labels) {
  Json json = Json::object();
  json["playbook_hash"] = playbook_hash;
  json["service"] = service;
  json["resource_kind"] = resource_kind;
  json["resource_id"] = resource_id;
  json["labels"] = to_json_value(labels);
  return to_hex(sha256(dump(json)));
}

}  // namespace selfheal
