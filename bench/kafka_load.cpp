#include "bench/kafka_load.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "topics/frame_codec.hpp"
#include "topics/journal.hpp"
#include "topics/kafka_log.hpp"
#include "topics/routing.hpp"
#include "topics/signal_decoder.hpp"
#include "topics/topic_table.hpp"

namespace selfheal::bench {
namespace {

using std::chrono::steady_clock;

constexpr std::int64_t in_flight_max = 20'000;
constexpr DurationMs flush_ms = 60'000;

TimeMs wall_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

Result<std::unique_ptr<KafkaLog>> open_log(const std::string& brokers) {
  KafkaOptions options;
  options.brokers = brokers;
  return KafkaLog::open(std::move(options));
}

std::string service_of(std::int64_t series) {
  return "service-" + std::to_string(series / 10);
}

std::string metric_text(std::int64_t series, TimeMs time_ms, double value) {
  return R"({"type":"metric","service":")" + service_of(series) + R"(","metric":"metric_)" +
         std::to_string(series % 10) + R"(","value":)" + std::to_string(value) + R"(,"time_ms":)" +
         std::to_string(time_ms) + R"(,"labels":{"zone":"a"},"sentinel":"probe-7"})";
}

// Appends with a bound on what is in flight, and remembers the first failure.
class Appender {
 public:
  Appender(Log& log, std::string topic) : log_(log), topic_(std::move(topic)) {}

  void append(std::int32_t partition, std::string value) {
    {
      std::unique_lock lock(state_->mutex);
      state_->room.wait(lock, [this] { return state_->in_flight < in_flight_max; });
      ++state_->in_flight;
    }
    log_.append({topic_, partition}, NewRecord{.value = std::move(value)},
                [state = state_](const Result<Offset>& stored) {
                  const std::lock_guard lock(state->mutex);
                  --state->in_flight;
                  if (!stored && state->failure.empty()) state->failure = stored.error().context;
                  state->room.notify_one();
                });
  }

  Result<void> finish() {
    const Result<void> flushed = log_.flush(flush_ms);
    if (!flushed) return flushed;
    const std::lock_guard lock(state_->mutex);
    if (!state_->failure.empty()) return Error{ErrorCode::unavailable, state_->failure};
    return {};
  }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable room;
    std::int64_t in_flight = 0;
    std::string failure;
  };
  Log& log_;
  std::string topic_;
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

// Reads partitions [begin, end) of the journal as they grow.
class JournalWatch {
 public:
  static Result<std::unique_ptr<JournalWatch>> open(Log& log, const std::string& topic,
                                                    std::int32_t begin, std::int32_t end) {
    auto watch = std::make_unique<JournalWatch>();
    watch->begin_ = begin;
    for (std::int32_t partition = begin; partition < end; ++partition) {
      const TopicPartition where{topic, partition};
      const Result<OffsetRange> range = log.range(where);
      if (!range) return range.error();
      JournalWatch* me = watch.get();
      Result<std::unique_ptr<LogReader>> reader = log.open(where, range->end, [me] { me->wake(); });
      if (!reader) return reader.error();
      watch->readers_.push_back(std::move(*reader));
    }
    return watch;
  }

  // Calls `take` with each record that is there, then waits for more, at most `wait`.
  Result<void> poll(const std::function<void(const JournalRecord&, std::int32_t)>& take,
                    std::chrono::milliseconds wait) {
    bool any = false;
    for (std::size_t i = 0; i < readers_.size(); ++i) {
      RecordBatch batch;
      const Result<void> polled = readers_[i]->poll(batch, {});
      if (!polled) return polled;
      for (const RecordView& each : batch.records) {
        any = true;
        const Result<SignedBody> halves = unwrap_body(each.value);
        if (!halves) continue;
        const Result<JournalRecord> record = decode_body(halves->body);
        if (record) take(*record, begin_ + static_cast<std::int32_t>(i));
      }
    }
    if (any) return {};
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, wait, [this] { return woken_; });
    woken_ = false;
    return {};
  }

 private:
  void wake() {
    const std::lock_guard lock(mutex_);
    woken_ = true;
    changed_.notify_one();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool woken_ = false;
  std::int32_t begin_ = 0;
  std::vector<std::unique_ptr<LogReader>> readers_;
};

