#include "topics/signal_check.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "topics/eight_bytes.hpp"
#include "topics/json_codec.hpp"

namespace selfheal {
namespace {

using namespace signal_limits;

std::string refuse(std::string_view word, std::string_view name, std::string_view rest) {
  std::string reason(word);
  reason += ": ";
  reason += name;
  reason += ' ';
  reason += rest;
  return reason;
}

std::string check_name(std::string_view text, std::string_view name) {
  if (text.size() > name_bytes_max) return refuse("too_long", name, "is longer than 256 bytes");
  if (has_control_character(text)) {
    return refuse("control_character", name, "holds a control character");
  }
  return {};
}

std::string check_required_name(std::string_view text, std::string_view name) {
  if (text.empty()) return refuse("missing_field", name, "is missing or empty");
  return check_name(text, name);
}

std::string check_between(double value, double low, double high, std::string_view name) {
  if (value >= low && value <= high) return {};
  return refuse("out_of_range", name,
                "is not between " + dump(Json(low)) + " and " + dump(Json(high)));
}

bool is_level(std::string_view text) {
  constexpr std::array<std::string_view, 4> levels = {"low", "medium", "high", "critical"};
  return std::find(levels.begin(), levels.end(), text) != levels.end();
}

void cut(std::string& text) {
  if (text.size() > text_bytes_max) text.resize(cut_text(text, text_bytes_max).size());
}

// JSON that is too long stays JSON: a string with its beginning, whose escapes count as well.
void cut_evidence(std::string& evidence) {
  std::size_t bytes = text_bytes_max;
  std::string shorter = std::move(evidence);
  evidence = shorter;
  while (evidence.size() > text_bytes_max) {
    evidence = dump(Json(std::string(cut_text(shorter, bytes))));
    bytes -= std::min(bytes, std::max<std::size_t>(1, evidence.size() - text_bytes_max));
  }
}

void cut_detail(SignalDetail& detail) {
  for (std::string* text :
       {&detail.code, &detail.message, &detail.severity, &detail.worker, &detail.worker_type,
        &detail.task_id, &detail.status, &detail.alertname, &detail.fingerprint, &detail.impact}) {
    cut(*text);
  }
  for (auto& [key, value] : detail.labels) cut(value);
  for (std::string& playbook : detail.suggested_playbooks) cut(playbook);
  if (detail.evidence.size() > text_bytes_max) cut_evidence(detail.evidence);
}

std::string check_names(const SignalDetail& detail) {
  using Named = std::pair<std::string_view, std::string_view>;
  for (const auto& [text, name] :
       {Named{detail.code, "code"}, Named{detail.worker, "worker"},
        Named{detail.worker_type, "worker_type"}, Named{detail.task_id, "task_id"},
        Named{detail.alertname, "alertname"}, Named{detail.fingerprint, "fingerprint"}}) {
    if (std::string wrong = check_name(text, name); !wrong.empty()) return wrong;
  }
  std::size_t labels_bytes = 0;
  for (const auto& [key, value] : detail.labels) {
    if (std::string wrong = check_required_name(key, "a label's key"); !wrong.empty()) {
      return wrong;
    }
    labels_bytes += key.size() + value.size();
  }
  if (labels_bytes > detail_labels_bytes_max) {
    return refuse("too_long", "labels", "are longer than 64 KiB together");
  }
  if (detail.labels.size() > labels_max) return refuse("too_many", "labels", "are more than 64");
  if (detail.suggested_playbooks.size() > playbooks_max) {
    return refuse("too_many", "suggested_playbooks", "are more than 64");
  }
  for (const std::string& playbook : detail.suggested_playbooks) {
    std::string wrong = check_required_name(playbook, "a suggested playbook");
    if (!wrong.empty()) return wrong;
  }
  return {};
}

std::string check_numbers(const SignalDetail& detail) {
  std::string wrong = check_between(detail.confidence, 0, 1, "confidence");
  if (wrong.empty()) wrong = check_between(detail.likelihood, 0, 1, "likelihood");
  if (wrong.empty()) wrong = check_between(detail.health_score, 0, 100, "health_score");
  constexpr double ten_years_seconds = 10.0 * 365 * 86400;
  if (wrong.empty()) {
    wrong = check_between(detail.lead_time_seconds, 0, ten_years_seconds, "lead_time_seconds");
  }
  // -1 says that there is none.
  if (wrong.empty() && detail.progress != -1) {
    wrong = check_between(detail.progress, 0, 1e9, "progress");
  }
  return wrong;
}

std::string check_by_type(SignalType type, const SignalDetail& detail) {
  switch (type) {
    case SignalType::metric:
      return {};
    case SignalType::heartbeat:
    case SignalType::dispatch:
      return check_required_name(detail.worker, "worker");
    case SignalType::failure:
      return check_required_name(detail.code, "code");
    case SignalType::alert:
      if (detail.status != "firing" && detail.status != "resolved") {
        return refuse("bad_value", "status", "is neither firing nor resolved");
      }
      return check_required_name(detail.alertname, "alertname");
    case SignalType::prediction:
      if (!detail.impact.empty() && !is_level(detail.impact)) {
        return refuse("bad_value", "impact", "is not low, medium, high or critical");
      }
      return check_required_name(detail.code, "code");
    case SignalType::degradation:
      if (!is_level(detail.severity)) {
        return refuse("bad_value", "severity", "is not low, medium, high or critical");
      }
      if (!detail.evidence.empty() && !Json::accept(detail.evidence)) {
        return refuse("bad_json", "evidence", "is not JSON");
      }
      return check_required_name(detail.code, "code");
  }
  return {};
}

// Takes one key or value off the front, up to an unescaped `stop` or the end.
bool take_label_part(std::string_view& text, char stop, std::string& part) {
  std::size_t at = 0;
  for (; at < text.size() && text[at] != stop; ++at) {
    if (text[at] == '=' || text[at] == ',') return false;
    if (text[at] == '\\') {
      ++at;
      if (at == text.size() || std::string_view(",=\\").find(text[at]) == std::string_view::npos) {
        return false;
      }
    }
    part += text[at];
  }
  const bool stopped = at < text.size();
  text.remove_prefix(stopped ? at + 1 : at);
  return stopped || stop == ',';
}

void write_label_part(std::string_view part, std::string& out) {
  for (const char each : part) {
    if (each == ',' || each == '=' || each == '\\') out += '\\';
    out += each;
  }
}

}  // namespace

bool has_control_character(std::string_view text) {
  const auto found = [](const char* eight) {
    const std::uint64_t word = eight_bytes::load(eight);
    return eight_bytes::below(word, 0x20) | eight_bytes::equal(word, 0x7f);
  };
  if (text.size() < 8) {
    for (const char each : text) {
      if (static_cast<unsigned char>(each) < 0x20 || each == 0x7f) return true;
    }
    return false;
  }
  std::uint64_t any = found(text.data() + text.size() - 8);  // overlaps what comes before
  for (std::size_t at = 0; at + 8 <= text.size(); at += 8) any |= found(text.data() + at);
  return any != 0;
}

std::string_view cut_text(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  std::size_t size = bytes_max;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) --size;
  return text.substr(0, size);
}

