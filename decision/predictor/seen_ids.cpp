#include "decision/predictor/seen_ids.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/check.hpp"

namespace selfheal {
namespace {

std::size_t pages_of(std::size_t ids, std::size_t page_ids) {
  return (ids + page_ids - 1) / page_ids;
}

}  // namespace

SeenIds::SeenIds() {
  for (Generation& generation : generations_) {
    generation.ids.reserve(generation_ids);
    generation.index.assign(slots, 0);
  }
}

bool SeenIds::holds(const Generation& generation, const Hash128& id) const {
  for (std::size_t slot = id.low % slots;; slot = (slot + 1) % slots) {
    const std::uint16_t position = generation.index[slot];
    if (position == 0) return false;
    if (generation.ids[position - 1U] == id) return true;
  }
}

void SeenIds::insert(Generation& generation, const Hash128& id) {
  generation.ids.push_back(id);
  std::size_t slot = id.low % slots;
  while (generation.index[slot] != 0) slot = (slot + 1) % slots;
  generation.index[slot] = static_cast<std::uint16_t>(generation.ids.size());
}

void SeenIds::empty(Generation& generation) {
  generation.stale_pages =
      std::max(generation.stale_pages, pages_of(generation.saved_ids, page_ids));
  generation.saved_ids = 0;
  generation.ids.clear();
  std::ranges::fill(generation.index, std::uint16_t{0});
}

bool SeenIds::contains(std::string_view id) const {
  const Hash128 hash = hash128(id);
  return holds(generations_[0], hash) || holds(generations_[1], hash);
}

void SeenIds::add(std::string_view id) {
  if (contains(id)) return;
  if (generations_[current_].ids.size() >= generation_ids) {
    current_ = 1 - current_;
    current_changed_ = true;
    empty(generations_[current_]);
  }
  insert(generations_[current_], hash128(id));
}

std::size_t SeenIds::size() const {
  return generations_[0].ids.size() + generations_[1].ids.size();
}

void SeenIds::save(const std::string& prefix, PageSink& sink) {
  for (std::size_t number = 0; number < generations_.size(); ++number) {
    Generation& generation = generations_[number];
    const std::string name = prefix + std::to_string(number) + "/";
    const std::vector<Hash128>& ids = generation.ids;
    const std::size_t pages = pages_of(ids.size(), page_ids);
    for (std::size_t page = pages; page < generation.stale_pages; ++page) {
      sink.erase(name + std::to_string(page));
    }
    generation.stale_pages = 0;
    const std::size_t first_changed = generation.saved_ids / page_ids;
    for (std::size_t page = first_changed; generation.saved_ids < ids.size(); ++page) {
      const std::size_t begin = page * page_ids;
      const std::size_t end = std::min(begin + page_ids, ids.size());
      sink.put(name + std::to_string(page),
               {reinterpret_cast<const char*>(&ids[begin]), (end - begin) * sizeof(Hash128)});
      generation.saved_ids = end;
    }
  }
  if (current_changed_) sink.put(prefix + "current", std::to_string(current_));
  current_changed_ = false;
}

bool SeenIds::load(const std::string& prefix, std::string_view key, std::string_view value) {
  if (!key.starts_with(prefix)) return false;
  const std::string_view name = key.substr(prefix.size());
  if (name == "current") {
    CHECK(value == "0" || value == "1", "saved ids have an unknown generation");
    current_ = value == "1" ? 1 : 0;
    return true;
  }
  std::size_t page = 0;
  const bool known = name.size() > 2 && (name[0] == '0' || name[0] == '1') && name[1] == '/';
  CHECK(known &&
            std::from_chars(name.data() + 2, name.data() + name.size(), page).ec == std::errc() &&
            page < pages_of(generation_ids, page_ids),
        "an unknown page of ids");
  CHECK(!value.empty() && value.size() % sizeof(Hash128) == 0 &&
            value.size() <= page_ids * sizeof(Hash128),
        "a page of ids has another size");
  std::vector<Hash128>& ids = generations_[name[0] == '1' ? 1 : 0].ids;
  const std::size_t begin = page * page_ids;
  const std::size_t end = begin + value.size() / sizeof(Hash128);
  CHECK(end <= generation_ids, "a page of ids has another size");
  if (ids.size() < end) ids.resize(end);
  std::memcpy(static_cast<void*>(&ids[begin]), value.data(), value.size());
  return true;
}

void SeenIds::finish_load() {
  for (Generation& generation : generations_) {
    const std::vector<Hash128> ids = std::move(generation.ids);
    generation.ids = {};
    generation.ids.reserve(generation_ids);
    std::ranges::fill(generation.index, std::uint16_t{0});
    for (const Hash128& id : ids) insert(generation, id);
    generation.saved_ids = ids.size();
  }
}

void SeenIds::clear() {
  for (Generation& generation : generations_) empty(generation);
  current_changed_ = current_changed_ || current_ != 0;
  current_ = 0;
}

}  // namespace selfheal
