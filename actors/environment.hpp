#pragma once
// What the actors of one process share: the bus, the store, the keys, the clock and the metrics.
// Made by main, outlives the actor system. Everything in it is thread-safe or constant.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "actors/crash_mark.hpp"
#include "api/metrics.hpp"
#include "base/time.hpp"
#include "decision/settings.hpp"
#include "decision/shard/cut_planner.hpp"
#include "decision/shard/placement.hpp"
#include "storage/page_store.hpp"
#include "storage/read_model.hpp"
#include "topics/log.hpp"
#include "topics/topic_table.hpp"

namespace selfheal {

struct Environment {
  std::shared_ptr<Log> log;
  std::shared_ptr<PageStore> store;
  std::shared_ptr<ReadModel> read_model;
  std::shared_ptr<Metrics> metrics;
  TopicNames topics;
  std::string topics_prefix;
  // Those of the services, and behind them the fleet's.
  std::int64_t shards() const { return topics.partitions + 1; }
  std::string instance;            // name of this process in claims
  std::string build;               // version and commit
  std::string journal_public_key;  // signs claims and batches
  std::string journal_secret_key;
  std::string forward_key_id;  // name under which the settings list that key
  std::string settings;        // what this process wants in force, canonical JSON
  std::string actions_folder;  // of the action shim
  std::string secrets_folder;
  std::string program;                          // path of this executable, to start the shim
  std::function<TimeMs()> now_ms;               // wall clock
  std::function<DecodeSignals()> make_decoder;  // one a shard: decoders keep buffers
  std::shared_ptr<SignalBatchPool> signal_pool = SignalBatchPool::make();
  CutLimits cut_limits;
  std::shared_ptr<CrashMarks> crash_marks;  // null: a crash is not remembered
  // The only process on its bus: it owns every shard and tells nobody.
  bool alone = true;
  DurationMs heartbeat_interval_ms = 100;
  PlacementLimits placement;
  // Called when another process has this one's name, with what to say: the process must end.
  std::function<void(const std::string& why)> replaced = [](const std::string&) {};
  // Public keys of role shard: of processes whose presence and snapshots are believed.
  std::vector<std::string> shard_keys;
  // Snapshots on the bus, for a machine whose disk is empty; not where the bus is on this disk.
  bool snapshots = false;
  DurationMs snapshot_interval_ms = 6 * one_hour_ms;
  std::int64_t snapshot_records = 200'000;  // of the journal, since the last one
  DurationMs snapshot_look_ms = 5000;       // how often it is looked whether one is due
  std::int64_t cut_budget_us = 1000;
  DurationMs save_interval_ms = 1000;
  // Called at named points of the effect order; tests kill the process there.
  std::function<void(const char* point)> failpoint = [](const char*) {};
};

using EnvironmentPtr = std::shared_ptr<const Environment>;

}  // namespace selfheal
