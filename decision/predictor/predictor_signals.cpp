// The part of the predictor that reads signals: the hot path over metrics, and the rarer types.
#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <tuple>

#include "base/check.hpp"
#include "decision/predictor/likelihood.hpp"
#include "decision/predictor/predictor.hpp"
#include "topics/dead_letter.hpp"
#include "topics/forward_body.hpp"
#include "topics/signal_check.hpp"
#include "topics/signal_encoder.hpp"

namespace selfheal {
namespace {

// Signals resolved together, so that their rows are on their way from memory before they are used.
constexpr std::size_t run_length = 64;

std::uint32_t seconds_of(TimeMs time_ms) {
  return static_cast<std::uint32_t>(std::clamp<TimeMs>(time_ms / one_second_ms, 0, UINT32_MAX));
}

std::string number(double value) {
  return dump(Json(value));
}

bool is_beyond(const ForwardMark& mark, const ControlMessage& message) {
  const bool timed = mark.tick_ms > 0 && message.time_ms > 0;
  return std::tuple(timed ? message.time_ms : 0, message.source_seq, message.source_k) >
         std::tuple(timed ? mark.tick_ms : 0, mark.seq, mark.k);
}

// A cut that has said so much already lets rules wait: they speak at their series' next value. What
// comes once (a failure, an alert, an edge) is never kept waiting.
constexpr std::size_t events_for_rules_max = 200;
// And notes no more anomalies.
constexpr std::size_t events_for_anomalies_max = 500;

// Of a cut's forwards as lines. In the text of its record they are at most twice that, and half of
// the record is left for what else the cut says.
constexpr std::size_t forward_lines_bytes_max = std::size_t{256} * 1024;

using Outgoing = std::map<std::int32_t, std::vector<Signal>>;  // by shard

// Nothing where they are too many.
std::optional<std::vector<Forwarded>> forwards_in_lines(const Outgoing& outgoing) {
  std::vector<Forwarded> forwards;
  std::size_t bytes = 0;
  for (const auto& [shard, signals] : outgoing) {
    Forwarded& forward = forwards.emplace_back();
    forward.target_shard = shard;
    forward.signals = static_cast<std::int64_t>(signals.size());
    for (const Signal& signal : signals) {
      forward.body += signal_to_json(signal) + "\n";
      if (bytes + forward.body.size() > forward_lines_bytes_max) return std::nullopt;
    }
    bytes += forward.body.size();
  }
  return forwards;
}

std::vector<Forwarded> framed_forwards(const Outgoing& outgoing) {
  std::vector<Forwarded> forwards;
  for (const auto& [shard, signals] : outgoing) {
    for (std::size_t begin = 0; begin < signals.size(); begin += signal_limits::signals_max) {
      const std::size_t count = std::min(signals.size() - begin, signal_limits::signals_max);
      Result<std::string> body = framed_forward(std::span(signals).subspan(begin, count));
      // Longer than a record may be: so is the cut, which is then decided in smaller ones.
      CHECK(body, body.error().context);
      forwards.push_back({shard, static_cast<std::int64_t>(count), std::move(*body)});
    }
  }
  return forwards;
}

double mean_of(const RuleBelief& belief) {
  return belief.alpha / (belief.alpha + belief.beta);
}

}  // namespace

void Predictor::take_forwards(Token& token) {
  for (const ControlInput& control : token.controls) {
    const ControlMessage& message = control.message;
    if (message.kind != "forward" || control.signals == nullptr) continue;
    const std::string cause = cause_of_control(control.offset);
    if (!is_signed_by_shard(settings(), message)) {
      emit(token, {"", "", cause,
                   ControlRefused{message.kind, message.target, message.key_id,
                                  "a forward must be signed by a shard's key"}});
      continue;
    }
    const ForwardMark* mark = forwards_taken_.find(std::to_string(message.source_shard));
    // The relay sends at least once and in order: what is not beyond the mark is a second copy.
    if (mark != nullptr && !is_beyond(*mark, message)) continue;
    emit(token, {"", "", cause,
                 ForwardTaken{message.source_shard, message.source_seq, message.source_k,
                              static_cast<std::int64_t>(control.signals->signals.size()),
                              message.time_ms}});
    take_signals(token, *control.signals, false);
  }
}

void Predictor::take_signals(Token& token, const SignalBatch& batch, bool may_forward) {
  const std::vector<Signal>& signals = batch.signals;
  for (std::size_t begin = 0; begin < signals.size(); begin += run_length) {
    take_metrics(token, batch, begin, std::min(begin + run_length, signals.size()), may_forward);
  }
}

void Predictor::take_metrics(Token& token, const SignalBatch& batch, std::size_t begin,
                             std::size_t end, bool may_forward) {
  std::array<Hash128, run_length> keys;
  std::array<SeriesNumber, run_length> found;
  for (std::size_t i = begin; i < end; ++i) {
    const Signal& signal = batch.signals[i];
    if (signal.type != SignalType::metric) continue;
    keys[i - begin] = SeriesTable::key_of(signal);
    table_.prefetch_slot(keys[i - begin]);
  }
  for (std::size_t i = begin; i < end; ++i) {
    if (batch.signals[i].type == SignalType::metric) table_.prefetch_entry(keys[i - begin]);
  }
  for (std::size_t i = begin; i < end; ++i) {
    if (batch.signals[i].type != SignalType::metric) continue;
    found[i - begin] = table_.find(keys[i - begin]);
    if (found[i - begin] == no_series) continue;
    prefetch(table_.fast(found[i - begin]));
  }
  for (std::size_t i = begin; i < end; ++i) {
    const Signal& signal = batch.signals[i];
    SeriesNumber series = signal.type == SignalType::metric ? found[i - begin] : no_series;
    if (series == no_series) {
      // Only what has no row yet has to be routed: a row exists where the service is ours.
      const std::int32_t shard = token.shard_of_service(signal.service);
      if (shard != token.facts.shard) {
        if (!may_forward) continue;  // a forward that was sent wrong is not sent on for ever
        outgoing_[shard].push_back(signal);
        continue;
      }
    }
    if (signal.type != SignalType::metric) {
      take_other(token, signal);
      continue;
    }
    // The same run may have added the series a moment ago.
    if (series == no_series) series = table_.find(keys[i - begin]);
    if (series == no_series) {
      if (table_.size() >= static_cast<std::size_t>(settings().predictor.series_max)) continue;
      const std::uint32_t service = table_.services().number_of(signal.service);
      const std::uint32_t metric = table_.metrics().number_of(signal.metric);
      if (metric >= uses_.size()) note_metric(metric);
      if (service >= is_watched_.size()) is_watched_.resize(service + 1, 0);
      if (watched_.find(std::string(signal.service)) != nullptr) is_watched_[service] = 1;
      series = table_.add(keys[i - begin], service, metric, seconds_of(signal.time_ms));
    }
    take_metric(token, signal, series);
  }
}

void Predictor::take_metric(Token& token, const Signal& signal, SeriesNumber series) {
  const SeriesEntry& entry = table_.entry(series);
  const MetricUse& use = uses_[entry.metric];
  const DetectorSettings& detector = use.latency ? latency_ : plain_;
  // By the clock that silence is judged by: a record's own time may be its sender's.
  pulses_.beat(entry.service, seconds_of(token.cut.caught_up_through_ms));
  const Observation seen = observe(table_.fast(series), &table_.wide(series), signal.value,
                                   seconds_of(signal.time_ms), detector);
  table_.mark_changed(series);
  token.touched_digest = hash64(table_.fast_bytes(series), token.touched_digest + series);
  if (is_watched_[entry.service] != 0 && use.asked_for) {
    token.watched.push_back({std::string(signal.service), std::string(signal.metric),
                             std::string(signal.resource_id), signal.value, signal.time_ms});
  }
  opened_ = opened_ || table_.fast(series).bucket_count > 0;
  if (!use.rules.empty()) apply_rules(token, signal, series);
  note_observation(token, signal, series, seen);
}

void Predictor::note_observation(Token& token, const Signal& signal, SeriesNumber series,
                                 const Observation& seen) {
  const MetricUse& use = uses_[table_.entry(series).metric];
  if (use.latency && seen.rise_edge != Edge::none) {
    apply_rise(token, signal, series, seen.rise_edge);
  }
  if (use.errors && seen.bucket_closed) apply_error_rate(token, signal, series);
  if (seen.alarm && seen.decades >= severe_threshold_decades) note_anomaly(token, signal, seen);
}

void Predictor::apply_rules(Token& token, const Signal& signal, SeriesNumber series) {
  const std::vector<std::size_t> rules = uses_[table_.entry(series).metric].rules;
  for (const std::size_t index : rules) {
    const TroubleRule& rule = settings().predictor.rules[index];
    const Result<Comparison> comparison = parse_comparison(rule.op);
    CHECK(comparison, "a rule with an unknown operator passed validation");
    const std::string key = std::to_string(series) + "/" + std::to_string(index);
    const std::string resource(signal.resource_kind.empty() || signal.resource_kind == "service"
                                   ? std::string_view()
                                   : signal.resource_id);
    if (!holds(*comparison, signal.value, rule.value)) {
      if (crossings_.find(key) == nullptr) continue;
      crossings_.erase(key);
      clear(token, signal, resource, rule.code, "the limit is no longer crossed");
      continue;
    }
    const Crossing* known = crossings_.find(key);
    if (known == nullptr) known = &crossings_.put(key, {signal.time_ms});
    if (signal.time_ms - known->since_ms < rule.hold.ms) continue;
    if (token.events.size() >= events_for_rules_max) continue;
    if (!may_say(token, std::string(signal.service), resource, rule.code)) continue;
    Diagnosis diagnosis{.code = rule.code, .confidence = rule.confidence, .origin = "rule"};
    if (!resource.empty()) {
      diagnosis.resource_kind = std::string(signal.resource_kind);
      diagnosis.resource_id = resource;
    }
    diagnosis.evidence = std::string(signal.metric) + " = " + number(signal.value) + ", " +
                         rule.op + " " + number(rule.value) + " for " +
                         format_duration(signal.time_ms - known->since_ms);
    std::vector<std::pair<std::string, std::string>> labels;
    if (split_labels(signal.labels, labels)) diagnosis.labels = {labels.begin(), labels.end()};
    diagnose(token, signal, std::move(diagnosis));
  }
}

void Predictor::apply_error_rate(Token& token, const Signal& signal, SeriesNumber series) {
  static const std::string code = "elevated_errors";
  const SeriesCore& core = table_.wide(series).core;
  const double ratio = core.reference + static_cast<double>(core.previous);
  const std::string key = std::to_string(series);
  ErrorRateRow row{};
  if (const ErrorRate* saved = error_rates_.find(key)) {
    const Result<std::string> bytes = from_hex(saved->row_hex);
    CHECK(bytes && bytes->size() == sizeof row, "a saved error-rate row has another size");
    std::memcpy(&row, bytes->data(), sizeof row);
  }
  const Edge edge = update(row, ratio);
  error_rates_.at(key).row_hex =
      to_hex(std::string_view(reinterpret_cast<const char*>(&row), sizeof row));
  if (edge == Edge::off) {
    clear(token, signal, "", code, "the error rate is back at its base");
  }
  if (edge != Edge::on || !may_say(token, std::string(signal.service), "", code)) return;
  Diagnosis diagnosis{.code = code, .confidence = 0.9, .origin = "rule"};
  diagnosis.evidence = std::string(signal.metric) + " = " + number(ratio) + ", usual " +
                       number(static_cast<double>(row.base)) + ", limit " +
                       number(error_rate_limit(static_cast<double>(row.base)));
  diagnose(token, signal, std::move(diagnosis));
}

void Predictor::apply_rise(Token& token, const Signal& signal, SeriesNumber series, Edge edge) {
  static const std::string code = "latency_spike";
  if (edge == Edge::off) {
    return clear(token, signal, "", code, "the level is back at its season");
  }
  const std::uint32_t now_seconds = seconds_of(signal.time_ms);
  const std::uint32_t age_seconds = now_seconds - table_.entry(series).first_seconds;
  const bool warm =
      static_cast<DurationMs>(age_seconds) * one_second_ms >= settings().predictor.warm_up.ms;
  if (!warm || !may_say(token, std::string(signal.service), "", code)) return;
  const T2Row& row = table_.wide(series);
  const RuleBelief* known = beliefs_.find(code + "\nbuiltin");
  Prediction prediction{.code = code, .metric = std::string(signal.metric), .source = "builtin"};
  prediction.likelihood = mean_of(known == nullptr ? RuleBelief{} : *known);
  prediction.lead_time_seconds =
      static_cast<double>(settings().predictor.lead_time.ms) / one_second_ms;
  prediction.level = row.core.reference + static_cast<double>(row.core.mean_10);
  prediction.expected = seasonal_level(row, now_seconds).value;
  prediction.evidence = prediction.metric + " has risen to " + number(signal.value) +
                        " above its seasonal level of " + number(prediction.expected);
  predict(token, signal, std::move(prediction));
}

// A single odd series is recorded and scored, and never acted on by itself.
void Predictor::note_anomaly(Token& token, const Signal& signal, const Observation& seen) {
  static const std::string code = "degradation";
  // Where everything is odd at once, the rest is still odd in the next cut.
  if (token.events.size() >= events_for_anomalies_max) return;
  const std::string key = std::string(signal.service) + "\n" + code + "\nanomaly";
  if (predictions_.find(key) != nullptr) return;
  Prediction prediction{.code = code, .metric = std::string(signal.metric), .source = "anomaly"};
  prediction.likelihood = cold_start_likelihood(static_cast<double>(seen.decades));
  prediction.level = signal.value;
  prediction.shadow = true;
  prediction.evidence = prediction.metric + " = " + number(signal.value) + " is a surprise of " +
                        number(static_cast<double>(seen.decades)) + " decades";
  predict(token, signal, std::move(prediction));
}

void Predictor::take_other(Token& token, const Signal& signal) {
  CHECK(signal.detail != nullptr, "a signal that is no metric lacks its detail");
  switch (signal.type) {
    case SignalType::failure:
    case SignalType::degradation:
      return take_failure(token, signal);
    case SignalType::alert:
      return take_alert(token, signal);
    case SignalType::prediction:
      return take_prediction(token, signal);
    case SignalType::metric:
    case SignalType::heartbeat:
    case SignalType::dispatch:
      return;
  }
}

void Predictor::take_failure(Token& token, const Signal& signal) {
  const SignalDetail& detail = *signal.detail;
  if (seen_before(signal)) return;
  const std::string resource(signal.resource_kind == "service" ? std::string_view()
                                                               : signal.resource_id);
  if (!may_say(token, std::string(signal.service), resource, detail.code)) return;
  Diagnosis diagnosis{.code = detail.code, .resource_id = resource};
  if (!resource.empty()) diagnosis.resource_kind = std::string(signal.resource_kind);
  diagnosis.confidence = detail.confidence;
  diagnosis.origin = std::string(to_string(signal.type));
  diagnosis.evidence = detail.message;
  diagnosis.labels = detail.labels;
  if (!detail.worker.empty()) diagnosis.labels["worker"] = detail.worker;
  if (!detail.task_id.empty()) diagnosis.labels["task_id"] = detail.task_id;
  diagnose(token, signal, std::move(diagnosis));
}

void Predictor::take_alert(Token& token, const Signal& signal) {
  const SignalDetail& detail = *signal.detail;
  const auto label = [&](const char* name) {
    const auto found = detail.labels.find(name);
    return found == detail.labels.end() ? std::string() : found->second;
  };
  std::string code = label("issue_type");
  const auto& codes = settings().predictor.alert_codes;
  if (const auto mapped = codes.find(detail.alertname); code.empty() && mapped != codes.end()) {
    code = mapped->second;
  }
  if (code.empty()) code = detail.alertname;
  const std::string resource(signal.resource_id);
  if (detail.status == "resolved") {
    return clear(token, signal, resource, code, "the alert is resolved");
  }
  if (seen_before(signal) || !may_say(token, std::string(signal.service), resource, code)) {
    return;
  }
  Diagnosis diagnosis{.code = code,
                      .resource_kind = std::string(signal.resource_kind),
                      .resource_id = resource,
                      .confidence = detail.confidence,
                      .origin = "alert",
                      .labels = detail.labels,
                      .evidence = detail.alertname};
  diagnose(token, signal, std::move(diagnosis));
}

void Predictor::take_prediction(Token& token, const Signal& signal) {
  const SignalDetail& detail = *signal.detail;
  if (!may_say(token, std::string(signal.service), "", detail.code)) return;
  Prediction prediction{.code = detail.code};
  prediction.source = signal.sentinel.empty() ? "unnamed" : std::string(signal.sentinel);
  prediction.likelihood = std::clamp(detail.likelihood, 0.0, 1.0);
  prediction.impact = detail.impact;
  prediction.lead_time_seconds = detail.lead_time_seconds;
  prediction.suggested_playbooks = detail.suggested_playbooks;
  prediction.evidence = detail.message;
  predict(token, signal, std::move(prediction));
}

void Predictor::send_forwards(Token& token) {
  std::optional<std::vector<Forwarded>> forwards = forwards_in_lines(outgoing_);
  if (!forwards) forwards = framed_forwards(outgoing_);
  for (Forwarded& forward : *forwards) {
    emit(token, {"", "", "signals:" + std::to_string(token.cut.signals_begin), std::move(forward)});
  }
  outgoing_.clear();
}

void Predictor::send_dead_letters(Token& token, const SignalBatch& batch) {
  if (batch.failures.empty()) return;
  for (const DecodeFailure& failure : told_failures(batch.failures)) {
    emit(token, {"", "", "signals:" + std::to_string(failure.offset),
                 DeadLettered{"signals", token.facts.shard, failure.offset, failure.line,
                              failure.reason}});
  }
}

}  // namespace selfheal
