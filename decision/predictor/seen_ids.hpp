#pragma once
// Ids of signals that were taken, so that one which comes again counts once. The latest 5,000 of a
// shard at least, 10,000 at most; all memory (220 KB) is taken at the start. An id is known by 128
// bits of XXH3: at so few, two that collide are not to be expected. Not thread-safe.
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.hpp"
#include "decision/table.hpp"

namespace selfheal {

class SeenIds {
 public:
  static constexpr std::size_t generation_ids = 5000;

  SeenIds();
  bool contains(std::string_view id) const;
  // Twice is once. Where there is no room the older half goes.
  void add(std::string_view id);
  std::size_t size() const;

  void save(const std::string& prefix, PageSink& sink);
  // Pages may come in any order; finish_load() indexes them when all are there.
  bool load(const std::string& prefix, std::string_view key, std::string_view value);
  void finish_load();
  void clear();

 private:
  static constexpr std::size_t page_ids = 256;
  // A power of two, at most a third full; a slot holds a position and 1, 0 where it is free.
  static constexpr std::size_t slots = 16384;

  struct Generation {
    std::vector<Hash128> ids;  // in the order in which they came
    std::vector<std::uint16_t> index;
    std::size_t saved_ids = 0;
    std::size_t stale_pages = 0;  // saved ones that are to go where they are not written again
  };
  bool holds(const Generation& generation, const Hash128& id) const;
  void insert(Generation& generation, const Hash128& id);
  static void empty(Generation& generation);

  std::array<Generation, 2> generations_;
  std::size_t current_ = 0;  // the one that takes the next id
  bool current_changed_ = false;
};

}  // namespace selfheal
