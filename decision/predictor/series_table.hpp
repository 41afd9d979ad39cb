#pragma once
// All series of a shard: their detector rows in pages, an index by key, and the names behind them.
// About 340 bytes a series. Rows are numbered in the order in which they were first seen, so that
// the numbering is the same wherever the same input is decided. Not thread-safe.
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.hpp"
#include "decision/predictor/series_detector.hpp"
#include "decision/table.hpp"
#include "topics/signal.hpp"

namespace selfheal {

using SeriesNumber = std::uint32_t;
constexpr SeriesNumber no_series = UINT32_MAX;

// Texts by number; a text keeps its number for ever.
class NameTable {
 public:
  static constexpr std::uint32_t none = UINT32_MAX;
  std::uint32_t number_of(std::string_view text);  // adds it
  std::uint32_t find(std::string_view text) const;
  const std::string& text(std::uint32_t number) const { return *texts_[number]; }
  std::uint32_t size() const { return static_cast<std::uint32_t>(texts_.size()); }

 private:
  std::map<std::string, std::uint32_t, std::less<>> numbers_;
  std::vector<const std::string*> texts_;
};

// What is known of a series beside its rows.
struct SeriesEntry {
  Hash128 key;
  std::uint32_t service = 0;
  std::uint32_t metric = 0;
  std::uint32_t first_seconds = 0;
  SeriesNumber next_of_service = no_series;  // the list of a service's series, newest first
};

class SeriesTable {
 public:
  static constexpr std::size_t page_series = 16;

  // The identity of a series: 128 bits of XXH3 over service, metric, labels and resource. Two
  // series that collide would be merged; at a million series the chance is below 1e-26.
  static Hash128 key_of(const Signal& signal);

  // Both ask for memory ahead of find(): the index first, then the entry that it names.
  void prefetch_slot(const Hash128& key) const;
  void prefetch_entry(const Hash128& key) const;
  SeriesNumber find(const Hash128& key) const;
  SeriesNumber add(const Hash128& key, std::uint32_t service, std::uint32_t metric,
                   std::uint32_t first_seconds);
  std::size_t size() const { return entries_.size(); }
  const SeriesEntry& entry(SeriesNumber series) const { return entries_[series]; }
  SeriesNumber first_of_service(std::uint32_t service) const;

  T1Row& fast(SeriesNumber series) { return page(series).fast[series % page_series]; }
  T2Row& wide(SeriesNumber series) { return page(series).wide[series % page_series]; }
  const T1Row& fast(SeriesNumber series) const { return page(series).fast[series % page_series]; }

  // The bytes of a series' rows, to be digested when it changed.
  std::string_view fast_bytes(SeriesNumber series) const;
  void mark_changed(SeriesNumber series) { changed_[series / page_series] = 1; }

  NameTable& services() { return services_; }
  NameTable& metrics() { return metrics_; }
  const NameTable& services() const { return services_; }
  const NameTable& metrics() const { return metrics_; }

  void save(const std::string& prefix, PageSink& sink);
  // No series, name or page is left; the next save erases the saved ones.
  void clear();
  // Pages may come in any order; finish_load() builds the index when all are there. Nothing of what
  // they say is believed before it is known to name what is there: CHECK otherwise.
  bool load(const std::string& prefix, std::string_view key, std::string_view value);
  void finish_load();

 private:
  struct Page {
    T1Row fast[page_series];
    T2Row wide[page_series];
  };
  Page& page(SeriesNumber series) { return *pages_[series / page_series]; }
  const Page& page(SeriesNumber series) const { return *pages_[series / page_series]; }
  static void load_names(const std::map<std::uint64_t, std::string>& loaded, NameTable& names);
  void load_page(const std::string& bytes);
  void grow_index();
  void insert_index(SeriesNumber series);

  NameTable services_;
  NameTable metrics_;
  std::vector<SeriesEntry> entries_;
  std::vector<SeriesNumber> first_of_service_;  // by service number
  std::vector<std::unique_ptr<Page>> pages_;
  std::vector<std::uint8_t> changed_;  // by page
  std::vector<SeriesNumber> index_;    // open addressing, a power of two, at most half full
  std::uint32_t services_saved_ = 0;
  std::uint32_t metrics_saved_ = 0;
  // Saved pages and names that are to go; each kind is numbered from 0.
  std::size_t stale_pages_ = 0;
  std::uint32_t stale_services_ = 0;
  std::uint32_t stale_metrics_ = 0;
  std::map<std::uint64_t, std::string> loaded_services_;  // by number, while loading
  std::map<std::uint64_t, std::string> loaded_metrics_;
  std::map<std::uint64_t, std::string> loaded_pages_;
};

}  // namespace selfheal
