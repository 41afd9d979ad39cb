#include "topics/signal_encoder.hpp"

#include <array>
#include <charconv>

#include "topics/signal_check.hpp"

namespace selfheal {
namespace {

// Writes members in call order. Texts are UTF-8 already: the decoders refuse anything else.
class Writer {
 public:
  Writer() { out_ += '{'; }

  void text(std::string_view name, std::string_view value) {
    if (value.empty()) return;
    begin(name);
    quote(value);
  }

  template <class Number>
  void number(std::string_view name, Number value) {
    begin(name);
    std::array<char, 32> digits{};
    const auto [end, failure] = std::to_chars(digits.data(), digits.data() + digits.size(), value);
    out_.append(digits.data(), end);
  }

  void number_unless(std::string_view name, double value, double absent) {
    if (value != absent) number(name, value);
  }

  void raw(std::string_view name, std::string_view json) {
    if (json.empty()) return;
    begin(name);
    out_ += json;
  }

  template <class Pairs>
  void object(std::string_view name, const Pairs& pairs) {
    if (pairs.empty()) return;
    begin(name);
    char before = '{';
    for (const auto& [key, value] : pairs) {
      out_ += before;
      quote(key);
      out_ += ':';
      quote(value);
      before = ',';
    }
    out_ += '}';
  }

  void list(std::string_view name, const std::vector<std::string>& texts) {
    if (texts.empty()) return;
    begin(name);
    char before = '[';
    for (const std::string& each : texts) {
      out_ += before;
      quote(each);
      before = ',';
    }
    out_ += ']';
  }

  std::string finish() {
    out_ += '}';
    return std::move(out_);
  }

 private:
  void begin(std::string_view name) {
    if (out_.size() > 1) out_ += ',';
    out_ += '"';
    out_ += name;
    out_ += "\":";
  }

  void quote(std::string_view text) {
    constexpr std::string_view digits = "0123456789abcdef";
    out_ += '"';
    for (const char each : text) {
      const auto byte = static_cast<unsigned char>(each);
      if (each == '"' || each == '\\') {
        out_ += '\\';
        out_ += each;
      } else if (byte < 0x20) {
        out_ += "\\u00";
        out_ += digits[byte >> 4];
        out_ += digits[byte & 15];
      } else {
        out_ += each;
      }
    }
    out_ += '"';
  }

  std::string out_;
};

void write_detail(Writer& writer, SignalType type, const SignalDetail& detail) {
  SignalDetail absent;
  // A prediction must say how likely it is, even where it is not likely at all.
  if (type == SignalType::prediction) absent.likelihood = -1;
  writer.text("code", detail.code);
  writer.text("message", detail.message);
  writer.text("severity", detail.severity);
  writer.text("worker", detail.worker);
  writer.text("worker_type", detail.worker_type);
  writer.text("task_id", detail.task_id);
  writer.text("status", detail.status);
  writer.text("alertname", detail.alertname);
  writer.text("fingerprint", detail.fingerprint);
  writer.text("impact", detail.impact);
  writer.raw("evidence", detail.evidence);
  writer.object("labels", detail.labels);
  writer.list("suggested_playbooks", detail.suggested_playbooks);
  writer.number_unless("confidence", detail.confidence, absent.confidence);
  writer.number_unless("likelihood", detail.likelihood, absent.likelihood);
  writer.number_unless("lead_time_seconds", detail.lead_time_seconds, absent.lead_time_seconds);
  writer.number_unless("health_score", detail.health_score, absent.health_score);
  writer.number_unless("progress", detail.progress, absent.progress);
}

}  // namespace

std::string signal_to_json(const Signal& signal) {
  Writer writer;
  writer.text("type", to_string(signal.type));
  writer.text("service", signal.service);
  if (signal.type == SignalType::metric) {
    writer.text("metric", signal.metric);
    writer.number("value", signal.value);
    std::vector<std::pair<std::string, std::string>> labels;
    if (split_labels(signal.labels, labels)) writer.object("labels", labels);
  }
  writer.number("time_ms", signal.time_ms);
  if (!signal.resource_kind.empty() || !signal.resource_id.empty()) {
    Writer resource;
    resource.text("kind", signal.resource_kind);
    resource.text("id", signal.resource_id);
    writer.raw("resource", resource.finish());
  }
  writer.text("sentinel", signal.sentinel);
  writer.text("id", signal.id);
  if (signal.detail != nullptr) write_detail(writer, signal.type, *signal.detail);
  return writer.finish();
}

}  // namespace selfheal
