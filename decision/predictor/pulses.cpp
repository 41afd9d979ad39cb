#include "decision/predictor/pulses.hpp"

#include <algorithm>
#include <cstring>

#include "base/check.hpp"
#include "base/parse_number.hpp"

namespace selfheal {
namespace {

// A pause is known once it has been seen a few times.
constexpr std::uint32_t beats_enough = 5;
constexpr std::uint32_t pause_seconds_max = 15 * 60;
constexpr std::uint32_t pauses_until_overdue = 4;
constexpr std::uint32_t sixteenths = 16;

std::uint32_t whole_seconds(DurationMs duration_ms) {
  return static_cast<std::uint32_t>(
      std::clamp<DurationMs>(duration_ms / one_second_ms, 1, one_day_ms / one_second_ms));
}

std::uint32_t in_steps(std::uint32_t seconds) {
  return seconds / Pulses::step_seconds * Pulses::step_seconds;
}

// A longer pause is believed at once by half, a shorter one slowly: silence must not be seen where
// a service is merely irregular.
std::uint32_t usual_pause(std::uint32_t known, std::uint32_t pause) {
  if (known == 0) return pause;
  return pause > known ? known + (pause - known) / 2 : known - (known - pause) / 8;
}

}  // namespace

void Pulses::configure(DurationMs after_ms, DurationMs window_ms) {
  after_seconds_ = whole_seconds(after_ms);
  window_seconds_ = whole_seconds(window_ms);
  count_all();
}

bool Pulses::is_counted(const Row& row) const {
  return row.beats >= beats_enough && row.pause_sixteenths <= pause_seconds_max * sixteenths &&
         overdue_seconds(row) + window_seconds_ > through_seconds_;
}

std::uint32_t Pulses::overdue_seconds(const Row& row) const {
  const std::uint32_t pauses = row.pause_sixteenths * pauses_until_overdue / sixteenths;
  const std::uint32_t due = row.last_seconds + std::max(after_seconds_, pauses);
  return (due / step_seconds + 1) * step_seconds;
}

void Pulses::count(const Row& row, std::int64_t change) {
  if (!is_counted(row)) return;
  const std::uint32_t due = overdue_seconds(row);
  std::int64_t& services = overdue_[due];
  services += change;
  if (services == 0) overdue_.erase(due);
  (due <= through_seconds_ ? count_.silent : count_.speaking) += change;
}

void Pulses::count_all() {
  overdue_.clear();
  count_ = {};
  for (const Row& row : rows_) count(row, 1);
}

void Pulses::note(std::uint32_t service, std::uint32_t taken_seconds) {
  if (service >= rows_.size()) {
    rows_.resize(service + 1);
    changed_.resize((rows_.size() + page_rows - 1) / page_rows);
  }
  Row& row = rows_[service];
  count(row, -1);
  if (row.beats > 0) {
    constexpr std::uint32_t pause_counted_max = 4 * pause_seconds_max;
    const std::uint32_t pause = std::min(taken_seconds - row.last_seconds, pause_counted_max);
    row.pause_sixteenths = usual_pause(row.pause_sixteenths, pause * sixteenths);
  }
  row.beats = std::min(row.beats + 1, beats_enough);
  row.last_seconds = taken_seconds;
  count(row, 1);
  changed_[service / page_rows] = 1;
}

Pulses::Count Pulses::count_at(std::uint32_t through_seconds) const {
  const std::uint32_t through = in_steps(through_seconds);
  Count count = count_;
  if (through <= through_seconds_) return count;
  for (auto each = overdue_.upper_bound(through_seconds_);
       each != overdue_.end() && each->first <= through; ++each) {
    count.speaking -= each->second;
    count.silent += each->second;
  }
  for (auto each = overdue_.begin();
       each != overdue_.end() && each->first + window_seconds_ <= through; ++each) {
    count.silent -= each->second;
  }
  return count;
}

void Pulses::advance(std::uint32_t through_seconds) {
  const std::uint32_t through = in_steps(through_seconds);
  if (through <= through_seconds_) return;
  count_ = count_at(through);
  through_seconds_ = through;
  through_changed_ = true;
  while (!overdue_.empty() && overdue_.begin()->first + window_seconds_ <= through) {
    overdue_.erase(overdue_.begin());
  }
}

void Pulses::forget_silent() {
  for (std::size_t service = 0; service < rows_.size(); ++service) {
    Row& row = rows_[service];
    if (!is_counted(row) || overdue_seconds(row) > through_seconds_) continue;
    count(row, -1);
    row.beats = 0;
    changed_[service / page_rows] = 1;
  }
}

void Pulses::save(const std::string& prefix, PageSink& sink) {
  for (std::size_t page = changed_.size(); page < stale_pages_; ++page) {
    sink.erase(prefix + "page/" + std::to_string(page));
  }
  stale_pages_ = 0;
  for (std::size_t page = 0; page < changed_.size(); ++page) {
    if (changed_[page] == 0) continue;
    changed_[page] = 0;
    const std::size_t first = page * page_rows;
    const std::size_t count = std::min(page_rows, rows_.size() - first);
    sink.put(prefix + "page/" + std::to_string(page),
             {reinterpret_cast<const char*>(&rows_[first]), count * sizeof(Row)});
  }
  if (through_changed_) sink.put(prefix + "through", std::to_string(through_seconds_));
  through_changed_ = false;
}

bool Pulses::load(const std::string& prefix, std::string_view key, std::string_view value) {
  if (!key.starts_with(prefix)) return false;
  const std::string_view name = key.substr(prefix.size());
  const auto number = []<class Number>(std::string_view text, Number& out) {
    const std::optional<Number> read = parse_number<Number>(text);
    if (read) out = *read;
    return read.has_value();
  };
  if (name == "through") {
    CHECK(number(value, through_seconds_), "the time of saved pulses is no number");
    return true;
  }
  std::size_t page = 0;
  constexpr std::string_view page_name = "page/";
  CHECK(name.starts_with(page_name) && number(name.substr(page_name.size()), page),
        "an unknown page of pulses");
  CHECK(
      !value.empty() && value.size() % sizeof(Row) == 0 && value.size() <= page_rows * sizeof(Row),
      "a page of pulses has another size");
  loaded_pages_.emplace(page, value);
  return true;
}

void Pulses::finish_load(std::size_t services) {
  // Services that have never spoken may leave a page short, or out.
  for (const auto& [page, bytes] : loaded_pages_) {
    const std::size_t count = bytes.size() / sizeof(Row);
    CHECK(page <= services / page_rows && page * page_rows + count <= services,
          "a page of pulses is of services that are not known");
    rows_.resize(page * page_rows + count);
    std::memcpy(static_cast<void*>(&rows_[page * page_rows]), bytes.data(), bytes.size());
  }
  loaded_pages_.clear();
  changed_.assign((rows_.size() + page_rows - 1) / page_rows, 0);
  count_all();
}

void Pulses::clear() {
  stale_pages_ = std::max(stale_pages_, changed_.size());
  rows_.clear();
  changed_.clear();
  through_seconds_ = 0;
  through_changed_ = true;
  count_all();
}

}  // namespace selfheal