// One message being filled for a partition.
struct OpenMessage {
  std::string text;
  std::int64_t signals = 0;
};

Result<std::string> closed(OpenMessage& message, const std::string& form, TimeMs now_ms) {
  std::string text = std::move(message.text);
  message = {};
  if (form != "frame") {
    text.pop_back();  // the last line's end
    return text;
  }
  SignalDecoder decoder;
  SignalBatch batch;
  decoder.decode({0, now_ms, {}, text}, batch);
  return encode_frame(batch.signals);
}

}  // namespace

Result<Loaded> fill(const LoadOptions& options) {
  Result<std::unique_ptr<KafkaLog>> log = open_log(options.brokers);
  if (!log) return log.error();
  const std::string topic = topic_names(options.prefix).signals;
  const Result<std::int32_t> partitions = (*log)->partitions(topic);
  if (!partitions) return partitions.error();
  Appender appender(**log, topic);
  const std::int64_t a_message = options.form == "json" ? 1 : options.signals_a_message;
  const std::int64_t rounds = (options.signals + options.series - 1) / options.series;
  // All rounds lie within the last five minutes: older signals would only teach.
  const DurationMs step_ms =
      std::min<DurationMs>(10'000, 300'000 / std::max<std::int64_t>(1, rounds));
  const TimeMs now_ms = wall_ms();
  std::vector<OpenMessage> open(static_cast<std::size_t>(*partitions));
  std::vector<std::int32_t> shards;
  for (std::int64_t series = 0; series < options.series; ++series) {
    shards.push_back(shard_of(service_of(series), *partitions));
  }
  Loaded loaded;
  const auto send = [&](std::size_t shard) -> Result<void> {
    Result<std::string> value = closed(open[shard], options.form, now_ms);
    if (!value) return value.error();
    ++loaded.messages;
    loaded.bytes += static_cast<std::int64_t>(value->size());
    appender.append(static_cast<std::int32_t>(shard), std::move(*value));
    return {};
  };
  std::uint64_t state = 1;
  for (std::int64_t i = 0; i < options.signals; ++i) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    // A full cycle through the series in an order without locality.
    const auto series = static_cast<std::int64_t>((static_cast<std::uint64_t>(i) * 2654435761ULL) %
                                                  static_cast<std::uint64_t>(options.series));
    const TimeMs time_ms = now_ms - (rounds - i / options.series) * step_ms;
    const auto shard = static_cast<std::size_t>(shards[static_cast<std::size_t>(series)]);
    OpenMessage& message = open[shard];
    message.text += metric_text(series, time_ms, 100 + static_cast<double>(state >> 56)) + "\n";
    ++loaded.signals;
    if (++message.signals < a_message) continue;
    if (const Result<void> sent = send(shard); !sent) return sent.error();
  }
  for (std::size_t shard = 0; shard < open.size(); ++shard) {
    if (open[shard].signals == 0) continue;
    if (const Result<void> sent = send(shard); !sent) return sent.error();
  }
  if (const Result<void> done = appender.finish(); !done) return done.error();
  return loaded;
}

namespace {

// When each signal of the watched shard was sent, by where it was stored; filled by delivery
// reports.
struct SentSignals {
  std::mutex mutex;
  std::int32_t watched = 0;
  std::map<Offset, steady_clock::time_point> waiting;
  Offset decided_until = 0;
  std::vector<double> latencies_ms;
  std::int64_t sent = 0;  // to the watched shard
  std::int64_t failed = 0;

