#include "storage/read_model.hpp"

#include <algorithm>

#include "base/parse_number.hpp"
#include "topics/event_codec.hpp"

namespace selfheal {
namespace {

const std::string applied_row = "read_model/applied";

std::string text_at(const Json& json, const char* name) {
  return json.value(name, std::string());
}

// Apart from the documents, so that loading them does not read every story.
std::string story_row(const std::string& incident_id, std::size_t entry) {
  std::string number = std::to_string(entry);
  return "story/" + incident_id + "/" + std::string(4 - number.size(), '0') + number;
}

std::size_t story_length(const Json& incident) {
  return incident.value("timeline_entries", std::size_t{0});
}

template <class Body>
void merge(Json& document, const Body& body) {
  const Json fields = to_json_value(body);
  for (const auto& [name, value] : fields.items()) document[name] = value;
}

// What a person needs who has to find out whether a step had its effect.
void tell_doubt(Json& run, TimeMs since_ms, bool undoing) {
  run["awaits_answer"] = true;
  run["in_doubt_since_ms"] = since_ms;
  std::string target = text_at(run, "service");
  if (const std::string id = text_at(run, "resource_id"); !id.empty()) {
    target += ", " + text_at(run, "resource_kind") + " " + id;
  }
  run["look_at"] = std::string("whether ") + (undoing ? "the undo by step '" : "step '") +
                   text_at(run, "step_name") + "' of playbook " + text_at(run, "playbook") +
                   " had its effect on " + target + " (effect: " + text_at(run, "effect") +
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

ReadModel::ReadModel(std::shared_ptr<PageStore> store) : rows_(std::move(store)) {
  static_assert(timeline_entries_max <= 9999, "story_row() has four digits");
}

std::array<DocumentTable*, 7> ReadModel::tables() {
  return {&incidents_, &proposals_, &runs_, &learned_, &breakers_, &locks_, &suspected_inputs_};
}

Result<void> ReadModel::load() {
  const std::unique_lock lock(mutex_);
  for (DocumentTable* table : tables()) {
    Result<void> loaded = table->load();
    if (!loaded) return loaded;
  }
  std::vector<std::pair<TimeMs, std::string>> ended;
  for (const auto& [id, head] : incidents_.heads()) {
    if (head.closed_ms > 0) ended.emplace_back(head.closed_ms, id);
  }
  std::sort(ended.begin(), ended.end());
  for (auto& [time_ms, id] : ended) ended_.push_back(std::move(id));
  if (Result<void> loaded = recent_.load(); !loaded) return loaded;
  const Result<std::optional<std::string>> row = rows_.read(applied_row);
  if (!row) return row.error();
  if (!*row) return {};
  const Result<Json> positions = parse_json(**row);
  if (!positions) return positions.error().within("read model row " + applied_row);
  for (const auto& [shard, seq] : positions->items()) {
    const std::optional<std::int64_t> number = parse_number<std::int64_t>(shard);
    if (!number || !seq.is_number_integer()) {
      return Error{ErrorCode::corrupt, "read model row " + applied_row + " names no position"};
    }
    applied_[*number] = seq.get<std::int64_t>();
  }
  return {};
}

// As text of its own: few stories are ever asked for, and a change of the incident need not write
// its story again.
void ReadModel::add_to_story(Json& incident, const std::string& told) {
  const std::size_t length = story_length(incident);
  if (length >= timeline_entries_max) return;
  rows_.put(story_row(text_at(incident, "id"), length), told);
  incident["timeline_entries"] = length + 1;
}

void ReadModel::apply_to_incident(TimeMs at_ms, const Event& event, const std::string& told) {
  incidents_.change(event.incident_id, [&](Json& incident) {
    const std::string state = incident_state(event.body);
    if (!state.empty()) incident["state"] = state;
    incident["updated_ms"] = at_ms;
    if (const auto* opened = std::get_if<IncidentOpened>(&event.body)) {
      merge(incident, *opened);
      incident["opened_ms"] = at_ms;
      incident["time"] = format_rfc3339(at_ms);
    }
    if (const auto* proposal = std::get_if<Proposal>(&event.body)) {
      incident["playbook"] = proposal->playbook;
      incident["proposal_id"] = proposal->proposal_id;
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
    add_to_story(incident, told);
  });
}

void ReadModel::apply_event(const JournalRecord& record, const Event& event,
                            const std::string& told) {
  const TimeMs at_ms = record.cut.tick_ms;
  if (!event.incident_id.empty()) apply_to_incident(at_ms, event, told);
  if (const auto* proposal = std::get_if<Proposal>(&event.body)) {
    change_proposal(proposal->proposal_id, "proposed", at_ms, [&](Json& row) {
      merge(row, *proposal);
      row["opened_ms"] = at_ms;
    });
  } else if (const auto* verdict = std::get_if<Verdict>(&event.body)) {
    const char* state = verdict->verdict == "approved"
                            ? "approved"
                            : (verdict->verdict == "denied" ? "denied" : "held");
    change_proposal(verdict->proposal_id, state, at_ms, [&](Json& row) {
      merge(row, *verdict);
      // The policy has asked a person, or refused: it has approved nothing.
      const bool by_nobody = verdict->verdict != "approved" && verdict->approved_by == "policy";
      if (by_nobody) row["approved_by"] = "";
    });
  } else if (std::holds_alternative<IncidentClosed>(event.body)) {
    // Nobody can answer any more what it proposed.
    const std::optional<Json> incident = incidents_.find(event.incident_id);
    const std::string id = incident ? incident->value("proposal_id", "") : "";
    const std::optional<Json> proposal = id.empty() ? std::nullopt : proposals_.find(id);
    if (proposal && proposal->value("state", "") == "held") {
      change_proposal(id, "denied", at_ms,
                      [](Json& row) { row["reason"] = "its incident has closed"; });
    }
  } else if (const auto* learned = std::get_if<Learned>(&event.body)) {
    const std::string id = learned->service + "/" + learned->code + "/" + learned->playbook;
    learned_.change(id, [&](Json& row) { merge(row, *learned); });
  } else if (const auto* changed = std::get_if<BreakerChanged>(&event.body)) {
    apply_breaker(record, *changed);
  } else if (const auto* path = std::get_if<InputPathChanged>(&event.body)) {
    apply_input_path(record, *path);
  } else {
    apply_run_event(at_ms, event);
    apply_run_end(at_ms, event);
    apply_lock(record, event);
  }
}

void ReadModel::apply_run_event(TimeMs at_ms, const Event& event) {
  if (const auto* intent = std::get_if<RunIntent>(&event.body)) {
    runs_.change(intent->action_id, [&](Json& run) {
      merge(run, *intent);
      run["state"] = "running";
      run["opened_ms"] = at_ms;
    });
    change_proposal(intent->proposal_id, "running", at_ms);
  } else if (const auto* started = std::get_if<RunStarted>(&event.body)) {
    runs_.change(started->action_id, [&](Json& run) {
      run["step"] = started->step;
      run["step_name"] = started->step_name;
      run["attempt"] = started->attempt;
    });
  } else if (const auto* step = std::get_if<StepFinished>(&event.body)) {
    runs_.change(step->action_id, [&](Json& run) { run["steps"].push_back(to_json_value(*step)); });
  }
}

void ReadModel::apply_run_end(TimeMs at_ms, const Event& event) {
  if (const auto* finished = std::get_if<RunFinished>(&event.body)) {
    runs_.change(finished->action_id, [&](Json& run) {
      run["state"] = finished->result;
      run["reason"] = finished->reason;
      if (finished->awaits_answer) tell_doubt(run, at_ms, false);
    });
    change_proposal(finished->proposal_id, finished->result, at_ms);
  } else if (const auto* outcome = std::get_if<Outcome>(&event.body)) {
    runs_.change(outcome->action_id, [&](Json& run) {
      run["outcome"] = outcome->result;
      run["reason"] = outcome->reason;
      // Only an undo is left in doubt after the run was finished.
      if (outcome->awaits_answer && !run.value("awaits_answer", false)) {
        tell_doubt(run, at_ms, true);
      }
      run["awaits_answer"] = outcome->awaits_answer;
      if (outcome->result == "rolled_back" || outcome->result == "in_doubt") {
        run["state"] = outcome->result;
      }
      run["seconds_to_recover"] = outcome->seconds_to_recover;
    });
  } else if (const auto* resolved = std::get_if<DoubtResolved>(&event.body)) {
    const char* state = "succeeded";
    if (resolved->answer == "not_happened") state = "not_happened";
    if (resolved->answer == "not_undone") state = "failed";
    runs_.change(resolved->action_id, [&](Json& run) {
      run["state"] = state;
      run["awaits_answer"] = false;
      run["answer"] = resolved->answer;
      run["answered_by"] = resolved->by;
      run["answered_ms"] = at_ms;
      run["answer_reason"] = resolved->reason;
      run.erase("look_at");
    });
    change_proposal(resolved->proposal_id, state, at_ms);
  }
}

void ReadModel::apply_lock(const JournalRecord& record, const Event& event) {
  const auto change = [&](const std::string& action_id, const char* state,
                          const std::function<void(Json&)>& more) {
    locks_.change(action_id, [&](Json& lock) {
      if (lock.value("state", "") != state) lock["since_ms"] = record.cut.tick_ms;
      lock["state"] = state;
      more(lock);
    });
  };
  if (const auto* granted = std::get_if<LockGranted>(&event.body)) {
    change(granted->action_id, "held", [&](Json& lock) {
      merge(lock, *granted);
      lock["reason"] = "";
      lock["shard"] = granted->asker.shard;
      lock.erase("asker");
    });
  } else if (const auto* queued = std::get_if<LockQueued>(&event.body)) {
    change(queued->request.action_id, "waiting", [&](Json& lock) {
      merge(lock, queued->request);
      lock["reason"] = queued->reason;
      lock["shard"] = queued->asker.shard;
      lock["until_ms"] = queued->request.give_up_ms;
      lock.erase("hold_ms");
      lock.erase("give_up_ms");
    });
  } else if (const auto* freed = std::get_if<LockFreed>(&event.body)) {
    locks_.erase(freed->action_id);
  }
}

void ReadModel::change_proposal(const std::string& id, const std::string& state, TimeMs at_ms,
                                const std::function<void(Json&)>& change) {
  proposals_.change(id, [&](Json& proposal) {
    if (change) change(proposal);
    proposal["state"] = state;
    proposal["updated_ms"] = at_ms;
  });
}

void ReadModel::apply_breaker(const JournalRecord& record, const BreakerChanged& changed) {
  const std::string id =
      std::to_string(record.shard) + "/" + changed.playbook + "/" + changed.resource_kind;
  breakers_.change(id, [&](Json& breaker) {
    merge(breaker, changed);
    breaker["shard"] = record.shard;
    breaker["updated_ms"] = record.cut.tick_ms;
  });
  if (breakers_.heads().size() <= breakers_kept_max) return;
  // The one that has been at rest for longest goes: kinds come from what others send.
  std::string oldest;
  TimeMs oldest_ms = std::numeric_limits<TimeMs>::max();
  for (const auto& [other, head] : breakers_.heads()) {
    if (head.state != "closed" || head.updated_ms >= oldest_ms) continue;
    oldest = other;
    oldest_ms = head.updated_ms;
  }
  breakers_.erase(oldest);
}

void ReadModel::apply_input_path(const JournalRecord& record, const InputPathChanged& changed) {
  const std::string id = std::to_string(record.shard);
  if (!changed.suspected) return suspected_inputs_.erase(id);
  suspected_inputs_.change(id, [&](Json& row) {
    merge(row, changed);
    row["shard"] = record.shard;
    row["opened_ms"] = record.cut.tick_ms;
  });
}

void ReadModel::drop_old() {
  while (ended_.size() > incidents_kept_max) {
    const std::string id = ended_.front();
    ended_.pop_front();
    const std::optional<Json> incident = incidents_.find(id);
    const std::size_t length = incident ? story_length(*incident) : 0;
    for (std::size_t entry = 0; entry < length; ++entry) rows_.erase(story_row(id, entry));
    proposals_.erase_of_incident(id);
    runs_.erase_of_incident(id);
    incidents_.erase(id);
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
      const Event& event = record.events[k];
      if (std::holds_alternative<Forwarded>(event.body)) continue;
      Json told_event = event_to_json(event);
      told_event["id"] = decision_id(record.shard, record.seq, static_cast<std::int64_t>(k));
      told_event["time"] = format_rfc3339(record.cut.tick_ms);
      apply_event(record, event, recent_.add(dump(told_event)));
      if (listener_) told.push_back(std::move(told_event));
    }
    drop_old();
  }
  for (const Json& each : told) listener_(each);
}

std::vector<Json> ReadModel::incidents(const DocumentQuery& query) const {
  const std::shared_lock lock(mutex_);
  return incidents_.list(query);
}

std::optional<Json> ReadModel::incident(const std::string& id) const {
  const std::shared_lock lock(mutex_);
  std::optional<Json> incident = incidents_.find(id);
  if (!incident) return incident;
  const std::size_t length = story_length(*incident);
  Json& timeline = (*incident)["timeline"] = Json::array();
  for (std::size_t entry = 0; entry < length; ++entry) {
    const Result<std::optional<std::string>> row = rows_.read(story_row(id, entry));
    if (row && !*row) continue;
    const Result<Json> read = row ? parse_json(**row) : Result<Json>(row.error());
    timeline.push_back(read ? *read : Json{{"unreadable", read.error().context}});
  }
  return incident;
}

std::vector<Json> ReadModel::proposals(const DocumentQuery& query) const {
  const std::shared_lock lock(mutex_);
  return proposals_.list(query);
}

std::optional<Json> ReadModel::proposal(const std::string& id) const {
  const std::shared_lock lock(mutex_);
  return proposals_.find(id);
}

std::vector<Json> ReadModel::runs(const DocumentQuery& query) const {
  const std::shared_lock lock(mutex_);
  return runs_.list(query);
}

std::optional<Json> ReadModel::run(const std::string& id) const {
  const std::shared_lock lock(mutex_);
  return runs_.find(id);
}

std::vector<Json> ReadModel::breakers(const DocumentQuery& query) const {
  const std::shared_lock lock(mutex_);
  return breakers_.list(query);
}

std::vector<Json> ReadModel::suspected_inputs() const {
  const std::shared_lock lock(mutex_);
  return suspected_inputs_.list({});
}

std::vector<Json> ReadModel::locks(const DocumentQuery& query) const {
  const std::shared_lock lock(mutex_);
  return locks_.list(query);
}

std::string ReadModel::settings() const {
  const std::shared_lock lock(mutex_);
  return settings_;
}

std::uint64_t ReadModel::settings_number() const {
  const std::shared_lock lock(mutex_);
  return settings_number_;
}

std::vector<Json> ReadModel::learned(const std::string& playbook) const {
  const std::shared_lock lock(mutex_);
  return learned_.list_where(
      [&](const std::string& id, const DocumentHead&) { return id.ends_with("/" + playbook); });
}

std::vector<Json> ReadModel::recent(std::size_t count) const {
  const std::shared_lock lock(mutex_);
  std::vector<Json> decisions;
  const std::deque<std::string>& texts = recent_.texts();
  const std::size_t skip = texts.size() > count ? texts.size() - count : 0;
  for (std::size_t i = skip; i < texts.size(); ++i) {
    Result<Json> decision = parse_json(texts[i]);
    if (decision) decisions.push_back(std::move(*decision));
  }
  return decisions;
}

std::vector<Json> ReadModel::health(const std::string& prefix) const {
  const std::shared_lock lock(mutex_);
  const auto is_open = [&](const std::string&, const DocumentHead& head) {
    const bool mine =
        prefix.empty() || head.service == prefix || head.service.starts_with(prefix + ".");
    return head.state != "closed" && mine;
  };
  std::vector<Json> list;
  for (const Json& incident : incidents_.list_where(is_open)) {
    const std::string state = text_at(incident, "state");
    std::string health = "ill";
    if (incident.value("proactive", false)) health = "predicted";
    if (state == "running" || state == "verifying") health = "healing";
    if (state == "escalated") health = "escalated";
    list.push_back(Json{{"service", text_at(incident, "service")},
                        {"health", health},
                        {"incident", text_at(incident, "id")},
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

Result<void> ReadModel::save() {
  {
    const std::unique_lock lock(mutex_);
    for (DocumentTable* table : tables()) table->pack();
    Json positions = Json::object();
    for (const auto& [shard, seq] : applied_) positions[std::to_string(shard)] = seq;
    rows_.put(applied_row, dump(positions));
  }
  {
    // Readers go on meanwhile; there is only one writer, and it is here.
    const std::shared_lock lock(mutex_);
    Result<void> written = rows_.write();
    if (!written) return written;
  }
  const std::unique_lock lock(mutex_);
  rows_.forget();
  return {};
}

}  // namespace selfheal
