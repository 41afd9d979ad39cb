#include "storage/read_model.hpp"

#include <algorithm>

#include "topics/event_codec.hpp"

namespace selfheal {
namespace {

constexpr std::size_t recent_max = 1000;
const std::string rows_of_model = "read_model/";

std::string text_at(const Json& json, const char* name) {
  return json.value(name, std::string());
}

bool wanted(const Json& document, const std::string& state) {
  return state.empty() || text_at(document, "state") == state;
}

template <class Body>
void merge(Json& document, const Body& body) {
  const Json fields = to_json_value(body);
  for (const auto& [name, value] : fields.items()) document[name] = value;
}

std::vector<Json> listed(const std::map<std::string, Json>& documents, const std::string& state) {
  std::vector<Json> list;
  for (const auto& [id, document] : documents) {
    if (!wanted(document, state)) continue;
    Json entry = document;
    entry.erase("timeline");
    list.push_back(std::move(entry));
  }
  std::stable_sort(list.begin(), list.end(), [](const Json& left, const Json& right) {
    return left.value("opened_ms", std::int64_t{0}) > right.value("opened_ms", std::int64_t{0});
  });
  return list;
}

std::optional<Json> found(const std::map<std::string, Json>& documents, const std::string& id) {
  const auto at = documents.find(id);
  if (at == documents.end()) return std::nullopt;
  return at->second;
}

// What a person needs who has to find out whether a step had its effect.
void tell_doubt(Json& run, TimeMs since_ms) {
  run["awaits_answer"] = true;
  run["in_doubt_since_ms"] = since_ms;
  std::string target = text_at(run, "service");
  if (const std::string id = text_at(run, "resource_id"); !id.empty()) {
    target += ", " + text_at(run, "resource_kind") + " " + id;
  }
  run["look_at"] = "whether step '" + text_at(run, "step_name") + "' of playbook " +
                   text_at(run, "playbook") + " had its effect on " + target +
                   " (effect: " + text_at(run, "effect") +
                   "; its target knows it by the key or SELF_HEAL_ACTION_ID " + text_at(run, "id") +
                   "); then: selfheal resolve " + text_at(run, "id") +
                   " --outcome happened|not_happened --reason T";
}

// The state an incident is in after an event; empty where the event does not change it.
std::string incident_state(const EventBody& body) {
  if (std::holds_alternative<IncidentOpened>(body)) return "open";
  if (std::holds_alternative<Proposal>(body)) return "proposed";
  if (const auto* verdict = std::get_if<Verdict>(&body)) {
    if (verdict->verdict == "approved") return verdict->mode == "observe" ? "observed" : "approved";
    return verdict->verdict;
  }
  if (std::holds_alternative<RunIntent>(body)) return "running";
  if (const auto* finished = std::get_if<RunFinished>(&body)) {
    return finished->result == "succeeded" ? "verifying" : finished->result;
  }
  if (const auto* outcome = std::get_if<Outcome>(&body)) return outcome->result;
  if (const auto* resolved = std::get_if<DoubtResolved>(&body)) {
    return resolved->answer == "happened" ? "verifying" : "";
  }
  if (std::holds_alternative<Escalated>(body)) return "escalated";
  if (std::holds_alternative<IncidentClosed>(body)) return "closed";
  return {};
}

}  // namespace

Json& ReadModel::document(std::map<std::string, Json>& documents, const std::string& kind,
                          const std::string& id) {
  changed_.insert({kind, id});
  Json& document = documents[id];
  if (document.is_null()) document = Json{{"id", id}};
  return document;
}

void ReadModel::apply_event(const JournalRecord& record, std::int64_t k, const Event& event) {
  const TimeMs at_ms = record.cut.tick_ms;
  if (!event.incident_id.empty()) {
    Json& incident = document(incidents_, "incident", event.incident_id);
    const std::string state = incident_state(event.body);
    if (!state.empty()) incident["state"] = state;
    incident["updated_ms"] = at_ms;
    if (const auto* opened = std::get_if<IncidentOpened>(&event.body)) {
      merge(incident, *opened);
      incident["opened_ms"] = at_ms;
      incident["time"] = format_rfc3339(at_ms);
    }
    if (const auto* outcome = std::get_if<Outcome>(&event.body)) {
      incident["outcome"] = outcome->result;
      incident["playbook"] = outcome->playbook;
      incident["approved_by"] = outcome->approved_by;
      incident["seconds_to_recover"] = outcome->seconds_to_recover;
    }
    if (const auto* closed = std::get_if<IncidentClosed>(&event.body)) {
      incident["reason"] = closed->reason;
      incident["closed_ms"] = at_ms;
      ended_.push_back(event.incident_id);
    }
    Json& timeline = incident["timeline"];
    if (!timeline.is_array()) timeline = Json::array();
    if (timeline.size() < timeline_entries_max) {
      Json entry = event_to_json(event);
      entry["id"] = decision_id(record.shard, record.seq, k);
      entry["time"] = format_rfc3339(at_ms);
      // As text: a tree takes some ten times the memory, and few stories are ever asked for.
      timeline.push_back(dump(entry));
    }
  }
  if (const auto* proposal = std::get_if<Proposal>(&event.body)) {
    Json& row = proposal_in(proposal->proposal_id, "proposed", at_ms);
    merge(row, *proposal);
    row["opened_ms"] = at_ms;
  } else if (const auto* verdict = std::get_if<Verdict>(&event.body)) {
    const char* state = verdict->verdict == "approved"
                            ? "approved"
                            : (verdict->verdict == "denied" ? "denied" : "held");
    merge(proposal_in(verdict->proposal_id, state, at_ms), *verdict);
  } else if (const auto* learned = std::get_if<Learned>(&event.body)) {
    const std::string id = learned->service + "/" + learned->code + "/" + learned->playbook;
    merge(document(learned_, "learned", id), *learned);
  } else if (const auto* changed = std::get_if<BreakerChanged>(&event.body)) {
    apply_breaker(record, *changed);
  } else {
    apply_run_event(at_ms, event);
    apply_lock(record, event);
  }
}

void ReadModel::apply_run_event(TimeMs at_ms, const Event& event) {
  if (const auto* intent = std::get_if<RunIntent>(&event.body)) {
    Json& run = document(runs_, "run", intent->action_id);
    merge(run, *intent);
    run["state"] = "running";
    run["opened_ms"] = at_ms;
    proposal_in(intent->proposal_id, "running", at_ms);
  } else if (const auto* started = std::get_if<RunStarted>(&event.body)) {
    Json& run = document(runs_, "run", started->action_id);
    run["step"] = started->step;
    run["step_name"] = started->step_name;
    run["attempt"] = started->attempt;
  } else if (const auto* step = std::get_if<StepFinished>(&event.body)) {
    Json& run = document(runs_, "run", step->action_id);
    run["steps"].push_back(to_json_value(*step));
  } else if (const auto* finished = std::get_if<RunFinished>(&event.body)) {
    Json& run = document(runs_, "run", finished->action_id);
    run["state"] = finished->result;
    run["reason"] = finished->reason;
    proposal_in(finished->proposal_id, finished->result, at_ms);
    if (finished->awaits_answer) tell_doubt(run, at_ms);
  } else if (const auto* outcome = std::get_if<Outcome>(&event.body)) {
    Json& run = document(runs_, "run", outcome->action_id);
    run["outcome"] = outcome->result;
    run["reason"] = outcome->reason;
    run["awaits_answer"] = outcome->awaits_answer;
    if (outcome->result == "rolled_back" || outcome->result == "in_doubt") {
      run["state"] = outcome->result;
    }
    run["seconds_to_recover"] = outcome->seconds_to_recover;
  } else if (const auto* resolved = std::get_if<DoubtResolved>(&event.body)) {
    Json& run = document(runs_, "run", resolved->action_id);
    const bool happened = resolved->answer == "happened";
    run["state"] = happened ? "succeeded" : "not_happened";
    run["awaits_answer"] = false;
    run["answer"] = resolved->answer;
    run["answered_by"] = resolved->by;
    run["answered_ms"] = at_ms;
    run["answer_reason"] = resolved->reason;
    run.erase("look_at");
    proposal_in(resolved->proposal_id, happened ? "succeeded" : "not_happened", at_ms);
  }
}

void ReadModel::apply_lock(const JournalRecord& record, const Event& event) {
  const auto row_of = [&](const std::string& action_id, const char* state) -> Json& {
    Json& lock = document(locks_, "lock", action_id);
    if (lock.value("state", "") != state) lock["since_ms"] = record.cut.tick_ms;
    lock["state"] = state;
    return lock;
  };
  if (const auto* granted = std::get_if<LockGranted>(&event.body)) {
    Json& lock = row_of(granted->action_id, "held");
    merge(lock, *granted);
    lock["reason"] = "";
    lock["shard"] = granted->asker.shard;
    lock.erase("asker");
  } else if (const auto* queued = std::get_if<LockQueued>(&event.body)) {
    Json& lock = row_of(queued->request.action_id, "waiting");
    merge(lock, queued->request);
    lock["reason"] = queued->reason;
    lock["shard"] = queued->asker.shard;
    lock["until_ms"] = queued->request.give_up_ms;
    lock.erase("hold_ms");
    lock.erase("give_up_ms");
  } else if (const auto* freed = std::get_if<LockFreed>(&event.body)) {
    if (locks_.erase(freed->action_id) > 0) {
      erased_.push_back(rows_of_model + "lock/" + freed->action_id);
    }
  }
}

Json& ReadModel::proposal_in(const std::string& id, const std::string& state, TimeMs at_ms) {
  Json& proposal = document(proposals_, "proposal", id);
  proposal["state"] = state;
  proposal["updated_ms"] = at_ms;
  return proposal;
}

void ReadModel::apply_breaker(const JournalRecord& record, const BreakerChanged& changed) {
  const std::string id =
      std::to_string(record.shard) + "/" + changed.playbook + "/" + changed.resource_kind;
  Json& breaker = document(breakers_, "breaker", id);
  merge(breaker, changed);
  breaker["shard"] = record.shard;
  breaker["updated_ms"] = record.cut.tick_ms;
  if (breakers_.size() <= breakers_kept_max) return;
  // The one that has been at rest for longest goes: kinds come from what others send.
  auto oldest = breakers_.end();
  for (auto at = breakers_.begin(); at != breakers_.end(); ++at) {
    if (text_at(at->second, "state") != "closed") continue;
    const bool older =
        oldest == breakers_.end() || at->second["updated_ms"] < oldest->second["updated_ms"];
    if (older) oldest = at;
  }
  if (oldest == breakers_.end()) return;
  erased_.push_back(rows_of_model + "breaker/" + oldest->first);
  breakers_.erase(oldest);
}

std::map<std::string, Json>& ReadModel::documents_of(const std::string& kind) {
  if (kind == "incident") return incidents_;
  if (kind == "proposal") return proposals_;
  if (kind == "run") return runs_;
  if (kind == "lock") return locks_;
  return kind == "breaker" ? breakers_ : learned_;
}

void ReadModel::drop_old() {
  while (ended_.size() > incidents_kept_max) {
    const std::string id = ended_.front();
    ended_.pop_front();
    const auto drop_of = [&](std::map<std::string, Json>& documents, const std::string& kind) {
      for (auto at = documents.begin(); at != documents.end();) {
        const bool mine = text_at(at->second, "incident_id") == id;
        if (mine) erased_.push_back(rows_of_model + kind + "/" + at->first);
        at = mine ? documents.erase(at) : std::next(at);
      }
    };
    drop_of(proposals_, "proposal");
    drop_of(runs_, "run");
    incidents_.erase(id);
    erased_.push_back(rows_of_model + "incident/" + id);
  }
}

void ReadModel::apply(const JournalRecord& record) {
  // A claim carries the seq of the record that comes next and says nothing to readers.
  if (record.kind == JournalKind::claim) return;
  std::vector<Json> told;
  {
    const std::unique_lock lock(mutex_);
    const auto known = applied_.find(record.shard);
    if (known != applied_.end() && record.seq <= known->second) return;
    applied_[record.shard] = record.seq;
    ++version_;
    if (record.kind == JournalKind::config) {
      settings_ = record.content;
      ++settings_number_;
    }
    for (std::size_t k = 0; k < record.events.size(); ++k) {
      const auto number = static_cast<std::int64_t>(k);
      const Event& event = record.events[k];
      if (std::holds_alternative<Forwarded>(event.body)) continue;
      apply_event(record, number, event);
      Json told_event = event_to_json(event);
      told_event["id"] = decision_id(record.shard, record.seq, number);
      told_event["time"] = format_rfc3339(record.cut.tick_ms);
      recent_.push_back(told_event);
      if (recent_.size() > recent_max) recent_.pop_front();
      if (listener_) told.push_back(std::move(told_event));
    }
    drop_old();
  }
  for (const Json& each : told) listener_(each);
}

std::vector<Json> ReadModel::incidents(const std::string& state) const {
  const std::shared_lock lock(mutex_);
  return listed(incidents_, state);
}

std::optional<Json> ReadModel::incident(const std::string& id) const {
  std::optional<Json> incident;
  {
    const std::shared_lock lock(mutex_);
    incident = found(incidents_, id);
  }
  if (!incident || !incident->contains("timeline")) return incident;
  for (Json& entry : (*incident)["timeline"]) {
    // Rows of earlier builds hold trees.
    if (!entry.is_string()) continue;
    Result<Json> read = parse_json(entry.get<std::string>());
    if (read) entry = std::move(*read);
  }
  return incident;
}

std::vector<Json> ReadModel::proposals(const std::string& state) const {
  const std::shared_lock lock(mutex_);
  return listed(proposals_, state);
}

std::optional<Json> ReadModel::proposal(const std::string& id) const {
  const std::shared_lock lock(mutex_);
  return found(proposals_, id);
}

std::vector<Json> ReadModel::runs(const std::string& state) const {
  const std::shared_lock lock(mutex_);
  return listed(runs_, state);
}

std::optional<Json> ReadModel::run(const std::string& id) const {
  const std::shared_lock lock(mutex_);
  return found(runs_, id);
}

std::vector<Json> ReadModel::breakers(const std::string& state) const {
  const std::shared_lock lock(mutex_);
  return listed(breakers_, state);
}

std::vector<Json> ReadModel::locks(const std::string& state) const {
  const std::shared_lock lock(mutex_);
  return listed(locks_, state);
}

std::string ReadModel::settings() const {
  const std::shared_lock lock(mutex_);
  return settings_;
}

std::uint64_t ReadModel::settings_number() const {
  const std::shared_lock lock(mutex_);
  return settings_number_;
}

std::vector<Json> ReadModel::learned() const {
  const std::shared_lock lock(mutex_);
  std::vector<Json> list;
  for (const auto& [id, document] : learned_) list.push_back(document);
  return list;
}

std::vector<Json> ReadModel::recent(std::size_t count) const {
  const std::shared_lock lock(mutex_);
  const std::size_t skip = recent_.size() > count ? recent_.size() - count : 0;
  return {recent_.begin() + static_cast<std::ptrdiff_t>(skip), recent_.end()};
}

std::vector<Json> ReadModel::health(const std::string& prefix) const {
  const std::shared_lock lock(mutex_);
  std::vector<Json> list;
  for (const auto& [id, incident] : incidents_) {
    const std::string service = text_at(incident, "service");
    const std::string state = text_at(incident, "state");
    const bool mine = service == prefix || service.starts_with(prefix + ".") || prefix.empty();
    if (state == "closed" || !mine) continue;
    std::string health = "ill";
    if (incident.value("proactive", false)) health = "predicted";
    if (state == "running" || state == "verifying") health = "healing";
    if (state == "escalated") health = "escalated";
    list.push_back(Json{{"service", service},
                        {"health", health},
                        {"incident", id},
                        {"code", text_at(incident, "code")}});
  }
  return list;
}

std::int64_t ReadModel::applied(std::int64_t shard) const {
  const std::shared_lock lock(mutex_);
  const auto at = applied_.find(shard);
  return at == applied_.end() ? -1 : at->second;
}

std::uint64_t ReadModel::version() const {
  const std::shared_lock lock(mutex_);
  return version_;
}

void ReadModel::on_decision(std::function<void(const Json&)> listener) {
  const std::unique_lock lock(mutex_);
  listener_ = std::move(listener);
}

Result<void> ReadModel::save(PageStore& store) {
  std::map<std::string, std::string> puts;
  std::vector<std::string> erases;
  {
    const std::unique_lock lock(mutex_);
    const auto text_of = [&](const std::string& kind, const std::string& id) -> std::string {
      const auto& documents = documents_of(kind);
      const auto at = documents.find(id);
      return at == documents.end() ? std::string() : dump(at->second);
    };
    for (const auto& [kind, id] : changed_) {
      const std::string text = text_of(kind, id);
      if (!text.empty()) puts[rows_of_model + kind + "/" + id] = text;
    }
    Json positions = Json::object();
    for (const auto& [shard, seq] : applied_) positions[std::to_string(shard)] = seq;
    puts[rows_of_model + "applied"] = dump(positions);
    erases.swap(erased_);
    // A run may lose its lock and get it again.
    std::erase_if(erases, [&](const std::string& key) { return puts.contains(key); });
    changed_.clear();
  }
  return store.write_rows(puts, erases);
}

Result<void> ReadModel::load(PageStore& store) {
  auto rows = store.load_rows(rows_of_model);
  if (!rows) return rows.error();
  const std::unique_lock lock(mutex_);
  std::vector<std::pair<std::int64_t, std::string>> ended;
  for (const auto& [key, text] : *rows) {
    const Result<Json> json = parse_json(text);
    if (!json) return json.error().within("read model row " + key);
    const std::string rest = key.substr(rows_of_model.size());
    if (rest == "applied") {
      for (const auto& [shard, seq] : json->items()) {
        applied_[std::stoll(shard)] = seq.get<std::int64_t>();
      }
      continue;
    }
    const std::size_t slash = rest.find('/');
    const std::string kind = rest.substr(0, slash);
    const std::string id = slash == std::string::npos ? std::string() : rest.substr(slash + 1);
    documents_of(kind)[id] = *json;
    if (kind == "incident" && json->contains("closed_ms")) {
      ended.emplace_back(json->value("closed_ms", std::int64_t{0}), id);
    }
  }
  std::sort(ended.begin(), ended.end());
  for (auto& [time_ms, id] : ended) ended_.push_back(std::move(id));
  return {};
}

}  // namespace selfheal
