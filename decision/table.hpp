#pragma once
// A stage's keyed state: ordered, so that walking it is the same everywhere, and with a list of
// what changed since it was last saved, so that saving costs what changed.
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.hpp"
#include "base/fields.hpp"
#include "topics/json_codec.hpp"

namespace selfheal {

// Where a stage puts its changed rows; the store writes them with the chain head in one batch.
class PageSink {
 public:
  virtual ~PageSink() = default;
  virtual void put(std::string key, std::string value) = 0;
  virtual void erase(std::string key) = 0;
};

template <HasFields Row>
class Table {
 public:
  // `prefix` names the table among the pages: "scheduler/incident/".
  explicit Table(std::string prefix) : prefix_(std::move(prefix)) {}

  const std::map<std::string, Row>& rows() const { return rows_; }
  const Row* find(const std::string& key) const {
    const auto found = rows_.find(key);
    return found == rows_.end() ? nullptr : &found->second;
  }
  // The row to change; null where there is none.
  Row* edit(const std::string& key) {
    const auto found = rows_.find(key);
    if (found == rows_.end()) return nullptr;
    changed_.insert(key);
    return &found->second;
  }
  Row& put(const std::string& key, Row row) {
    changed_.insert(key);
    return rows_.insert_or_assign(key, std::move(row)).first->second;
  }
  // The row of that key, made where there is none.
  Row& at(const std::string& key) {
    changed_.insert(key);
    return rows_[key];
  }
  void erase(const std::string& key) {
    if (rows_.erase(key) > 0) changed_.insert(key);
  }
  void clear() {
    for (const auto& [key, row] : rows_) changed_.insert(key);
    rows_.clear();
  }
  std::size_t size() const { return rows_.size(); }

  void save(PageSink& sink) {
    for (const std::string& key : changed_) {
      const auto found = rows_.find(key);
      if (found == rows_.end()) {
        sink.erase(prefix_ + key);
      } else {
        sink.put(prefix_ + key, to_json_text(found->second));
      }
    }
    changed_.clear();
  }
  // True where the page belongs to this table.
  bool load(std::string_view page_key, std::string_view value) {
    if (!page_key.starts_with(prefix_)) return false;
    Result<Row> row = from_json_text<Row>(value);
    CHECK(row, "a saved row does not decode: " + std::string(page_key));
    rows_.insert_or_assign(std::string(page_key.substr(prefix_.size())), std::move(*row));
    return true;
  }

 private:
  std::string prefix_;
  std::map<std::string, Row> rows_;
  std::set<std::string> changed_;
};

// Collects everything a stage would save: for tests that compare states, and for snapshots.
class PageMap : public PageSink {
 public:
  std::map<std::string, std::string> pages;
  std::vector<std::string> erased;
  void put(std::string key, std::string value) override {
    pages.insert_or_assign(std::move(key), std::move(value));
  }
  void erase(std::string key) override {
    pages.erase(key);
    erased.push_back(std::move(key));
  }
};

}  // namespace selfheal
