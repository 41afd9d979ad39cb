#pragma once
// What travels through the six stages: the inputs of one cut and the growing list of events. One
// token at a time in a shard, so a stage that holds it may use everything in it without locking.
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "decision/settings.hpp"
#include "topics/control.hpp"
#include "topics/journal.hpp"
#include "topics/routing.hpp"
#include "topics/signal.hpp"

namespace selfheal {

// A control message of the cut, or why it could not be read.
struct ControlInput {
  Offset offset = 0;
  ControlMessage message;
  std::string unreadable;                      // empty where the message was read
  std::shared_ptr<const SignalBatch> signals;  // of a forward
};

// A new value of a metric that some playbook or rule asks for, in input order.
struct WatchedSample {
  std::string service;
  std::string metric;
  std::string resource_id;
  double value = 0;
  TimeMs time_ms = 0;
};

// Where events are numbered and what never changes within a cut.
struct ShardFacts {
  std::int64_t shard = 0;
  std::int64_t partitions = 1;
  std::uint64_t shard_seed = 0;
  std::int64_t epoch = 0;
  std::int64_t seq = 0;  // of the batch being decided
};

class Token {
 public:
  ShardFacts facts;
  Cut cut;
  std::shared_ptr<const Settings> settings;
  bool settings_changed = false;  // stages rebuild what they derive from settings
  std::int64_t generation = 0;    // of the settings in the chain
  std::shared_ptr<const SignalBatch> signals;
  std::vector<ControlInput> controls;

  // Filled by the stages, in pipeline order.
  std::vector<Event> events;
  std::vector<WatchedSample> watched;
  std::uint64_t touched_digest = 0;  // over the series rows that this cut changed
  std::int64_t series = 0;           // that the shard has learnt, after this cut
  TimeMs next_due_ms = no_due;       // earliest timer of any stage after this cut
  bool timer_was_due = false;        // time alone may have moved some stage's state
  std::int64_t work_us = 0;  // processor time so far, as the actors measured it; no stage reads it

  static constexpr TimeMs no_due = INT64_MAX;

  // Events of the previous cut that earlier stages have not evolved yet: see Stage::receive.
  std::shared_ptr<const std::vector<Event>> previous_events;
  ShardFacts previous_facts;
  TimeMs previous_tick_ms = 0;

  // Which shard a service belongs to; see topics/routing.hpp.
  std::int32_t shard_of_service(std::string_view service) const {
    return shard_of(service, static_cast<std::int32_t>(facts.partitions));
  }
  std::string id_of(std::size_t k) const {
    return std::to_string(facts.shard) + "/" + std::to_string(facts.seq) + "/" + std::to_string(k);
  }
  // A short id for what an event opens: "inc-<shard>-<seq>-<k>", unique in the cluster.
  std::string name_of(std::string_view kind, std::size_t k) const {
    return std::string(kind) + "-" + std::to_string(facts.shard) + "-" + std::to_string(facts.seq) +
           "-" + std::to_string(k);
  }
  void due_at(TimeMs due_ms) {
    if (due_ms < next_due_ms) next_due_ms = due_ms;
  }
};

}  // namespace selfheal