  void settle(steady_clock::time_point now) {
    while (!waiting.empty() && waiting.begin()->first < decided_until) {
      latencies_ms.push_back(
          std::chrono::duration<double, std::milli>(now - waiting.begin()->second).count());
      waiting.erase(waiting.begin());
    }
  }
};

double quantile(std::vector<double>& sorted, double at) {
  if (sorted.empty()) return 0;
  const auto index = static_cast<std::size_t>(at * static_cast<double>(sorted.size() - 1));
  return sorted[index];
}

void send_metric(Log& log, const std::string& topic, std::int32_t shard, std::int64_t series,
                 const std::shared_ptr<SentSignals>& sent) {
  const auto at = steady_clock::now();
  const bool watched = shard == sent->watched;
  if (watched) {
    const std::lock_guard lock(sent->mutex);
    ++sent->sent;
  }
  log.append({topic, shard}, NewRecord{.value = metric_text(series, wall_ms(), 100)},
             [sent, watched, at](const Result<Offset>& stored) {
               const std::lock_guard lock(sent->mutex);
               if (!stored) ++sent->failed;
               if (!stored || !watched) return;
               sent->waiting[*stored] = at;
               // The decision may have been seen before the delivery was reported.
               sent->settle(steady_clock::now());
             });
}

void pace(const LatencyOptions& options, Log& log, const std::string& topic,
          std::int32_t partitions, const std::shared_ptr<SentSignals>& sent) {
  const auto begin = steady_clock::now();
  const std::int64_t total = options.per_second * options.seconds;
  std::int64_t series = 0;
  for (std::int64_t i = 0; i < total; ++i, ++series) {
    std::this_thread::sleep_until(begin +
                                  std::chrono::microseconds(i * 1'000'000 / options.per_second));
    while (shard_of(service_of(series % options.series), partitions) < options.first_shard) {
      ++series;
    }
    const std::int64_t at = series % options.series;
    send_metric(log, topic, shard_of(service_of(at), partitions), at, sent);
  }
}

// Until every signal that was sent to the watched shard has been decided on, and `over` says that
// no more are sent.
Result<void> await_decisions(JournalWatch& watch, SentSignals& sent,
                             const std::function<bool()>& over, std::chrono::seconds patience) {
  const auto give_up = steady_clock::now() + patience;
  while (true) {
    const Result<void> polled = watch.poll(
        [&](const JournalRecord& record, std::int32_t) {
          const std::lock_guard lock(sent.mutex);
          sent.decided_until = std::max(sent.decided_until, record.cut.signals_end);
          sent.settle(steady_clock::now());
        },
        std::chrono::milliseconds(100));
    if (!polled) return polled;
    const bool last = over();
    const std::lock_guard lock(sent.mutex);
    if (sent.failed > 0) return Error{ErrorCode::unavailable, "signals could not be appended"};
    const auto decided = static_cast<std::int64_t>(sent.latencies_ms.size());
    if (last && decided == sent.sent) return {};
    if (steady_clock::now() > give_up) {
      return Error{ErrorCode::unavailable, std::to_string(sent.sent - decided) + " of " +
                                               std::to_string(sent.sent) +
                                               " signals were not decided on in time"};
    }
  }
}

// The first message to a partition and the first fetch from one wait for metadata, a producer id
// and the client's own pauses, up to a second: not what is measured.
Result<void> warm_up(Log& log, const std::string& topic, std::int32_t partitions,
                     JournalWatch& watch, const std::shared_ptr<SentSignals>& sent) {
  for (std::int32_t partition = 0; partition < partitions; ++partition) {
    std::int64_t series = 0;
    while (shard_of(service_of(series), partitions) != partition) series += 10;
    send_metric(log, topic, partition, series, sent);
  }
  const Result<void> flushed = log.flush(flush_ms);
  if (!flushed) return flushed;
  const Result<void> done = await_decisions(
      watch, *sent, [] { return true; }, std::chrono::seconds(30));
  const std::lock_guard lock(sent->mutex);
  sent->latencies_ms.clear();
  sent->sent = 0;
  return done;
}

}  // namespace

