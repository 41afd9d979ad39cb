#include "topics/signal_decoder.hpp"

#include <algorithm>
#include <array>
#include <functional>

#include "base/time_reader.hpp"
#include "topics/frame_codec.hpp"
#include "topics/metric_scan.hpp"
#include "topics/reserve.hpp"
#include "topics/signal_object.hpp"

namespace selfheal {
namespace {

constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
constexpr std::string_view blanks = " \t\r\n";

bool is_blank(char byte) {
  return blanks.find(byte) != std::string_view::npos;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

// Where the next line begins, if nothing but blanks stands from `at` to the end of this one.
std::optional<std::size_t> next_line(std::string_view text, std::size_t at) {
  while (at < text.size() && text[at] != '\n') {
    if (!is_blank(text[at])) return {};
    ++at;
  }
  return at + 1;
}

std::optional<SignalType> type_of(std::string_view name) {
  for (int i = 0; i < signal_type_count; ++i) {
    if (to_string(static_cast<SignalType>(i)) == name) return static_cast<SignalType>(i);
  }
  return {};
}

void fill_detail(const SignalDraft& draft, SignalDetail& detail) {
  detail.code = draft.code;
  detail.message = draft.message;
  detail.severity = draft.severity;
  detail.worker = draft.worker;
  detail.worker_type = draft.worker_type;
  detail.task_id = draft.task_id;
  detail.status = draft.status;
  detail.alertname = draft.alertname;
  detail.fingerprint = draft.fingerprint;
  detail.impact = draft.impact;
  detail.evidence = draft.evidence;
  for (const auto& [key, value] : draft.labels) detail.labels[std::string(key)] = value;
  detail.suggested_playbooks.assign(draft.suggested_playbooks.begin(),
                                    draft.suggested_playbooks.end());
  detail.confidence = draft.confidence.value_or(detail.confidence);
  detail.likelihood = draft.likelihood.value_or(detail.likelihood);
  detail.lead_time_seconds = draft.lead_time_seconds.value_or(detail.lead_time_seconds);
  detail.health_score = draft.health_score.value_or(detail.health_score);
  detail.progress = draft.progress.value_or(detail.progress);
  // Alertmanager names its alerts in the labels.
  const auto named = detail.labels.find("alertname");
  if (detail.alertname.empty() && named != detail.labels.end()) detail.alertname = named->second;
}

}  // namespace

class SignalDecoder::Core {
 public:
  void decode(const RecordView& record, SignalBatch& batch) {
    record_ = &record;
    batch_ = &batch;
    kept_labels_ = {};
    if (record.value.size() > record_bytes_max) {
      return fail(-1, "oversize: the record is longer than 1 MiB");
    }
    // A frame may begin with any byte after its magic, so it is never trimmed.
    if (!record.value.empty() && record.value.front() == frame_magic) {
      return decode_frame(record, batch);
    }
    std::string_view text = record.value;
    if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
    const std::string_view content = trimmed(text);
    if (content.empty()) return fail(-1, "empty: the record has no content");
    // Without its own line break this is one document; with one it may still be, laid out.
    const bool single = content.find('\n') == std::string_view::npos;
    if (content.front() != '{' && (single || content.find("\n{") == std::string_view::npos)) {
      return fail(-1, "unknown_format: neither JSON objects nor a binary frame");
    }
    kept_ = batch.keep_padded(text, text_padding);
    const std::size_t offset = static_cast<std::size_t>(content.data() - text.data());
    const std::string_view whole = kept_.substr(offset, content.size());
    if (single || is_laid_out(content)) {
      if (decode_whole(whole, single)) return;
      return decode_lines(kept_, {});
    }
    decode_lines(kept_, whole);
  }

 private:
  // Whether the first line is not a whole object, so that the object must go on behind it.
  static bool is_laid_out(std::string_view content) {
    return !trimmed(content.substr(0, content.find('\n'))).ends_with('}');
  }

  // The record as one object. False, and nothing done: it is not JSON, unless that is final.
  bool decode_whole(std::string_view text, bool final) {
    std::string wrong;
    bool read = scanner_.scan(text, known_labels_, metric_) == text.size();
    if (read) {
      wrong = finish_metric(0);
    } else {
      read = decode_object(text, 0, wrong);
    }
    if (!read && !final) return false;
    if (!wrong.empty()) fail(-1, std::move(wrong));
    return true;
  }

