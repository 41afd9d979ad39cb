#include "api/metrics.hpp"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <array>
#include <deque>
#include <mutex>
#include <utility>
#include <variant>

#include "topics/journal.hpp"
#include "topics/signal.hpp"

namespace selfheal {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildGauge;
using prometheus::BuildHistogram;
using prometheus::Counter;
using prometheus::Family;
using prometheus::Gauge;
using prometheus::Histogram;

const Histogram::BucketBoundaries fast_buckets = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005,
                                                  0.01,   0.025,   0.05,   0.1,   0.25,   1};
const Histogram::BucketBoundaries stage_buckets = {0.000005, 0.00001, 0.000025, 0.00005, 0.0001,
                                                   0.00025,  0.0005,  0.001,    0.005,   0.05};
const Histogram::BucketBoundaries recover_buckets = {1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600};
// Entries that a sliding window keeps; beyond it the oldest go early and the gauge reads low.
constexpr std::size_t window_entries_max = 100000;

// Times of events within a window that slides.
class Window {
 public:
  explicit Window(DurationMs length_ms) : length_ms_(length_ms) {}
  void add(TimeMs now_ms) {
    times_.push_back(now_ms);
    if (times_.size() > window_entries_max) times_.pop_front();
  }
  std::size_t count(TimeMs now_ms) {
    while (!times_.empty() && times_.front() <= now_ms - length_ms_) times_.pop_front();
    return times_.size();
  }

 private:
  DurationMs length_ms_;
  std::deque<TimeMs> times_;
};

constexpr std::array stage_names = {"predictor", "scheduler", "approver", "runner",
                                    "verifier",  "learner",   "fleet"};
// The words that reasons begin with: those of the decoder, and of a record that was left out.
constexpr std::array dead_letter_words = {
    "bad_cloudevent", "bad_json",      "bad_time",        "bad_value",    "control_character",
    "empty",          "missing_field", "missing_service", "oversize",     "skipped",
    "too_long",       "too_many",      "unknown_format",  "unknown_type", "wrong_type"};

template <std::size_t... I>
std::array<const char*, sizeof...(I)> event_names(std::index_sequence<I...>) {
  return {std::variant_alternative_t<I, EventBody>::kName...};
}

std::string dead_letter_word(const std::string& reason) {
  // Reasons begin with a stable word of our own decoder; anything else is bounded to "other".
  const std::size_t colon = reason.find(':');
  if (colon == std::string::npos || colon == 0 || colon > 32) return "other";
  return reason.substr(0, colon);
}

}  // namespace

struct Metrics::Families {
  prometheus::Registry registry;
  std::mutex mutex;  // of the windows; prometheus-cpp's own objects need none

  Family<Counter>& counter(const std::string& name, const std::string& help) {
    return BuildCounter().Name("self_heal_" + name).Help(help).Register(registry);
  }
  Family<Gauge>& gauge(const std::string& name, const std::string& help) {
    return BuildGauge().Name("self_heal_" + name).Help(help).Register(registry);
  }
  Family<Histogram>& histogram(const std::string& name, const std::string& help) {
    return BuildHistogram().Name("self_heal_" + name).Help(help).Register(registry);
  }

