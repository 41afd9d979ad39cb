#include "decision/predictor/series_table.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/check.hpp"

namespace selfheal {
namespace {

constexpr std::size_t first_index_size = 1024;

// Page keys sort in number order.
std::string numbered(const std::string& prefix, std::uint64_t number) {
  return prefix + to_hex(number);
}

std::uint64_t number_in(std::string_view hex) {
  std::uint64_t number = 0;
  const Result<std::string> bytes = from_hex(hex);
  CHECK(bytes && bytes->size() == 8, "a page key does not end in a number");
  for (const char byte : *bytes) number = number << 8 | static_cast<unsigned char>(byte);
  return number;
}

// Parts of a key are short: two overlapping copies of a fixed size are sooner done than one call.
void copy_part(char* to, std::string_view part) {
  const char* from = part.data();
  const std::size_t size = part.size();
  const auto copy_ends = [&](auto word) {
    std::memcpy(&word, from + size - sizeof word, sizeof word);
    std::memcpy(to + size - sizeof word, &word, sizeof word);
    std::memcpy(&word, from, sizeof word);
    std::memcpy(to, &word, sizeof word);
  };
  if (size > 32) {
    std::memcpy(to, from, size);
  } else if (size >= 16) {
    copy_ends(std::array<char, 16>());
  } else if (size >= 8) {
    copy_ends(std::uint64_t{});
  } else if (size >= 4) {
    copy_ends(std::uint32_t{});
  } else {
    for (std::size_t i = 0; i < size; ++i) to[i] = from[i];
  }
}

}  // namespace

std::uint32_t NameTable::number_of(std::string_view text) {
  const auto found = numbers_.find(text);
  if (found != numbers_.end()) return found->second;
  const auto number = static_cast<std::uint32_t>(texts_.size());
  const auto added = numbers_.emplace(std::string(text), number).first;
  texts_.push_back(&added->first);
  return number;
}

std::uint32_t NameTable::find(std::string_view text) const {
  const auto found = numbers_.find(text);
  return found == numbers_.end() ? none : found->second;
}

Hash128 SeriesTable::key_of(const Signal& signal) {
  // Parts are joined with a byte that names cannot hold; long ones are hashed in place of their
  // text.
  std::array<char, 768> buffer;
  std::size_t used = 0;
  const auto add = [&](std::string_view part) {
    if (used + part.size() + 1 > buffer.size() - 64) {
      const Hash128 hash = hash128(part);
      std::memcpy(buffer.data() + used, &hash, sizeof hash);
      used += sizeof hash;
    } else {
      copy_part(buffer.data() + used, part);
      used += part.size();
    }
    buffer[used++] = '\n';
  };
  add(signal.service);
  add(signal.metric);
  add(signal.labels);
  if (!signal.resource_id.empty()) {
    add(signal.resource_kind);
    add(signal.resource_id);
  }
  return hash128(std::string_view(buffer.data(), used));
}

void SeriesTable::prefetch_slot(const Hash128& key) const {
  if (!index_.empty()) __builtin_prefetch(&index_[key.low & (index_.size() - 1)]);
}

void SeriesTable::prefetch_entry(const Hash128& key) const {
  if (index_.empty()) return;
  const SeriesNumber series = index_[key.low & (index_.size() - 1)];
  if (series != no_series) __builtin_prefetch(&entries_[series]);
}

SeriesNumber SeriesTable::find(const Hash128& key) const {
  if (index_.empty()) return no_series;
  const std::size_t mask = index_.size() - 1;
  for (std::size_t slot = key.low & mask;; slot = (slot + 1) & mask) {
    const SeriesNumber series = index_[slot];
    if (series == no_series || entries_[series].key == key) return series;
  }
}

void SeriesTable::insert_index(SeriesNumber series) {
  const std::size_t mask = index_.size() - 1;
  std::size_t slot = entries_[series].key.low & mask;
  while (index_[slot] != no_series) slot = (slot + 1) & mask;
  index_[slot] = series;
}

void SeriesTable::grow_index() {
  std::size_t size = index_.empty() ? first_index_size : index_.size();
  while (size < 2 * (entries_.size() + 1)) size *= 2;
  if (size == index_.size()) return;
  index_.assign(size, no_series);
  for (SeriesNumber series = 0; series < entries_.size(); ++series) insert_index(series);
}

SeriesNumber SeriesTable::add(const Hash128& key, std::uint32_t service, std::uint32_t metric,
                              std::uint32_t first_seconds) {
  const auto series = static_cast<SeriesNumber>(entries_.size());
  if (first_of_service_.size() <= service) first_of_service_.resize(service + 1, no_series);
  entries_.push_back({key, service, metric, first_seconds, first_of_service_[service]});
  first_of_service_[service] = series;
  if (series % page_series == 0) {
    pages_.push_back(std::make_unique<Page>());
    changed_.push_back(0);
  }
  mark_changed(series);
  if (index_.size() < 2 * entries_.size()) {
    grow_index();
  } else {
    insert_index(series);
  }
  return series;
}

SeriesNumber SeriesTable::first_of_service(std::uint32_t service) const {
  return service < first_of_service_.size() ? first_of_service_[service] : no_series;
}

std::string_view SeriesTable::fast_bytes(SeriesNumber series) const {
  return {reinterpret_cast<const char*>(&fast(series)), sizeof(T1Row)};
}

void SeriesTable::clear() {
  stale_pages_ = std::max(stale_pages_, pages_.size());
  stale_services_ = std::max(stale_services_, services_.size());
  stale_metrics_ = std::max(stale_metrics_, metrics_.size());
  services_ = {};
  metrics_ = {};
  entries_.clear();
  first_of_service_.clear();
  pages_.clear();
  changed_.clear();
  index_.clear();
  services_saved_ = 0;
  metrics_saved_ = 0;
}

void SeriesTable::save(const std::string& prefix, PageSink& sink) {
  // Numbers that are in use again are written below, and must not be erased after that.
  for (std::size_t i = services_.size(); i < stale_services_; ++i) {
    sink.erase(numbered(prefix + "service/", i));
  }
  for (std::size_t i = metrics_.size(); i < stale_metrics_; ++i) {
    sink.erase(numbered(prefix + "metric/", i));
  }
  for (std::size_t i = pages_.size(); i < stale_pages_; ++i) {
    sink.erase(numbered(prefix + "page/", i));
  }
  stale_services_ = 0;
  stale_metrics_ = 0;
  stale_pages_ = 0;
  for (; services_saved_ < services_.size(); ++services_saved_) {
    sink.put(numbered(prefix + "service/", services_saved_), services_.text(services_saved_));
  }
  for (; metrics_saved_ < metrics_.size(); ++metrics_saved_) {
    sink.put(numbered(prefix + "metric/", metrics_saved_), metrics_.text(metrics_saved_));
  }
  for (std::size_t p = 0; p < pages_.size(); ++p) {
    if (changed_[p] == 0) continue;
    changed_[p] = 0;
    const std::size_t first = p * page_series;
    const std::size_t count = std::min(page_series, entries_.size() - first);
    std::string bytes(reinterpret_cast<const char*>(pages_[p].get()), sizeof(Page));
    bytes.append(reinterpret_cast<const char*>(&entries_[first]), count * sizeof(SeriesEntry));
    sink.put(numbered(prefix + "page/", p), std::move(bytes));
  }
}

bool SeriesTable::load(const std::string& prefix, std::string_view key, std::string_view value) {
  if (!key.starts_with(prefix)) return false;
  const std::string_view rest = key.substr(prefix.size());
  const std::size_t slash = rest.find('/');
  CHECK(slash != std::string_view::npos, "an unknown page of the series table");
  const std::string_view kind = rest.substr(0, slash);
  const std::uint64_t number = number_in(rest.substr(slash + 1));
  if (kind == "service") {
    loaded_services_.emplace(number, value);
  } else if (kind == "metric") {
    loaded_metrics_.emplace(number, value);
  } else {
    CHECK(kind == "page", "an unknown page of the series table");
    loaded_pages_.emplace(number, value);
  }
  return true;
}

void SeriesTable::load_names(const std::map<std::uint64_t, std::string>& loaded, NameTable& names) {
  for (const auto& [number, text] : loaded) {
    CHECK(number == names.size(), "a name of the series table is missing");
    CHECK(names.number_of(text) == number, "a name stands twice in the series table");
  }
}

void SeriesTable::load_page(const std::string& bytes) {
  // All pages but the last are full: where a series stands says which page its rows are in.
  CHECK(entries_.size() == pages_.size() * page_series, "a page of the series table is cut short");
  CHECK(bytes.size() > sizeof(Page) &&
            bytes.size() <= sizeof(Page) + page_series * sizeof(SeriesEntry) &&
            (bytes.size() - sizeof(Page)) % sizeof(SeriesEntry) == 0,
        "a page of the series table has another size");
  pages_.push_back(std::make_unique<Page>());
  changed_.push_back(0);
  std::memcpy(static_cast<void*>(pages_.back().get()), bytes.data(), sizeof(Page));
  for (std::size_t i = 0; i < page_series; ++i) {
    CHECK(is_sound(pages_.back()->fast[i]) && is_sound(pages_.back()->wide[i]),
          "a row of the series table is not one that a detector leaves");
  }
  for (std::size_t at = sizeof(Page); at < bytes.size(); at += sizeof(SeriesEntry)) {
    SeriesEntry entry;
    std::memcpy(static_cast<void*>(&entry), bytes.data() + at, sizeof entry);
    CHECK(entry.service < services_.size(), "a series names an unknown service");
    CHECK(entry.metric < metrics_.size(), "a series names an unknown metric");
    entries_.push_back(entry);
  }
}

void SeriesTable::finish_load() {
  load_names(loaded_services_, services_);
  load_names(loaded_metrics_, metrics_);
  services_saved_ = services_.size();
  metrics_saved_ = metrics_.size();
  for (const auto& [number, bytes] : loaded_pages_) {
    CHECK(number == pages_.size(), "a page of the series table is missing");
    load_page(bytes);
  }
  // Lists are rebuilt: a page's copy of a link may be older than the newest series of its service.
  first_of_service_.assign(services_.size(), no_series);
  for (SeriesNumber series = 0; series < entries_.size(); ++series) {
    SeriesEntry& entry = entries_[series];
    entry.next_of_service = first_of_service_[entry.service];
    first_of_service_[entry.service] = series;
  }
  if (!entries_.empty()) grow_index();
  loaded_services_.clear();
  loaded_metrics_.clear();
  loaded_pages_.clear();
}

}  // namespace selfheal