Result<Latency> measure_latency(const LatencyOptions& options) {
  Result<std::unique_ptr<KafkaLog>> log = open_log(options.brokers);
  if (!log) return log.error();
  const TopicNames topics = topic_names(options.prefix);
  const Result<std::int32_t> partitions = (*log)->partitions(topics.signals);
  if (!partitions) return partitions.error();
  auto sent = std::make_shared<SentSignals>();
  // One shard is watched for all: to watch each would be as much work for the broker as the service
  // itself.
  sent->watched = *partitions - 1;
  Result<std::unique_ptr<JournalWatch>> watch =
      JournalWatch::open(**log, topics.journal, sent->watched, *partitions);
  if (!watch) return watch.error();
  Result<void> done = warm_up(**log, topics.signals, *partitions, **watch, sent);
  if (!done) return done.error();
  std::atomic<bool> over = false;
  std::thread pacer([&] {
    pace(options, **log, topics.signals, *partitions, sent);
    over = true;
  });
  done = await_decisions(
      **watch, *sent, [&] { return over.load(); }, std::chrono::seconds(options.seconds + 20));
  pacer.join();
  watch->reset();
  if (!done) return done.error();
  const std::lock_guard lock(sent->mutex);
  std::vector<double>& all = sent->latencies_ms;
  std::sort(all.begin(), all.end());
  return Latency{static_cast<std::int64_t>(all.size()), quantile(all, 0.5), quantile(all, 0.99),
                 all.empty() ? 0 : all.back()};
}

Result<Illness> measure_illness(const std::string& brokers, const std::string& prefix,
                                std::int64_t subjects) {
  Result<std::unique_ptr<KafkaLog>> log = open_log(brokers);
  if (!log) return log.error();
  const TopicNames topics = topic_names(prefix);
  const Result<std::int32_t> partitions = (*log)->partitions(topics.signals);
  if (!partitions) return partitions.error();
  Result<std::unique_ptr<JournalWatch>> watch =
      JournalWatch::open(**log, topics.journal, 0, *partitions);
  if (!watch) return watch.error();
  const auto begin = steady_clock::now();
  Appender appender(**log, topics.signals);
  for (std::int64_t i = 0; i < subjects; ++i) {
    const std::string service = "service-" + std::to_string(i);
    appender.append(shard_of(service, *partitions), R"({"type":"failure","service":")" + service +
                                                        R"(","code":"service_down","time_ms":)" +
                                                        std::to_string(wall_ms()) + "}");
  }
  std::set<std::string> diagnosed;
  std::set<std::string> decided;
  Illness illness;
  illness.subjects = subjects;
  const auto give_up = begin + std::chrono::seconds(30);
  const auto all = static_cast<std::size_t>(subjects);
  while (decided.size() < all && steady_clock::now() < give_up) {
    const Result<void> polled = (*watch)->poll(
        [&](const JournalRecord& record, std::int32_t) {
          for (const Event& event : record.events) {
            if (std::holds_alternative<IncidentOpened>(event.body)) diagnosed.insert(event.service);
            if (std::holds_alternative<Verdict>(event.body)) decided.insert(event.service);
          }
        },
        std::chrono::milliseconds(100));
    if (!polled) return polled.error();
  }
  illness.seconds = std::chrono::duration<double>(steady_clock::now() - begin).count();
  illness.diagnosed = static_cast<std::int64_t>(diagnosed.size());
  illness.decided = static_cast<std::int64_t>(decided.size());
  watch->reset();
  return illness;
}

Result<std::vector<std::int64_t>> progress(const std::string& brokers, const std::string& prefix) {
  Result<std::unique_ptr<KafkaLog>> log = open_log(brokers);
  if (!log) return log.error();
  const std::string topic = topic_names(prefix).journal;
  const Result<std::int32_t> partitions = (*log)->partitions(topic);
  if (!partitions) return partitions.error();
  std::vector<std::int64_t> reached(static_cast<std::size_t>(*partitions), -1);
  for (std::int32_t partition = 0; partition < *partitions; ++partition) {
    const TopicPartition where{topic, partition};
    const Result<OffsetRange> range = (*log)->range(where);
    if (!range) return range.error();
    if (range->end == range->begin) continue;
    const Result<void> read =
        read_range(**log, where, {range->end - 1, range->end},
                   [&](const RecordBatch& batch, const LogReader&) -> Result<void> {
                     for (const RecordView& each : batch.records) {
                       const Result<SignedBody> halves = unwrap_body(each.value);
                       if (!halves) return halves.error();
                       const Result<JournalRecord> record = decode_body(halves->body);
                       if (!record) return record.error();
                       reached[static_cast<std::size_t>(partition)] = record->cut.signals_end;
                     }
                     return {};
                   });
    if (!read) return read.error();
  }
  return reached;
}

}  // namespace selfheal::bench