  Family<Counter>& signals = counter("signals_total", "Signals decided on in a committed cut.");
  Family<Counter>& decisions = counter("decisions_total", "Decisions committed, by type.");
  Histogram& commit = histogram("commit_seconds", "From producing a batch to reading it back.")
                          .Add({}, fast_buckets);
  Histogram& decide =
      histogram("decide_seconds", "From a signal on the bus to its committed decision.")
          .Add({}, fast_buckets);
  Family<Histogram>& stage = histogram("stage_seconds", "Time that a stage takes for one cut.");
  Family<Gauge>& lag_seconds =
      gauge("lag_seconds", "Age of the oldest input that is not decided; absent while unknown.");
  Family<Gauge>& lag_records = gauge("lag_records", "Inputs on the bus that are not decided.");
  Family<Counter>& dead_letters = counter("dead_letters_total", "Inputs that could not be read.");
  Family<Counter>& ignored =
      counter("journal_ignored_total", "Journal records that do not extend the chain.");
  Counter& misrouted =
      counter("misrouted_total", "Signals that came in on the partition of another shard.").Add({});
  Family<Gauge>& shards = gauge("shards", "Shards of this process, by state.");
  Family<Counter>& runs = counter("runs_total", "Runs that ended, by result.");
  Counter& rollbacks = counter("rollbacks_total", "Runs that were rolled back.").Add({});
  Counter& auto_approved =
      counter("auto_approved_total", "Proposals that were approved without a person.").Add({});
  Family<Gauge>& breakers =
      gauge("breakers", "Circuit breakers that have counted a failure, by state.");
  Family<Gauge>& suspected =
      gauge("input_suspected", "1 for a shard many of whose services fell silent at once.");
  std::map<std::int64_t, Gauge*> shown_suspected;
  Family<Gauge>& locks = gauge("fleet_locks", "Locks of targets that are held.");
  Family<Gauge>& lock_waiters = gauge("fleet_lock_waiters", "Runs that wait for a lock.");
  Family<Gauge>& lock_until =
      gauge("fleet_lock_until_seconds", "When a held lock ends by itself, in seconds since 1970.");
  Family<Gauge>& lease = gauge("fleet_lease", "1 for the process that has the fleet-wide role.");
  Family<Gauge>& lease_until = gauge(
      "fleet_lease_until_seconds",
      "When that role falls free if nothing more is heard of its holder, in seconds since 1970.");
  std::vector<Gauge*> shown_locks;  // of the last call of set_fleet
  Gauge* shown_lease = nullptr;
  std::string shown_owner;
  Family<Gauge>& series = gauge("series", "Series that a shard has learnt.");
  Family<Counter>& takeovers =
      counter("takeovers_total", "Shards claimed by this process, by reason.");
  Family<Counter>& restores =
      counter("restores_total", "Shards whose state was loaded from the bus, by source.");
  Family<Gauge>& snapshot_age =
      gauge("snapshot_age_seconds", "Age of the newest snapshot of an owned shard.");
  Family<Gauge>& snapshot_headroom =
      gauge("snapshot_headroom_seconds", "How long a restore from that snapshot stays possible.");
  Family<Gauge>& extra_partitions =
      gauge("extra_partitions", "Partitions of the signals that no shard reads: they are routed.");
  Family<Gauge>& members = gauge("members", "Processes of the cluster that are there.");
  Family<Gauge>& lapses = gauge(
      "member_lapses", "How often a process was taken for dead that was not, since the start.");
  Family<Counter>& restarts = counter("shard_restarts_total", "Restarts of a shard, by cause.");
  Family<Counter>& predictions =
      counter("predictions_total", "Predictions that ended, as TP, FP or FN.");
  Gauge& proposals_per_min =
      gauge("proposals_per_min", "Proposals made within the last minute.").Add({});
  Gauge& approval_rate =
      gauge("approval_rate", "Share of the approvals of 24 hours given without a person.").Add({});
  Gauge& success_rate =
      gauge("success_rate", "Share of the outcomes of 24 hours that recovered.").Add({});
  Histogram& recover =
      histogram("mean_time_to_recover", "Seconds from the first signal to a verified recovery.")
          .Add({}, recover_buckets);
  Gauge& rollbacks_24h = gauge("rollbacks_24h", "Rollbacks within the last 24 hours.").Add({});
  Gauge& auto_approved_24h =
      gauge("auto_approved_24h", "Approvals without a person within the last 24 hours.").Add({});

  Window proposals_minute{one_minute_ms};
  Window auto_day{one_day_ms};
  Window person_day{one_day_ms};
  Window recovered_day{one_day_ms};
  Window failed_day{one_day_ms};
  Window rollbacks_day{one_day_ms};

  void count_rollback(TimeMs now_ms) {
    rollbacks.Increment();
    rollbacks_day.add(now_ms);
  }
};

Metrics::Metrics() : families_(std::make_unique<Families>()) {
  // What may never happen is shown as 0 from the start, so that a first time is seen as an
  // increase.
  for (int type = 0; type < signal_type_count; ++type) {
    families_->signals.Add({{"type", std::string(to_string(static_cast<SignalType>(type)))}});
  }
  for (const char* result : {"recovered", "not_recovered", "rolled_back", "in_doubt"}) {
    families_->runs.Add({{"result", result}});
  }
  for (const char* name : event_names(std::make_index_sequence<std::variant_size_v<EventBody>>())) {
    families_->decisions.Add({{"type", name}});
  }
  for (const char* word : dead_letter_words) families_->dead_letters.Add({{"reason", word}});
  for (auto why = Acceptance::unreadable; why <= Acceptance::tick_ahead;
       why = static_cast<Acceptance>(static_cast<int>(why) + 1)) {
    families_->ignored.Add({{"reason", to_string(why)}});
  }
  for (const char* stage : stage_names) families_->stage.Add({{"stage", stage}}, stage_buckets);
  set_shards({});
}