  // `whole`: what to try as one object where the first line is none; empty where that was tried.
  void decode_lines(std::string_view text, std::string_view whole) {
    // Lines of a usual length; more room at once would be wasted on long ones.
    constexpr std::size_t usual_line_bytes = 128;
    reserve_growing(batch_->signals, batch_->signals.size() + text.size() / usual_line_bytes);
    std::int32_t line = 0;
    std::size_t objects = 0;
    for (std::size_t at = 0; at < text.size(); ++line) {
      if (const std::size_t length = scanner_.scan(text.substr(at), known_labels_, metric_)) {
        if (const std::optional<std::size_t> next = next_line(text, at + length)) {
          if (++objects > signal_limits::signals_max) return fail_too_many(line);
          if (std::string wrong = finish_metric(line); !wrong.empty()) fail(line, std::move(wrong));
          at = *next;
          continue;
        }
      }
      const std::size_t end = std::min(text.find('\n', at), text.size());
      const std::string_view content = trimmed(text.substr(at, end - at));
      at = end + 1;
      if (content.empty()) continue;
      if (++objects > signal_limits::signals_max) return fail_too_many(line);
      std::string wrong;
      const bool read = decode_object(content, line, wrong);
      if (!read && objects == 1 && !whole.empty() && decode_whole(whole, false)) return;
      if (!wrong.empty()) fail(line, std::move(wrong));
    }
  }

  // What no scan has read. `text` lies in kept_. False: not JSON. True with `wrong` set: JSON, and
  // not a signal.
  bool decode_object(std::string_view text, std::int32_t line, std::string& wrong) {
    if (!reader_.read(text, draft_, wrong)) return false;
    if (!draft_.cloud_event) {
      // In binary mode the context attributes are headers and the value is the signal itself.
      wrong = finish(draft_, record_->event_time, line);
      return true;
    }
    if (draft_.data.empty()) {
      wrong = "bad_cloudevent: data is not a JSON object";
      return true;
    }
    // Raw JSON of a member lies in the same padded text.
    if (!data_reader_.read(draft_.data, data_draft_, wrong)) return true;
    if (data_draft_.cloud_event) {
      wrong = "bad_cloudevent: data is a CloudEvent itself";
      return true;
    }
    wrong = finish(data_draft_, draft_.time, line);
    return true;
  }

  // As a metric with these members and no labels. Every member is named: a signal is so large that
  // zeroing it first would cost as much as the rest.
  Signal begun(const MetricMembers& members, TimeMs time_ms, std::int32_t line) const {
    return {.type = SignalType::metric,
            .offset = record_->offset,
            .line = static_cast<std::uint32_t>(line),
            .time_ms = time_ms,
            .received_ms = record_->append_time_ms,
            .service = members.service,
            .metric = members.metric,
            .value = members.value.value_or(0),
            .labels = {},
            .resource_kind = members.resource_kind,
            .resource_id = members.resource_id,
            .sentinel = members.sentinel,
            .id = members.id,
            .detail = nullptr};
  }

  // Makes the signal, or says why not.
  std::string finish(SignalDraft& draft, std::string_view fallback_time, std::int32_t line) {
    const std::optional<SignalType> type = type_of(draft.type);
    if (!type) {
      return "unknown_type: '" + std::string(cut_text(draft.type, 64)) + "' is no signal type";
    }
    if (!draft.wrong.empty()) return std::move(draft.wrong);
    TimeMs time_ms = 0;
    std::string wrong = take_time(draft, fallback_time, time_ms);
    if (!wrong.empty()) return wrong;
    Signal signal = begun(draft, time_ms, line);
    if (*type == SignalType::metric) return finish_other_metric(draft, signal);
    signal.type = *type;
    signal.metric = {};
    signal.value = 0;
    if (*type == SignalType::heartbeat && signal.service.empty()) {
      signal.service = draft.worker_type;
    }
    if (*type == SignalType::prediction && !draft.likelihood) {
      return "missing_field: likelihood is missing";
    }
    SignalDetail detail;
    fill_detail(draft, detail);
    wrong = check_signal(signal, &detail);
    if (!wrong.empty()) return wrong;
    SignalDetail& kept = batch_->add_detail();
    kept = std::move(detail);
    signal.detail = &kept;
    keep(signal);
    return {};
  }

  // Makes the signal that was scanned, or says why not: as finish() does, with what the scan has
  // seen already left out.
  std::string finish_metric(std::int32_t line) {
    TimeMs time_ms = 0;
    std::string wrong = take_time(metric_, record_->event_time, time_ms);
    if (!wrong.empty()) return wrong;
    if (!metric_.value) return "missing_field: value is missing";
    Signal signal = begun(metric_, time_ms, line);
    if (!is_plain(signal)) wrong = check_signal(signal, nullptr);
    if (wrong.empty()) wrong = take_labels(signal);
    if (wrong.empty()) batch_->signals.push_back(signal);
    return wrong;
  }

