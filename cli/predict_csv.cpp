#include "cli/predict_csv.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "base/parse_number.hpp"

namespace selfheal {
namespace {

namespace fs = std::filesystem;

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r')) {
    text.remove_suffix(1);
  }
  return text;
}

// No quoting: neither a timestamp nor a number needs it.
std::vector<std::string_view> fields_of(std::string_view line) {
  std::vector<std::string_view> fields;
  for (;;) {
    const std::size_t comma = line.find(',');
    fields.push_back(trimmed(line.substr(0, comma)));
    if (comma == std::string_view::npos) return fields;
    line.remove_prefix(comma + 1);
  }
}

// Exactly `digits` decimal digits at `position`, no sign, no blank.
std::optional<int> number_at(std::string_view text, std::size_t position, std::size_t digits) {
  if (position + digits > text.size()) return std::nullopt;
  int number = 0;
  for (char letter : text.substr(position, digits)) {
    if (letter < '0' || letter > '9') return std::nullopt;
    number = number * 10 + (letter - '0');
  }
  return number;
}

// Days since 1970-01-01 in the Gregorian calendar. Years are counted from March, so that the leap
// day is the last of its year and the months before it have fixed lengths.
std::int64_t days_since_1970(int year, int month, int day) {
  const std::int64_t y = month > 2 ? year : year - 1;
  const std::int64_t m = month > 2 ? month - 3 : month + 9;
  const std::int64_t days_before_month = (153 * m + 2) / 5;
  return 365 * y + y / 4 - y / 100 + y / 400 + days_before_month + day - 1 - 719468;
}

bool real_day(int year, int month, int day) {
  constexpr int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  if (month < 1 || month > 12 || day < 1) return false;
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return day <= lengths[month - 1] + (month == 2 && leap ? 1 : 0);
}

// What follows the seconds: an optional fraction (dropped) and zone. Nothing means UTC.
std::optional<int> zone_seconds(std::string_view rest) {
  if (!rest.empty() && rest.front() == '.') {
    const std::size_t end = std::min(rest.find_first_not_of("0123456789", 1), rest.size());
    if (end == 1) return std::nullopt;
    rest.remove_prefix(end);
  }
  if (rest.empty() || rest == "Z" || rest == "z") return 0;
  const auto hours = number_at(rest, 1, 2);
  const auto minutes = number_at(rest, 4, 2);
  const bool signed_zone = rest.front() == '+' || rest.front() == '-';
  if (rest.size() != 6 || !signed_zone || rest[3] != ':' || !hours || !minutes || *hours > 23 ||
      *minutes > 59) {
    return std::nullopt;
  }
  const int seconds = *hours * 3600 + *minutes * 60;
  return rest.front() == '+' ? seconds : -seconds;
}

std::optional<std::uint32_t> parse_time(std::string_view text) {
  const auto year = number_at(text, 0, 4);
  const auto month = number_at(text, 5, 2);
  const auto day = number_at(text, 8, 2);
  const auto hour = number_at(text, 11, 2);
  const auto minute = number_at(text, 14, 2);
  const auto second = number_at(text, 17, 2);
  if (!year || !month || !day || !hour || !minute || !second) return std::nullopt;
  const bool marks = text[4] == '-' && text[7] == '-' && text[13] == ':' && text[16] == ':' &&
                     (text[10] == ' ' || text[10] == 'T' || text[10] == 't');
  // 60 is a leap second.
  if (!marks || !real_day(*year, *month, *day) || *hour > 23 || *minute > 59 || *second > 60) {
    return std::nullopt;
  }
  const auto zone = zone_seconds(text.substr(19));
  if (!zone) return std::nullopt;
  const int of_day = *hour * 3600 + *minute * 60 + *second;
  const std::int64_t seconds = days_since_1970(*year, *month, *day) * 86400 + of_day - *zone;
  if (seconds < 0 || seconds > UINT32_MAX) return std::nullopt;
  return static_cast<std::uint32_t>(seconds);
}

// Empty, not a number or infinite: no value, which is no error in a recording.
std::optional<double> parse_value(std::string_view text) {
  if (!text.empty() && text.front() == '+') text.remove_prefix(1);
  const std::optional<double> value = parse_number<double>(text);
  return value && std::isfinite(*value) ? value : std::nullopt;
}

struct Columns {
  std::size_t count = 0;
  std::size_t timestamp = 0;
  std::size_t value = 0;
};

Result<Columns> read_header(std::string_view line, const std::string& place) {
  // Spreadsheets put a byte order mark in front.
  if (line.substr(0, 3) == "\xef\xbb\xbf") line.remove_prefix(3);
  const auto names = fields_of(line);
  const auto timestamp = std::find(names.begin(), names.end(), "timestamp");
  const auto value = std::find(names.begin(), names.end(), "value");
  if (timestamp == names.end() || value == names.end()) {
    return Error{ErrorCode::invalid,
                 place + ": the header must name the columns timestamp and value"};
  }
  return Columns{names.size(), static_cast<std::size_t>(timestamp - names.begin()),
                 static_cast<std::size_t>(value - names.begin())};
}

