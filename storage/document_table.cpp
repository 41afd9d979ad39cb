#include "storage/document_table.hpp"

#include <algorithm>

namespace selfheal {
namespace {

// Trees in memory between two saves, and while a full disk lets nothing be saved.
constexpr std::size_t changed_max = 256;

DocumentHead head_of(const Json& document) {
  DocumentHead head;
  head.state = document.value("state", std::string());
  head.service = document.value("service", std::string());
  head.incident_id = document.value("incident_id", std::string());
  head.opened_ms = document.value("opened_ms", TimeMs{0});
  head.updated_ms = document.value("updated_ms", TimeMs{0});
  head.closed_ms = document.value("closed_ms", TimeMs{0});
  return head;
}

}  // namespace

Json DocumentTable::read(const std::string& id) const {
  const auto changed = changed_.find(id);
  if (changed != changed_.end()) return changed->second;
  const Result<std::optional<std::string>> row = rows_.read(prefix_ + id);
  if (!row) return Json{{"id", id}, {"unreadable", row.error().context}};
  if (!*row) return Json{{"id", id}};
  Result<Json> document = parse_json(**row);
  if (!document) return Json{{"id", id}, {"unreadable", document.error().context}};
  return std::move(*document);
}

void DocumentTable::note(const std::string& id, const Json& document) {
  DocumentHead head = head_of(document);
  // Whose a document is never changes once it is known.
  if (!head.incident_id.empty()) of_incident_[head.incident_id].insert(id);
  heads_[id] = std::move(head);
}

void DocumentTable::change(const std::string& id, const std::function<void(Json&)>& change) {
  auto at = changed_.find(id);
  if (at == changed_.end()) {
    if (changed_.size() >= changed_max) pack();
    at = changed_.emplace(id, read(id)).first;
  }
  change(at->second);
  note(id, at->second);
}

void DocumentTable::forget(const std::string& id) {
  changed_.erase(id);
  heads_.erase(id);
  rows_.erase(prefix_ + id);
}

void DocumentTable::erase(const std::string& id) {
  const auto head = heads_.find(id);
  if (head == heads_.end()) return;
  const auto siblings = of_incident_.find(head->second.incident_id);
  if (siblings != of_incident_.end()) {
    siblings->second.erase(id);
    if (siblings->second.empty()) of_incident_.erase(siblings);
  }
  forget(id);
}

void DocumentTable::erase_of_incident(const std::string& incident_id) {
  const auto found = of_incident_.find(incident_id);
  if (found == of_incident_.end()) return;
  for (const std::string& id : found->second) forget(id);
  of_incident_.erase(found);
}

std::optional<Json> DocumentTable::find(const std::string& id) const {
  if (!heads_.contains(id)) return std::nullopt;
  return read(id);
}

std::vector<Json> DocumentTable::list(const DocumentQuery& query) const {
  std::vector<std::pair<TimeMs, const std::string*>> found;
  for (const auto& [id, head] : heads_) {
    const bool wanted = (query.state.empty() || head.state == query.state) &&
                        (query.service.empty() || head.service == query.service);
    if (wanted) found.emplace_back(head.opened_ms, &id);
  }
  std::ranges::stable_sort(found, std::ranges::greater(),
                           [](const auto& each) { return each.first; });
  if (found.size() > query.limit) found.resize(query.limit);
  std::vector<Json> documents;
  documents.reserve(found.size());
  for (const auto& [opened_ms, id] : found) documents.push_back(read(*id));
  return documents;
}

std::vector<Json> DocumentTable::list_where(
    const std::function<bool(const std::string& id, const DocumentHead& head)>& wanted) const {
  std::vector<Json> documents;
  for (const auto& [id, head] : heads_) {
    if (wanted(id, head)) documents.push_back(read(id));
  }
  return documents;
}

Result<void> DocumentTable::load() {
  return rows_.visit_saved(prefix_, [&](std::string_view key, std::string_view text) {
    const Result<Json> document = parse_json(text);
    if (document && document->is_object()) {
      note(std::string(key.substr(prefix_.size())), *document);
      return Result<void>();
    }
    const Error error = document ? Error{ErrorCode::corrupt, "no JSON object"} : document.error();
    return Result<void>(error.within("row " + std::string(key)));
  });
}

void DocumentTable::pack() {
  for (const auto& [id, document] : changed_) rows_.put(prefix_ + id, dump(document));
  changed_.clear();
}

}  // namespace selfheal