  // Nothing that check_signal() would cut or refuse in a metric that was scanned.
  static bool is_plain(const Signal& signal) {
    const auto is_name = [](std::string_view text) {
      return !text.empty() && text.size() <= signal_limits::name_bytes_max;
    };
    return is_name(signal.service) && is_name(signal.metric) &&
           std::max({signal.resource_kind.size(), signal.resource_id.size(), signal.sentinel.size(),
                     signal.id.size()}) <= signal_limits::text_bytes_max;
  }

  // Judges the labels that were scanned and takes their canonical form. A sentinel writes the same
  // ones time and again.
  std::string take_labels(Signal& signal) {
    if (metric_.labels_text.empty()) return {};
    if (!metric_.are_labels_known) {
      kept_labels_ = {};
      std::string wrong = check_labels(metric_.labels, labels_);
      known_labels_ = wrong.empty() ? metric_.labels_text : std::string_view();
      if (!wrong.empty()) return wrong;
    }
    if (kept_labels_.empty()) kept_labels_ = batch_->keep(labels_);
    signal.labels = kept_labels_;
    return {};
  }

  std::string finish_other_metric(SignalDraft& draft, Signal& signal) {
    if (!draft.value) return "missing_field: value is missing";
    std::string wrong = check_signal(signal, nullptr);
    std::string labels;
    if (wrong.empty()) wrong = check_labels(draft.labels, labels);
    if (!wrong.empty()) return wrong;
    signal.metric = kept(signal.metric);
    signal.labels = batch_->keep(labels);
    keep(signal);
    return {};
  }

  std::string take_time(const MetricMembers& members, std::string_view fallback, TimeMs& time_ms) {
    time_ms = record_->append_time_ms;
    const std::string_view text =
        members.time.empty() && !members.time_ms ? fallback : members.time;
    if (!text.empty()) {
      const Result<TimeMs> parsed = time_reader_.read(text);
      if (!parsed) return "bad_time: " + parsed.error().context;
      time_ms = *parsed;
    } else if (members.time_ms) {
      time_ms = *members.time_ms;
    } else {
      return {};
    }
    return check_time(time_ms, record_->append_time_ms);
  }

  // The record's own text is kept as it is; what had escapes lies in a parser.
  std::string_view kept(std::string_view part) {
    const std::less<const char*> before;
    const bool own = !before(part.data(), kept_.data()) &&
                     !before(kept_.data() + kept_.size(), part.data() + part.size());
    return own ? part : batch_->keep(part);
  }

  void keep(Signal& signal) {
    signal.service = kept(signal.service);
    signal.resource_kind = kept(signal.resource_kind);
    signal.resource_id = kept(signal.resource_id);
    signal.sentinel = kept(signal.sentinel);
    signal.id = kept(signal.id);
    batch_->signals.push_back(signal);
  }

  void fail_too_many(std::int32_t line) {
    fail(line, "too_many: a record holds at most 10000 lines; the rest is not read");
  }

  void fail(std::int32_t line, std::string reason) {
    batch_->failures.push_back({record_->offset, line, std::move(reason)});
  }

  SignalObjectReader reader_;
  SignalObjectReader data_reader_;  // the outer draft's texts live in the other one
  std::string_view kept_;           // the record's text, in the batch
  MetricScanner scanner_;
  TimeReader time_reader_;
  MetricDraft metric_;
  SignalDraft draft_;
  SignalDraft data_draft_;
  // The labels that were judged last: as they stood there, in canonical form, and that as this
  // record's signals point to it; empty where none of them does yet.
  std::string known_labels_;
  std::string labels_;
  std::string_view kept_labels_;
  const RecordView* record_ = nullptr;
  SignalBatch* batch_ = nullptr;
};

SignalDecoder::SignalDecoder() : core_(std::make_unique<Core>()) {}
SignalDecoder::~SignalDecoder() = default;
SignalDecoder::SignalDecoder(SignalDecoder&&) noexcept = default;
SignalDecoder& SignalDecoder::operator=(SignalDecoder&&) noexcept = default;

void SignalDecoder::decode(const RecordView& record, SignalBatch& batch) {
  core_->decode(record, batch);
}

}  // namespace selfheal