std::string check_time(TimeMs time_ms, TimeMs received_ms) {
  if (time_ms < time_ms_min) return "bad_time: time is before the year 2000";
  if (received_ms > 0 && time_ms > received_ms + ahead_ms_max) {
    return "bad_time: time is more than a day ahead of its record";
  }
  return {};
}

std::string check_signal(Signal& signal, SignalDetail* detail) {
  signal.resource_kind = cut_text(signal.resource_kind, text_bytes_max);
  signal.resource_id = cut_text(signal.resource_id, text_bytes_max);
  signal.sentinel = cut_text(signal.sentinel, text_bytes_max);
  signal.id = cut_text(signal.id, text_bytes_max);
  if (signal.service.empty()) return "missing_service: service is missing or empty";
  std::string wrong = check_name(signal.service, "service");
  if (!wrong.empty()) return wrong;
  if (has_control_character(signal.resource_kind) || has_control_character(signal.resource_id)) {
    return "control_character: resource holds a control character";
  }
  if (has_control_character(signal.sentinel) || has_control_character(signal.id)) {
    return "control_character: sentinel or id holds a control character";
  }
  if (signal.type == SignalType::metric) {
    if (!std::isfinite(signal.value)) return "bad_value: value is not a finite number";
    return check_required_name(signal.metric, "metric");
  }
  cut_detail(*detail);
  wrong = check_names(*detail);
  if (wrong.empty()) wrong = check_numbers(*detail);
  return wrong.empty() ? check_by_type(signal.type, *detail) : wrong;
}

std::string check_labels(LabelList& labels, std::string& canonical) {
  canonical.clear();
  if (labels.size() > labels_max) return "too_many: labels are more than 64";
  // By insertion: few, often sorted, and the library's stable sort allocates.
  for (std::size_t i = 1; i < labels.size(); ++i) {
    for (std::size_t at = i; at > 0 && labels[at].first < labels[at - 1].first; --at) {
      std::swap(labels[at], labels[at - 1]);
    }
  }
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto& [key, value] = labels[i];
    std::string wrong = check_required_name(key, "a label's key");
    if (!wrong.empty()) return wrong;
    if (i + 1 < labels.size() && labels[i + 1].first == key) continue;
    if (!canonical.empty()) canonical += ',';
    write_label_part(key, canonical);
    canonical += '=';
    write_label_part(value, canonical);
  }
  if (canonical.size() > labels_bytes_max) {
    return "too_long: labels are longer than 4096 bytes together";
  }
  return {};
}

bool split_labels(std::string_view canonical,
                  std::vector<std::pair<std::string, std::string>>& labels) {
  labels.clear();
  for (std::string_view rest = canonical; !rest.empty();) {
    auto& [key, value] = labels.emplace_back();
    if (!take_label_part(rest, '=', key) || !take_label_part(rest, ',', value)) return false;
  }
  // Written again it must be the same: that covers order, repeats and needless escapes.
  LabelList list(labels.begin(), labels.end());
  std::string again;
  return check_labels(list, again).empty() && again == canonical;
}

}  // namespace selfheal