Metrics::~Metrics() = default;

void Metrics::count_signals(const std::vector<std::int64_t>& by_type) {
  for (std::size_t type = 0; type < by_type.size(); ++type) {
    if (by_type[type] == 0) continue;
    families_->signals.Add({{"type", std::string(to_string(static_cast<SignalType>(type)))}})
        .Increment(static_cast<double>(by_type[type]));
  }
}

void Metrics::count_event(const Event& event, TimeMs now_ms) {
  Families& f = *families_;
  f.decisions.Add({{"type", event_name(event.body)}}).Increment();
  const std::lock_guard lock(f.mutex);
  if (std::holds_alternative<Proposal>(event.body)) {
    f.proposals_minute.add(now_ms);
  } else if (const auto* verdict = std::get_if<Verdict>(&event.body)) {
    if (verdict->verdict != "approved") return;
    const bool by_policy = verdict->approved_by == "policy";
    (by_policy ? f.auto_day : f.person_day).add(now_ms);
    if (by_policy) f.auto_approved.Increment();
  } else if (const auto* outcome = std::get_if<Outcome>(&event.body)) {
    f.runs.Add({{"result", outcome->result}}).Increment();
    const bool recovered = outcome->result == "recovered";
    (recovered ? f.recovered_day : f.failed_day).add(now_ms);
    if (recovered) f.recover.Observe(outcome->seconds_to_recover);
  } else if (const auto* undone = std::get_if<RolledBack>(&event.body)) {
    // One in doubt ends once a person has answered: with another such event where it goes on.
    if (undone->result != "in_doubt") f.count_rollback(now_ms);
  } else if (const auto* resolved = std::get_if<DoubtResolved>(&event.body)) {
    if (resolved->answer == "not_undone") f.count_rollback(now_ms);
  } else if (const auto* dead = std::get_if<DeadLettered>(&event.body)) {
    count_dead_letter(dead->reason);
  } else if (const auto* forwarded = std::get_if<Forwarded>(&event.body)) {
    f.misrouted.Increment(static_cast<double>(forwarded->signals));
  } else if (const auto* scored = std::get_if<Scored>(&event.body)) {
    f.predictions.Add({{"score", scored->score}}).Increment();
  }
}

void Metrics::observe_commit(double seconds) {
  families_->commit.Observe(seconds);
}

void Metrics::observe_decide(double seconds) {
  families_->decide.Observe(seconds);
}

void Metrics::observe_stage(const std::string& stage, double seconds) {
  families_->stage.Add({{"stage", stage}}, stage_buckets).Observe(seconds);
}

void Metrics::set_lag(std::int64_t shard, double seconds, std::int64_t records) {
  const prometheus::Labels labels = {{"shard", std::to_string(shard)}};
  families_->lag_seconds.Add(labels).Set(seconds);
  families_->lag_records.Add(labels).Set(static_cast<double>(records));
}

void Metrics::forget_lag(std::int64_t shard) {
  const prometheus::Labels labels = {{"shard", std::to_string(shard)}};
  families_->lag_seconds.Remove(&families_->lag_seconds.Add(labels));
  families_->lag_records.Remove(&families_->lag_records.Add(labels));
}

void Metrics::count_dead_letter(const std::string& reason) {
  families_->dead_letters.Add({{"reason", dead_letter_word(reason)}}).Increment();
}

void Metrics::count_ignored(const std::string& reason) {
  families_->ignored.Add({{"reason", reason}}).Increment();
}

void Metrics::set_shards(const std::map<std::string, std::int64_t>& by_state) {
  for (const char* state :
       {"restoring", "catching_up", "standby", "claiming", "live", "draining", "parked"}) {
    const auto found = by_state.find(state);
    const std::int64_t count = found == by_state.end() ? 0 : found->second;
    families_->shards.Add({{"state", state}}).Set(static_cast<double>(count));
  }
}

