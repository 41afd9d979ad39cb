#include "decision/predictor/predictor.hpp"

#include <algorithm>

#include "base/math.hpp"

namespace selfheal {
namespace {

// The others are scored in the next cut: they are due by then.
constexpr std::size_t scored_per_cut_max = 500;

// One row an id, until fold version 4.
constexpr std::string_view outdated_prefix = "predictor/seen/";
constexpr std::size_t active_rows_max = 20000;

std::string trouble_key(const std::string& service, const std::string& resource_id,
                        const std::string& code) {
  return service + "\n" + resource_id + "\n" + code;
}

// Only rules, alerts and predictions say when their trouble has passed.
bool says_when_over(const std::string& origin) {
  return origin != "failure" && origin != "degradation";
}

}  // namespace

Predictor::Predictor()
    : active_("predictor/active/"),
      predictions_("predictor/prediction/"),
      beliefs_("predictor/belief/"),
      crossings_("predictor/crossing/"),
      error_rates_("predictor/error_rate/"),
      forwards_taken_("predictor/forward/"),
      watched_("predictor/watched/"),
      looks_("predictor/look/"),
      input_path_("predictor/input_path/") {}

void Predictor::save(PageSink& sink) {
  active_.save(sink);
  predictions_.save(sink);
  beliefs_.save(sink);
  for (const std::string& page : outdated_pages_) sink.erase(page);
  outdated_pages_.clear();
  seen_.save("predictor/seen_ids/", sink);
  crossings_.save(sink);
  error_rates_.save(sink);
  forwards_taken_.save(sink);
  watched_.save(sink);
  looks_.save(sink);
  input_path_.save(sink);
  pulses_.save("predictor/pulse/", sink);
  table_.save("predictor/series/", sink);
}

bool Predictor::load(std::string_view page_key, std::string_view value) {
  if (page_key.starts_with(outdated_prefix)) {
    outdated_pages_.emplace_back(page_key);
    return true;
  }
  return active_.load(page_key, value) || predictions_.load(page_key, value) ||
         beliefs_.load(page_key, value) || seen_.load("predictor/seen_ids/", page_key, value) ||
         crossings_.load(page_key, value) || error_rates_.load(page_key, value) ||
         forwards_taken_.load(page_key, value) || watched_.load(page_key, value) ||
         looks_.load(page_key, value) || input_path_.load(page_key, value) ||
         pulses_.load("predictor/pulse/", page_key, value) ||
         table_.load("predictor/series/", page_key, value);
}

void Predictor::finish_load() {
  table_.finish_load();
  pulses_.finish_load(table_.services().size());
  seen_.finish_load();
  uses_.clear();
  for (std::uint32_t metric = 0; metric < table_.metrics().size(); ++metric) note_metric(metric);
  is_watched_.assign(table_.services().size(), 0);
  for (const auto& [service, row] : watched_.rows()) {
    const std::uint32_t number = table_.services().find(service);
    if (number != NameTable::none) is_watched_[number] = 1;
  }
}

void Predictor::configure(std::shared_ptr<const Settings> settings) {
  Stage::configure(settings);
  const PredictorSettings& predictor = settings->predictor;
  plain_.bucket_seconds =
      static_cast<std::uint32_t>(std::max<std::int64_t>(1, predictor.bucket.ms / 1000));
  plain_.rise.log_rise = 0;
  latency_ = plain_;
  latency_.rise = RiseLimit::from_fraction(predictor.latency_rise);
  pulses_.configure(settings->silence.after.ms, settings->silence.window.ms);
  asked_metrics_.clear();
  const auto ask = [&](const Condition& condition) {
    if (!condition.metric.empty()) asked_metrics_.insert(condition.metric);
  };
  for (const Playbook& playbook : settings->playbooks) {
    std::for_each(playbook.preconditions.begin(), playbook.preconditions.end(), ask);
    std::for_each(playbook.verify.begin(), playbook.verify.end(), ask);
    for (const Step& step : playbook.steps) {
      std::for_each(step.wait_for.begin(), step.wait_for.end(), ask);
    }
  }
  uses_.clear();
  for (std::uint32_t metric = 0; metric < table_.metrics().size(); ++metric) note_metric(metric);
  std::vector<ServiceNode> services;
  for (const ServiceEntry& entry : settings->graph.services) {
    services.push_back({.name = entry.name, .depends_on = entry.depends_on});
  }
  Result<Graph> graph = Graph::build(std::move(services));
  CHECK(graph, "an invalid graph passed validation");
  graph_ = std::move(*graph);
}

void Predictor::note_metric(std::uint32_t metric) {
  const std::string& name = table_.metrics().text(metric);
  const PredictorSettings& predictor = settings().predictor;
  const auto listed = [&](const std::vector<std::string>& names) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  MetricUse use;
  use.latency = listed(predictor.latency_metrics);
  use.errors = listed(predictor.error_metrics);
  use.asked_for = asked_metrics_.contains(name);
  for (std::size_t i = 0; i < predictor.rules.size(); ++i) {
    if (predictor.rules[i].metric == name) use.rules.push_back(i);
  }
  uses_.push_back(std::move(use));
}

TimeMs Predictor::next_due_ms() const {
  TimeMs due_ms = to_publish_.empty() ? silence_due_ms() : 0;
  for (const auto& [key, prediction] : predictions_.rows()) {
    due_ms = std::min(due_ms, prediction.score.empty() ? prediction.deadline_ms : 0);
  }
  for (const auto& [key, look] : looks_.rows()) {
    if (look.due_ms > 0) due_ms = std::min(due_ms, look.due_ms);
  }
  return due_ms;
}

// --- evolve -------------------------------------------------------------------------------------

void Predictor::on_diagnosis(const Diagnosis& diagnosis, const EventPlace& place) {
  if (!diagnosis.signal_id.empty()) seen_.add(diagnosis.signal_id);
  if (diagnosis.stale) return;
  active_.put(
      trouble_key(diagnosis.service, diagnosis.resource_id, diagnosis.code),
      {diagnosis.service, diagnosis.resource_id, diagnosis.code, diagnosis.origin, place.tick_ms});
  mark_predictions(diagnosis.service, "TP", true, place);
  if (active_.size() <= active_rows_max) return;
  std::vector<std::string> over;
  for (const auto& [key, row] : active_.rows()) {
    const bool past = row.said_ms + settings().predictor.repeat_after.ms < place.tick_ms;
    if (!says_when_over(row.origin) && past) over.push_back(key);
  }
  for (const std::string& key : over) active_.erase(key);
}

void Predictor::on_prediction(const Prediction& prediction, const EventPlace& place) {
  if (prediction.stale) return;
  if (!prediction.shadow) {
    active_.put(trouble_key(prediction.service, "", prediction.code),
                {prediction.service, "", prediction.code, "prediction", place.tick_ms});
  }
  OpenPrediction open;
  open.service = prediction.service;
  open.code = prediction.code;
  open.source = prediction.source;
  open.likelihood = prediction.likelihood;
  open.cause = place.id();
  open.deadline_ms = place.tick_ms + settings().predictor.scoring_window.ms;
  predictions_.put(trouble_key(prediction.service, prediction.code, prediction.source),
                   std::move(open));
}

void Predictor::on_cleared(const DiagnosisCleared& cleared, const EventPlace& place) {
  active_.erase(trouble_key(cleared.service, cleared.resource_id, cleared.code));
  if (cleared.origin == "prediction") mark_predictions(cleared.service, "FP", false, place);
}

// Decides how the open predictions of a service ended. Those that were acted upon are judged by the
// outcome of the run, unless `acted_too`.
void Predictor::mark_predictions(const std::string& service, const std::string& score,
                                 bool acted_too, const EventPlace& place) {
  const std::string prefix = service + "\n";
  std::vector<std::string> keys;
  for (auto row = predictions_.rows().lower_bound(prefix);
       row != predictions_.rows().end() && row->first.starts_with(prefix); ++row) {
    if (row->second.score.empty() && (acted_too || !row->second.acted)) keys.push_back(row->first);
  }
  for (const std::string& key : keys) {
    OpenPrediction* row = predictions_.edit(key);
    row->score = score;
    row->cause = place.id();
  }
}

void Predictor::evolve(const Event& event, const EventPlace& place) {
  if (const auto* diagnosis = std::get_if<Diagnosis>(&event.body)) {
    on_diagnosis(*diagnosis, place);
  } else if (const auto* prediction = std::get_if<Prediction>(&event.body)) {
    on_prediction(*prediction, place);
  } else if (const auto* cleared = std::get_if<DiagnosisCleared>(&event.body)) {
    on_cleared(*cleared, place);
  } else if (const auto* scored = std::get_if<Scored>(&event.body)) {
    predictions_.erase(trouble_key(scored->service, scored->code, scored->source));
    if (scored->score != "FN") {
      beliefs_.put(scored->code + "\n" + scored->source, {scored->rule_alpha, scored->rule_beta});
    }
  } else if (const auto* opened = std::get_if<IncidentOpened>(&event.body)) {
    watched_.at(opened->service).seen_ms = place.tick_ms;
    to_publish_.push_back(opened->service);
    const std::uint32_t number = table_.services().find(opened->service);
    if (number != NameTable::none) {
      if (is_watched_.size() <= number) is_watched_.resize(number + 1, 0);
      is_watched_[number] = 1;
    }
  } else if (const auto* closed = std::get_if<IncidentClosed>(&event.body)) {
    watched_.erase(closed->service);
    const std::uint32_t number = table_.services().find(closed->service);
    if (number < is_watched_.size()) is_watched_[number] = 0;
    std::vector<std::string> over;
    for (auto row = active_.rows().lower_bound(closed->service + "\n");
         row != active_.rows().end() && row->first.starts_with(closed->service + "\n"); ++row) {
      if (!says_when_over(row->second.origin)) over.push_back(row->first);
    }
    for (const std::string& key : over) active_.erase(key);
  } else if (const auto* intent = std::get_if<RunIntent>(&event.body)) {
    for (const auto& [key, row] : predictions_.rows()) {
      if (row.service == intent->service) predictions_.edit(key)->acted = true;
    }
  } else if (const auto* outcome = std::get_if<Outcome>(&event.body)) {
    if (outcome->proactive && outcome->result == "recovered") {
      mark_predictions(outcome->service, "TP", true, place);
    }
  } else if (const auto* changed = std::get_if<InputPathChanged>(&event.body)) {
    on_input_path(*changed, place);
  } else if (const auto* taken = std::get_if<ForwardTaken>(&event.body)) {
    forwards_taken_.put(std::to_string(taken->source_shard),
                        {taken->source_seq, taken->source_k, taken->source_ms});
  }
}

// --- decide -------------------------------------------------------------------------------------

void Predictor::decide(Token& token) {
  if (token.settings_changed) {
    emit(token, {"", "", "config",
                 SettingsActivated{to_hex(sha256(settings_text(settings()))), token.generation}});
  }
  publish_watched(token);
  take_forwards(token);
  if (token.signals != nullptr) {
    take_signals(token, *token.signals, true);
    send_dead_letters(token, *token.signals);
  }
  plan_look(token);
  watch_silence(token);
  send_forwards(token);
  score(token);
  token.series = static_cast<std::int64_t>(table_.size());
}

void Predictor::publish_watched(Token& token) {
  for (const std::string& service : to_publish_) {
    const std::uint32_t number = table_.services().find(service);
    if (number == NameTable::none) continue;
    for (SeriesNumber series = table_.first_of_service(number); series != no_series;
         series = table_.entry(series).next_of_service) {
      const SeriesEntry& entry = table_.entry(series);
      const SeriesCore& core = table_.fast(series).core;
      if (!uses_[entry.metric].asked_for || core.count == 0) continue;
      token.watched.push_back({service, table_.metrics().text(entry.metric), "",
                               core.reference + static_cast<double>(core.previous),
                               static_cast<TimeMs>(core.time_seconds) * one_second_ms});
    }
  }
  to_publish_.clear();
}

bool Predictor::is_stale(const Token& token, const Signal& signal) const {
  // An alert may have been firing for long: its age counts from its receipt.
  const TimeMs time_ms = signal.type == SignalType::alert ? signal.received_ms : signal.time_ms;
  return time_ms < token.cut.tick_ms - settings().run.signal_age_max.ms;
}

std::string Predictor::cause_of(const Signal& signal) const {
  // A look at what has fallen silent has no signal.
  return signal.offset < 0 ? "timer" : "signals:" + std::to_string(signal.offset);
}

bool Predictor::seen_before(const Signal& signal) {
  if (signal.id.empty()) return false;
  if (seen_.contains(signal.id)) return true;
  seen_.add(signal.id);
  return false;
}

bool Predictor::may_say(const Token& token, const std::string& service,
                        const std::string& resource_id, const std::string& code) const {
  const ActiveTrouble* said = active_.find(trouble_key(service, resource_id, code));
  if (said == nullptr) return true;
  // It is known. Where no incident is open for it any more, it is said again after a while.
  return watched_.find(service) == nullptr &&
         said->said_ms + settings().predictor.repeat_after.ms <= token.cut.tick_ms;
}

std::vector<std::string> Predictor::playbooks_for(const std::string& code) const {
  std::vector<std::string> names;
  for (const Playbook& playbook : settings().playbooks) {
    const auto& triggers = playbook.triggers;
    if (std::find(triggers.begin(), triggers.end(), code) != triggers.end()) {
      names.push_back(playbook.name);
    }
  }
  return names;
}

std::string Predictor::impact_on(const std::string& service) const {
  const ServiceEntry* entry = find_service(settings(), service);
  if (entry == nullptr) return "medium";
  // Many dependents raise what a middling service can do to others.
  constexpr std::int64_t wide_radius = 3;
  const bool wide = graph_.blast_radius(service).count >= wide_radius;
  if (entry->risk_tier == "medium" && wide) return "high";
  if (entry->risk_tier == "low" && wide) return "medium";
  return entry->risk_tier;
}

void Predictor::diagnose(Token& token, const Signal& signal, Diagnosis diagnosis) {
  diagnosis.service = std::string(signal.service);
  diagnosis.signal_time_ms = signal.time_ms;
  diagnosis.signal_id = std::string(signal.id);
  diagnosis.stale = is_stale(token, signal);
  diagnosis.impact = impact_on(diagnosis.service);
  diagnosis.likelihood = diagnosis.confidence;
  if (diagnosis.suggested_playbooks.empty()) {
    diagnosis.suggested_playbooks = playbooks_for(diagnosis.code);
  }
  const std::string prefix = diagnosis.service + "\n";
  const auto predicted = predictions_.rows().lower_bound(prefix);
  const bool was_predicted =
      predicted != predictions_.rows().end() && predicted->first.starts_with(prefix);
  const Scored missed{
      .code = diagnosis.code, .service = diagnosis.service, .source = "builtin", .score = "FN"};
  const bool counts = diagnosis.origin == "rule" && !diagnosis.stale && !was_predicted;
  const std::string id = emit(token, {diagnosis.service, "", cause_of(signal), diagnosis});
  if (counts) emit(token, {missed.service, "", id, missed});
}

void Predictor::predict(Token& token, const Signal& signal, Prediction prediction) {
  prediction.service = std::string(signal.service);
  prediction.signal_time_ms = signal.time_ms;
  prediction.stale = is_stale(token, signal);
  prediction.shadow = prediction.shadow || settings().predictive_shadow;
  if (prediction.impact.empty()) prediction.impact = impact_on(prediction.service);
  if (prediction.suggested_playbooks.empty()) {
    prediction.suggested_playbooks = playbooks_for(prediction.code);
  }
  emit(token, {prediction.service, "", cause_of(signal), prediction});
}

void Predictor::clear(Token& token, const Signal& signal, const std::string& resource_id,
                      const std::string& code, const std::string& reason) {
  const std::string service(signal.service);
  const ActiveTrouble* active = active_.find(trouble_key(service, resource_id, code));
  if (active == nullptr) return;
  DiagnosisCleared cleared{code, service, resource_id, active->origin, reason};
  emit(token, {service, "", cause_of(signal), cleared});
}

void Predictor::score(Token& token) {
  std::vector<OpenPrediction> ended;
  for (const auto& [key, row] : predictions_.rows()) {
    if (!row.score.empty() || row.deadline_ms <= token.cut.tick_ms) ended.push_back(row);
    if (ended.size() == scored_per_cut_max) break;
  }
  for (const OpenPrediction& prediction : ended) {
    const RuleBelief* known = beliefs_.find(prediction.code + "\n" + prediction.source);
    RuleBelief belief = known == nullptr ? RuleBelief{} : *known;
    const std::string result = prediction.score.empty() ? "FP" : prediction.score;
    (result == "TP" ? belief.alpha : belief.beta) += 1;
    Scored scored{.code = prediction.code, .service = prediction.service};
    scored.source = prediction.source;
    scored.score = result;
    scored.likelihood = prediction.likelihood;
    scored.rule_alpha = belief.alpha;
    scored.rule_beta = belief.beta;
    emit(token, {prediction.service, "", prediction.cause, scored});
  }
}

}  // namespace selfheal
