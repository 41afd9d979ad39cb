#pragma once
// Rows of a page store with those in front that are changed and not yet saved: what is written can
// be read at once, and is kept until the store has it. Not thread-safe.
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "storage/page_store.hpp"

namespace selfheal {

class RowBuffer {
 public:
  explicit RowBuffer(std::shared_ptr<PageStore> store) : store_(std::move(store)) {}

  void put(const std::string& key, std::string text) { unsaved_[key] = std::move(text); }
  // What was never saved leaves nothing behind: a disk that stays full must not fill memory.
  void erase(const std::string& key) {
    const Result<std::optional<std::string>> saved = store_->read_row(key);
    if (saved && !*saved) {
      unsaved_.erase(key);
    } else {
      unsaved_[key] = std::nullopt;
    }
  }
  // Nothing where there is no such row.
  Result<std::optional<std::string>> read(const std::string& key) const {
    const auto changed = unsaved_.find(key);
    if (changed != unsaved_.end()) return changed->second;
    return store_->read_row(key);
  }
  // Of the store alone: before anything was put.
  Result<void> visit_saved(const std::string& prefix, const PageStore::VisitPage& visit) const {
    return store_->visit_rows(prefix, visit);
  }
  // Atomic. Changes nothing here, so that readers may go on meanwhile: forget() what was written.
  Result<void> write() const { return store_->write_rows(unsaved_); }
  void forget() { unsaved_.clear(); }

 private:
  std::shared_ptr<PageStore> store_;
  RowChanges unsaved_;
};

}  // namespace selfheal