std::string place_of(const fs::path& file, std::uint64_t line) {
  return file.string() + ":" + std::to_string(line);
}

// Scores the rows of one open file.
Result<PredictSummary> score_rows(std::istream& in, std::ostream& out, const fs::path& input,
                                  const DetectorSettings& settings) {
  std::string line;
  if (!std::getline(in, line)) {
    return Error{ErrorCode::invalid, place_of(input, 1) + ": the file is empty"};
  }
  const auto columns = read_header(line, place_of(input, 1));
  if (!columns) return columns.error();
  out << "timestamp,value,anomaly_score\n";
  T1Row row;
  T2Row wide;
  PredictSummary summary{1, 0, 0, 0};
  float score = 0;
  for (std::uint64_t number = 2; std::getline(in, line); ++number) {
    if (trimmed(line).empty()) continue;
    const auto fields = fields_of(line);
    if (fields.size() != columns->count) {
      return Error{ErrorCode::invalid,
                   place_of(input, number) + ": " + std::to_string(fields.size()) +
                       " fields, the header has " + std::to_string(columns->count)};
    }
    const auto time_seconds = parse_time(fields[columns->timestamp]);
    if (!time_seconds) {
      return Error{ErrorCode::invalid,
                   place_of(input, number) + ": '" + std::string(fields[columns->timestamp]) +
                       "' is not a timestamp (YYYY-MM-DD HH:MM:SS or RFC 3339)"};
    }
    ++summary.rows;
    if (const auto value = parse_value(fields[columns->value])) {
      const Observation verdict = observe(row, &wide, *value, *time_seconds, settings);
      score = verdict.score;
      summary.alarms += verdict.alarm ? 1 : 0;
    } else {
      ++summary.skipped;
    }
    // The shortest digits that read back as the same float, so that results compare by bytes.
    char digits[32];
    const auto end = std::to_chars(digits, digits + sizeof digits, score).ptr;
    out << fields[columns->timestamp] << ',' << fields[columns->value] << ','
        << std::string_view(digits, static_cast<std::size_t>(end - digits)) << '\n';
  }
  return summary;
}

}  // namespace

Result<PredictSummary> predict_file(const fs::path& input, const fs::path& output,
                                    const DetectorSettings& settings) {
  std::ifstream in(input, std::ios::binary);
  if (!in) return Error{ErrorCode::not_found, "cannot read " + input.string()};
  // Written beside the target and renamed, so that a failure leaves no half file behind.
  const fs::path part = output.string() + ".part";
  std::error_code failure;
  if (output.has_parent_path()) fs::create_directories(output.parent_path(), failure);
  std::ofstream out(part, std::ios::binary | std::ios::trunc);
  if (!out) return Error{ErrorCode::unavailable, "cannot write " + part.string()};
  auto summary = score_rows(in, out, input, settings);
  out.close();
  if (summary && in.bad()) summary = Error{ErrorCode::unavailable, "cannot read " + input.string()};
  if (summary && !out) summary = Error{ErrorCode::unavailable, "cannot write " + part.string()};
  if (!summary) {
    fs::remove(part, failure);
    return summary;
  }
  fs::rename(part, output, failure);
  if (failure) {
    return Error{ErrorCode::unavailable,
                 "cannot write " + output.string() + ": " + failure.message()};
  }
  return summary;
}

Result<PredictSummary> predict_tree(const fs::path& input_directory,
                                    const fs::path& output_directory,
                                    const DetectorSettings& settings) {
  std::error_code failure;
  std::vector<fs::path> inputs;
  for (fs::recursive_directory_iterator entry(input_directory, failure), end;
       !failure && entry != end; entry.increment(failure)) {
    if (entry->is_regular_file() && entry->path().extension() == ".csv") {
      inputs.push_back(entry->path());
    }
  }
  if (failure) {
    return Error{ErrorCode::not_found,
                 "cannot read " + input_directory.string() + ": " + failure.message()};
  }
  // Directories list in any order; which error comes first should not depend on it.
  std::sort(inputs.begin(), inputs.end());
  PredictSummary total;
  for (const fs::path& input : inputs) {
    const fs::path relative = input.lexically_relative(input_directory);
    const auto one = predict_file(input, output_directory / relative, settings);
    if (!one) return one.error();
    total.files += one->files;
    total.rows += one->rows;
    total.skipped += one->skipped;
    total.alarms += one->alarms;
  }
  return total;
}

}  // namespace selfheal
