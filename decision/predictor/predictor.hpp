#pragma once
// Reads the signals of a cut: learns every series, predicts rises, and diagnoses trouble that is
// already there. Signals of other shards leave as forwards; unreadable ones as dead letters.
#include <map>
#include <set>
#include <string>
#include <vector>

#include "decision/graph.hpp"
#include "decision/predictor/pulses.hpp"
#include "decision/predictor/seen_ids.hpp"
#include "decision/predictor/series_table.hpp"
#include "decision/stage.hpp"

namespace selfheal {

// Trouble that has been said and has not passed: by service, resource, code.
struct ActiveTrouble {
  std::string service;
  std::string resource_id;
  std::string code;
  std::string origin;  // prediction, rule, failure, alert, degradation
  TimeMs said_ms = 0;
  static constexpr auto fields() {
    return std::tuple{field("service", &ActiveTrouble::service),
                      field("resource_id", &ActiveTrouble::resource_id),
                      field("code", &ActiveTrouble::code), field("origin", &ActiveTrouble::origin),
                      field("said_ms", &ActiveTrouble::said_ms)};
  }
  bool operator==(const ActiveTrouble&) const = default;
};

// A prediction whose end is awaited: by service, code, source.
struct OpenPrediction {
  std::string service;
  std::string code;
  std::string source;
  double likelihood = 0;
  TimeMs deadline_ms = 0;
  bool acted = false;  // a run was started for it
  std::string score;   // set when it is known how it ended; said in the next cut
  std::string cause;   // id of the decision that says how it ended; until then its own
  static constexpr auto fields() {
    return std::tuple{field("service", &OpenPrediction::service),
                      field("code", &OpenPrediction::code),
                      field("source", &OpenPrediction::source),
                      field("likelihood", &OpenPrediction::likelihood),
                      field("deadline_ms", &OpenPrediction::deadline_ms),
                      field("acted", &OpenPrediction::acted),
                      field("score", &OpenPrediction::score),
                      field("cause", &OpenPrediction::cause)};
  }
  bool operator==(const OpenPrediction&) const = default;
};

// How often a rule was right: Beta(alpha, beta), by code and source.
struct RuleBelief {
  double alpha = 17;
  double beta = 3;
  static constexpr auto fields() {
    return std::tuple{field("alpha", &RuleBelief::alpha), field("beta", &RuleBelief::beta)};
  }
  bool operator==(const RuleBelief&) const = default;
};

// A service with an open incident.
struct WatchedService {
  TimeMs seen_ms = 0;
  static constexpr auto fields() { return std::tuple{field("seen_ms", &WatchedService::seen_ms)}; }
  bool operator==(const WatchedService&) const = default;
};

// A limit that is being crossed, by series and rule. Soft.
struct Crossing {
  TimeMs since_ms = 0;
  static constexpr auto fields() { return std::tuple{field("since_ms", &Crossing::since_ms)}; }
  bool operator==(const Crossing&) const = default;
};

// State of the error-rate rule of one series, as bytes. Soft.
struct ErrorRate {
  std::string row_hex;
  static constexpr auto fields() { return std::tuple{field("row", &ErrorRate::row_hex)}; }
  bool operator==(const ErrorRate&) const = default;
};

// The last forward taken of a source. The source's ticks never fall, also where its journal lost
// its tail and its seqs come a second time: so what is new is told by tick, then seq, then k.
struct ForwardMark {
  std::int64_t seq = -1;
  std::int64_t k = -1;
  TimeMs tick_ms = 0;  // 0: not known
  static constexpr auto fields() {
    return std::tuple{field("seq", &ForwardMark::seq), field("k", &ForwardMark::k),
                      field("tick_ms", &ForwardMark::tick_ms)};
  }
  bool operator==(const ForwardMark&) const = default;
};

// Where the walk over the series stands that looks for buckets which no value closes any more.
// Soft.
struct LookRow {
  std::int64_t next_series = 0;
  TimeMs due_ms = 0;   // of the next stretch; 0: no bucket is open
  bool again = false;  // a bucket may be open behind the place reached
  static constexpr auto fields() {
    return std::tuple{field("next_series", &LookRow::next_series),
                      field("due_ms", &LookRow::due_ms), field("again", &LookRow::again)};
  }
  bool operator==(const LookRow&) const = default;
};

// Whether the way of the signals is suspected. One row.
struct InputPath {
  TimeMs since_ms = 0;      // 0: it is trusted
  std::int64_t silent = 0;  // of the services, when it was last told
  std::int64_t services = 0;
  static constexpr auto fields() {
    return std::tuple{field("since_ms", &InputPath::since_ms), field("silent", &InputPath::silent),
                      field("services", &InputPath::services)};
  }
  bool operator==(const InputPath&) const = default;
};

class Predictor : public Stage {
 public:
  Predictor();
  std::string_view name() const override { return "predictor"; }
  TimeMs next_due_ms() const override;
  void configure(std::shared_ptr<const Settings> settings) override;
  void save(PageSink& sink) override;
  bool load(std::string_view page_key, std::string_view value) override;

