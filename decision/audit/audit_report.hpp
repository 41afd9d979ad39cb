#pragma once
// What an audit found, by invariant. The ten are those of docs/architecture.md. Not thread-safe.
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/time.hpp"

namespace selfheal {

// Of a running service: how long what a record says may take to reach other topics.
constexpr DurationMs on_its_way_ms = 10 * one_second_ms;

struct Violation {
  int invariant = 0;
  std::string place;  // "<shard>/<seq>/<k>", or a topic with its offset
  std::string what;
};

class AuditReport {
 public:
  struct Line {
    std::int64_t checked = 0;
    std::int64_t violated = 0;
    std::vector<std::string> not_checked;  // parts, with the reason
  };

  void count(int invariant, std::int64_t checked = 1) { lines_[invariant].checked += checked; }
  void violate(int invariant, const std::string& place, const std::string& what) {
    ++lines_[invariant].violated;
    if (violations_.size() < violations_max) violations_.push_back({invariant, place, what});
  }
  void add(const std::vector<Violation>& violations) {
    for (const Violation& each : violations) violate(each.invariant, each.place, each.what);
  }
  // Says once that a part could not be looked at.
  void leave_out(int invariant, const std::string& part) {
    for (const std::string& known : lines_[invariant].not_checked) {
      if (known == part) return;
    }
    lines_[invariant].not_checked.push_back(part);
  }

  // Another part of the same audit.
  void merge(const AuditReport& part) {
    for (const auto& [invariant, line] : part.lines_) {
      lines_[invariant].checked += line.checked;
      lines_[invariant].violated += line.violated;
      for (const std::string& left_out : line.not_checked) leave_out(invariant, left_out);
    }
    for (const Violation& each : part.violations_) {
      if (violations_.size() < violations_max) violations_.push_back(each);
    }
  }

  const std::map<int, Line>& lines() const { return lines_; }
  const std::vector<Violation>& violations() const { return violations_; }

 private:
  // The first ones tell the story; a broken chain would otherwise list every record behind it.
  static constexpr std::size_t violations_max = 100;

  std::map<int, Line> lines_;
  std::vector<Violation> violations_;
};

}  // namespace selfheal
