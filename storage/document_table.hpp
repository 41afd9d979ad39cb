#pragma once
// Documents of one kind, each a row of a page store. In memory is only what finds and orders them,
// and those that changed since they were last packed: a tree takes ten times the memory of its
// text. Not thread-safe.
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "storage/row_buffer.hpp"
#include "topics/json_codec.hpp"

namespace selfheal {

// Which documents are listed, newest first.
struct DocumentQuery {
  std::string state;    // empty: any
  std::string service;  // empty: any
  std::size_t limit = std::numeric_limits<std::size_t>::max();
};

// What a document says of itself, as far as it is looked for by.
struct DocumentHead {
  std::string state;
  std::string service;
  std::string incident_id;
  TimeMs opened_ms = 0;
  TimeMs updated_ms = 0;
  TimeMs closed_ms = 0;  // 0 while it is open
};

class DocumentTable {
 public:
  // Rows are named `prefix` and the id. `rows` outlives the table.
  DocumentTable(std::string prefix, RowBuffer& rows) : prefix_(std::move(prefix)), rows_(rows) {}
  DocumentTable(const DocumentTable&) = delete;
  DocumentTable& operator=(const DocumentTable&) = delete;

  // Lets `change` change the document with this id, a new one where there is none.
  void change(const std::string& id, const std::function<void(Json&)>& change);
  void erase(const std::string& id);
  void erase_of_incident(const std::string& incident_id);

  // One that the store cannot give says so in its member "unreadable".
  std::optional<Json> find(const std::string& id) const;
  std::vector<Json> list(const DocumentQuery& query) const;
  std::vector<Json> list_where(
      const std::function<bool(const std::string& id, const DocumentHead& head)>& wanted) const;
  const std::map<std::string, DocumentHead>& heads() const { return heads_; }

  // What was saved; before anything is changed. Corrupt where a row is no document.
  Result<void> load();
  // Puts what has changed among the rows.
  void pack();

 private:
  Json read(const std::string& id) const;
  void note(const std::string& id, const Json& document);
  void forget(const std::string& id);

  const std::string prefix_;
  RowBuffer& rows_;
  std::map<std::string, Json> changed_;
  std::map<std::string, DocumentHead> heads_;
  std::map<std::string, std::set<std::string>> of_incident_;
};

}  // namespace selfheal