void Metrics::set_breakers(const std::map<std::string, std::int64_t>& by_state) {
  for (const char* state : {"closed", "open", "half_open"}) {
    const auto found = by_state.find(state);
    const std::int64_t count = found == by_state.end() ? 0 : found->second;
    families_->breakers.Add({{"state", state}}).Set(static_cast<double>(count));
  }
}

void Metrics::set_suspected_inputs(const std::set<std::int64_t>& shards) {
  Families& f = *families_;
  const std::lock_guard lock(f.mutex);
  for (const std::int64_t shard : shards) {
    f.shown_suspected.emplace(shard, &f.suspected.Add({{"shard", std::to_string(shard)}}));
  }
  for (const auto& [shard, gauge] : f.shown_suspected) gauge->Set(shards.contains(shard) ? 1 : 0);
}

void Metrics::set_fleet(const std::vector<FleetLock>& held, std::size_t waiting) {
  Families& f = *families_;
  const std::lock_guard lock(f.mutex);
  f.locks.Add({}).Set(static_cast<double>(held.size()));
  f.lock_waiters.Add({}).Set(static_cast<double>(waiting));
  // What is free again must not stay as a label for ever.
  for (Gauge* gone : f.shown_locks) f.lock_until.Remove(gone);
  f.shown_locks.clear();
  for (const FleetLock& each : held) {
    Gauge& until = f.lock_until.Add({{"target", each.target}, {"holder", each.action_id}});
    until.Set(static_cast<double>(each.until_ms) / 1000.0);
    f.shown_locks.push_back(&until);
  }
}

void Metrics::set_lease(const std::string& owner, TimeMs until_ms) {
  Families& f = *families_;
  const std::lock_guard lock(f.mutex);
  if (f.shown_lease != nullptr && f.shown_owner != owner) {
    f.lease.Remove(f.shown_lease);
    f.shown_lease = nullptr;
  }
  f.shown_owner = owner;
  f.lease_until.Add({}).Set(static_cast<double>(until_ms) / 1000.0);
  if (owner.empty()) return;
  f.shown_lease = &f.lease.Add({{"owner", owner}});
  f.shown_lease->Set(1);
}

void Metrics::set_series(std::int64_t shard, std::int64_t series) {
  families_->series.Add({{"shard", std::to_string(shard)}}).Set(static_cast<double>(series));
}

void Metrics::count_restart(const std::string& kind) {
  families_->restarts.Add({{"cause", kind}}).Increment();
}

void Metrics::count_takeover(const std::string& reason) {
  families_->takeovers.Add({{"reason", reason}}).Increment();
}

void Metrics::count_restore(const std::string& source) {
  families_->restores.Add({{"source", source}}).Increment();
}

void Metrics::set_snapshot(std::int64_t shard, double age_seconds, double headroom_seconds) {
  const std::map<std::string, std::string> labels = {{"shard", std::to_string(shard)}};
  families_->snapshot_age.Add(labels).Set(age_seconds);
  families_->snapshot_headroom.Add(labels).Set(headroom_seconds);
}

void Metrics::set_extra_partitions(std::int64_t count) {
  families_->extra_partitions.Add({}).Set(static_cast<double>(count));
}

void Metrics::set_members(std::int64_t present, std::int64_t lapses) {
  families_->members.Add({}).Set(static_cast<double>(present));
  families_->lapses.Add({}).Set(static_cast<double>(lapses));
}

std::string Metrics::render(TimeMs now_ms) {
  Families& f = *families_;
  {
    const std::lock_guard lock(f.mutex);
    const auto count = [&](Window& window) { return static_cast<double>(window.count(now_ms)); };
    const auto share = [](double part, double rest) {
      return part + rest == 0 ? 0.0 : part / (part + rest);
    };
    f.proposals_per_min.Set(count(f.proposals_minute));
    f.approval_rate.Set(share(count(f.auto_day), count(f.person_day)));
    f.success_rate.Set(share(count(f.recovered_day), count(f.failed_day)));
    f.rollbacks_24h.Set(count(f.rollbacks_day));
    f.auto_approved_24h.Set(count(f.auto_day));
  }
  return prometheus::TextSerializer().Serialize(f.registry.Collect());
}

}  // namespace selfheal