  void finish_load() override;
  void forget_soft() override;

  std::size_t series() const { return table_.size(); }

 protected:
  void evolve(const Event& event, const EventPlace& place) override;
  void decide(Token& token) override;

 private:
  void publish_watched(Token& token);
  void take_forwards(Token& token);
  void take_signals(Token& token, const SignalBatch& batch, bool may_forward);
  void take_metrics(Token& token, const SignalBatch& batch, std::size_t begin, std::size_t end,
                    bool may_forward);
  void take_metric(Token& token, const Signal& signal, SeriesNumber series);
  void take_other(Token& token, const Signal& signal);
  void take_failure(Token& token, const Signal& signal);
  void take_alert(Token& token, const Signal& signal);
  void take_prediction(Token& token, const Signal& signal);
  void apply_rules(Token& token, const Signal& signal, SeriesNumber series);
  void apply_error_rate(Token& token, const Signal& signal, SeriesNumber series);
  void apply_rise(Token& token, const Signal& signal, SeriesNumber series, Edge edge);
  void plan_look(Token& token);
  void look_at_stretch(Token& token, LookRow& look);
  void watch_silence(Token& token);
  TimeMs silence_due_ms() const;
  bool is_input_suspected() const;
  void on_input_path(const InputPathChanged& changed, const EventPlace& place);
  void note_silent(Token& token, SeriesNumber series, const Observation& seen);
  void note_observation(Token& token, const Signal& signal, SeriesNumber series,
                        const Observation& seen);
  void note_anomaly(Token& token, const Signal& signal, const Observation& seen);
  void diagnose(Token& token, const Signal& signal, Diagnosis diagnosis);
  void predict(Token& token, const Signal& signal, Prediction prediction);
  void clear(Token& token, const Signal& signal, const std::string& resource_id,
             const std::string& code, const std::string& reason);
  void send_forwards(Token& token);
  void send_dead_letters(Token& token, const SignalBatch& batch);
  void score(Token& token);
  void on_diagnosis(const Diagnosis& diagnosis, const EventPlace& place);
  void on_prediction(const Prediction& prediction, const EventPlace& place);
  void on_cleared(const DiagnosisCleared& cleared, const EventPlace& place);
  void mark_predictions(const std::string& service, const std::string& score, bool acted_too,
                        const EventPlace& place);
  void note_metric(std::uint32_t metric);
  bool is_stale(const Token& token, const Signal& signal) const;
  bool seen_before(const Signal& signal);
  bool may_say(const Token& token, const std::string& service, const std::string& resource_id,
               const std::string& code) const;
  std::vector<std::string> playbooks_for(const std::string& code) const;
  std::string impact_on(const std::string& service) const;
  std::string cause_of(const Signal& signal) const;

  SeriesTable table_;
  Table<ActiveTrouble> active_;
  Table<OpenPrediction> predictions_;
  Table<RuleBelief> beliefs_;
  SeenIds seen_;  // soft
  Table<Crossing> crossings_;
  Table<ErrorRate> error_rates_;
  Table<ForwardMark> forwards_taken_;
  Table<WatchedService> watched_;            // by service
  Table<LookRow> looks_;                     // one row
  std::vector<std::string> outdated_pages_;  // of earlier versions: loaded, and to be erased
  Table<InputPath> input_path_;
  Pulses pulses_;        // by service number of table_; soft
  bool opened_ = false;  // this cut put a value into a bucket
  Graph graph_;

  // Derived from settings, by metric number.
  struct MetricUse {
    bool latency = false;
    bool errors = false;
    bool asked_for = false;          // by a condition of a playbook
    std::vector<std::size_t> rules;  // into settings().predictor.rules
  };
  std::vector<MetricUse> uses_;
  std::set<std::string> asked_metrics_;
  DetectorSettings plain_;
  DetectorSettings latency_;
  std::vector<std::uint8_t> is_watched_;  // by service number
  std::vector<std::string> to_publish_;   // services whose latest values the stages need
  std::map<std::int32_t, std::vector<Signal>> outgoing_;  // of this cut, by shard
};

}  // namespace selfheal
