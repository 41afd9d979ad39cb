#include "tests/simulation/simulation.hpp"

#include "tests/simulation/cluster_audit.hpp"
#include "tests/simulation/simulated_inputs.hpp"
#include "tests/simulation/simulated_owner.hpp"
#include "tests/simulation/simulated_people.hpp"
#include "tests/simulation/simulated_placement.hpp"
#include "tests/simulation/simulated_settings.hpp"

namespace selfheal::simulation {
namespace {

constexpr TimeMs begin_ms = 1'800'000'000'000;  // some day in 2027
constexpr int machine_count = 2;

bool is_open_run(std::string_view key) {
  return key.starts_with("runner/run/") || key.starts_with("verifier/run/");
}

class Cluster {
 public:
  Cluster(std::uint64_t seed, const ScheduleShape& shape)
      : shape_(shape),
        world_(seed, shape.partition_sides),
        seed_(seed),
        doubtful_(seed % 7 == 3),
        reloaded_(seed % 4 == 2) {
    world_.now_ms = begin_ms;
    world_.topics = topic_names("sim", world_.partitions);
    world_.public_key = journal_key().public_hex;
    world_.secret_key = journal_key().secret_hex;
    world_.settings = any_settings(false);
    if (doubtful_) world_.shim_dies = 0.9;
    world_.snapshots.is_on = seed % 3 == 1;  // as with doubts
    world_.snapshots.records_min = shape.snapshot_records;
    world_.snapshots.chance = shape.snapshot;
    world_.log.set_time_ms(world_.now_ms);
    static_cast<void>(
        world_.log.create_topics(topic_specs("sim", static_cast<std::int32_t>(world_.partitions))));
    // Swarm: each schedule draws how hostile it is.
    lost_ = world_.dice.chance(0.5) ? shape.lost_ack : 0;
    refused_ = world_.dice.chance(0.5) ? shape.refused : 0;
    repeated_ = world_.dice.chance(0.5) ? shape.repeated : 0;
    crash_ = world_.dice.chance(0.8) ? shape.crash : 0;
    pause_ = world_.dice.chance(0.6) ? shape.pause : 0;
    world_.misrouted = world_.dice.chance(0.5) ? 0.3 : 0;
    two_owners_ = world_.dice.chance(shape.two_owners);
    // Where two compete without a placement, they take their shards from each other all the time.
    if (two_owners_) world_.claims = shape.claims;
    world_.reads_late = world_.dice.chance(0.5) ? 0.3 : 0;
    poison_ = world_.dice.chance(0.2) ? shape.poison : 0;
    for (int machine = 0; machine < machine_count; ++machine) {
      disks_.push_back(std::make_unique<SimulatedDisk>());
      const bool skewed = world_.dice.chance(0.3);
      const DurationMs skew_ms =
          skewed ? static_cast<DurationMs>(world_.dice.below(7'200'000)) - 3'600'000 : 0;
      for (std::int64_t shard = 0; shard <= world_.partitions; ++shard) {
        owners_.push_back(std::make_unique<SimulatedOwner>(
            world_, *disks_.back(), "machine-" + std::to_string(machine) + "-", shard, skew_ms));
        paused_.push_back(0);
      }
    }
    // Owners that claim because placement says so, and not whenever they can.
    if (seed % 5 == 2) {
      two_owners_ = true;
      for (int machine = 0; machine < machine_count; ++machine) {
        placements_.push_back(
            std::make_unique<SimulatedPlacement>(world_, "machine-" + std::to_string(machine)));
      }
      for (const auto& owner : owners_) owner->set_ordered(false);
    }
    world_.log.set_fates([this](const TopicPartition& where, const NewRecord&) {
      const bool journal =
          where.topic == world_.topics.journal || where.topic == world_.topics.fleet_journal;
      if (!faults_ || !journal) return AppendFate::deliver;
      if (world_.dice.chance(lost_)) return AppendFate::lose_ack;
      if (world_.dice.chance(refused_)) return AppendFate::refuse;
      if (world_.dice.chance(repeated_)) return AppendFate::duplicate;
      return AppendFate::deliver;
    });
  }

  // Trouble that is there before anybody looks, so that its incidents fall among the faults.
  void begin_in_trouble() {
    for (int i = 0; i < shape_.first_troubles; ++i) {
      if (world_.dice.chance(0.5)) {
        inputs_.report_failure();
        continue;
      }
      world_.target.fall_ill(inputs_.any_service());
      inputs_.probe_services();
      pass_time(5000);
      inputs_.probe_services();
    }
  }

  void run_with_faults() {
    begin_in_trouble();
    faults_ = true;
    for (int i = 0; i < shape_.fault_steps; ++i) {
      disturb();
      one_step();
    }
    report_.effects_among_faults = effects_so_far();
  }

  // Faults stop; one machine stays. Everything has to come to rest within a bounded time.
  void converge() {
    faults_ = false;
    two_owners_ = false;
    world_.claims = 1;
    world_.reads_late = 0;
    if (doubtful_) world_.shim_dies = 0;
    for (int& paused : paused_) paused = 0;
    for (std::size_t i = owners_per_machine(); i < owners_.size(); ++i) owners_[i]->crash();
    constexpr int rounds_max = 4000;
    for (int round = 0; round < rounds_max; ++round) {
      // Late, when there is much to lose: what comes out of the snapshots is then audited.
      if (round == shape_.lost_disk_round && world_.snapshots.is_on && world_.dice.chance(0.5))
        lose_disk(0);
      for (int i = 0; i < shape_.steps_per_round; ++i) one_step();
      pass_time(shape_.round_ms);
      if (round % shape_.rounds_per_probe == 0) inputs_.probe_services();
      // A doubt has no other end than an answer.
      if (round % shape_.rounds_per_answer == shape_.rounds_per_answer / 2) {
        people_.answer(SimulatedPeople::Asked::doubts);
      }
      // Some time of healthy probes ends whatever was still being verified.
      const bool looks = round >= shape_.rounds_min && round % shape_.rounds_per_look == 0;
      if (looks && comes_to_rest()) return;
    }
    std::string why =
        "10: the cluster never comes to rest; on its way: " + std::to_string(world_.log.pending());
    for (std::size_t i = 0; i < owners_per_machine(); ++i) {
      why += owners_[i]->is_live() ? (owners_[i]->idle() ? ", idle" : ", busy")
                                   : ", not live but " + owners_[i]->presence().state;
    }
    for (std::size_t i = 0; i < owners_per_machine(); ++i) {
      if (!owners_[i]->is_live()) continue;
      owners_[i]->visit_pages([&](std::string_view key, std::string_view value) {
        if (is_open_run(key)) why.append("\n    ").append(key).append(" ").append(value);
      });
    }
    report_.findings.push_back(why);
  }

  // Some time after everything has come to rest, a journal loses its last records, as after an
  // election of a broker that had not seen them. State saved on them must not be gone on from.
  void lose_tail() {
    if (!report_.findings.empty() || !world_.dice.chance(shape_.lost_tail)) return;
    const std::size_t shard = world_.dice.below(owners_per_machine());
    SimulatedOwner& owner = *owners_[shard];
    if (!owner.is_live()) return;
    owner.save();
    const TopicPartition where = world_.topics.journal_of(shard);
    const Offset end = world_.log.range(where)->end;
    const auto lost = 1 + static_cast<Offset>(world_.dice.below(4));
    // A live owner notices by its reader, one that was down by its saved position.
    const bool live = world_.dice.chance(0.3);
    if (!live) owner.crash();
    world_.log.truncate(where, std::max<Offset>(0, end - lost));
    people_.journal_was_rewritten(static_cast<std::int64_t>(shard));
    if (!live && world_.dice.chance(0.6)) let_another_write(shard, end);
    refuse_to_go_on(owner, where);
    ++report_.rewritten;
    // The operator's remedy: the state is moved away and comes back from what the journal holds.
    replace_owner(shard, "remedied-");
    converge();
    audit_.audit_all(ClusterAudit::Time::again);  // the other shards have gone on meanwhile
  }

  void audit() { audit_.audit_all(ClusterAudit::Time::first); }

  SimulationReport report() {
    for (const auto& owner : owners_) {
      if (!owner->trouble().empty()) report_.findings.push_back("trouble: " + owner->trouble());
    }
    audit_.audit_effects();
    const SnapshotCounts& counts = world_.snapshots.counts;
    report_.disks_lost = counts.disks_lost;
    report_.snapshots_written = counts.written;
    report_.snapshots_restored = counts.restored_from;
    report_.snapshots_refused = counts.refused;
    for (const auto& placement : placements_) report_.orders += placement->ordered();
    return report_;
  }

 private:
  std::size_t owners_per_machine() const { return static_cast<std::size_t>(world_.partitions) + 1; }

  std::string any_settings(bool edited) {
    if (shape_.settings_shared <= 1) {
      return settings_text(settings_for(world_.dice, doubtful_, edited));
    }
    return shared_settings(seed_ / shape_.settings_shared, doubtful_, edited);
  }

  // A person edits the playbooks and limits, or puts back what there was.
  void reload() {
    ++world_.reloads;
    world_.settings = any_settings(world_.reloads % 2 == 1);
  }

  void pass_time(DurationMs most_ms) {
    world_.now_ms +=
        1 + static_cast<DurationMs>(world_.dice.below(static_cast<std::uint64_t>(most_ms)));
    world_.log.set_time_ms(world_.now_ms);
  }

  // With all that it owned: whoever loses its disk ends.
  void lose_disk(std::size_t machine) {
    const std::size_t first = machine * owners_per_machine();
    for (std::size_t i = first; i < first + owners_per_machine(); ++i) owners_[i]->crash();
    disks_[machine]->lose();
    ++world_.snapshots.counts.disks_lost;
  }

  void replace_owner(std::size_t shard, const std::string& name) {
    // The one before stays: answers to its appends may still be on their way.
    owners_[shard]->crash();
    retired_.push_back(std::move(owners_[shard]));
    disks_.push_back(std::make_unique<SimulatedDisk>());
    owners_[shard] = std::make_unique<SimulatedOwner>(world_, *disks_.back(), name,
                                                      static_cast<std::int64_t>(shard), 0);
  }

  // Another machine, without saved state, goes on from what is left until there is more than was
  // lost: the offsets exist again and hold other records.
  void let_another_write(std::size_t shard, Offset end) {
    const TopicPartition where = world_.topics.journal_of(shard);
    disks_.push_back(std::make_unique<SimulatedDisk>());
    retired_.push_back(std::make_unique<SimulatedOwner>(world_, *disks_.back(), "another-",
                                                        static_cast<std::int64_t>(shard), 0));
    SimulatedOwner& another = *retired_.back();
    constexpr int steps_max = 300;
    for (int i = 0; i < steps_max && world_.log.range(where)->end <= end; ++i) {
      another.step();
      while (world_.log.deliver_next()) {
      }
      if (i % 5 == 0) inputs_.probe_services();
      pass_time(300);
    }
    another.crash();
  }

  void refuse_to_go_on(SimulatedOwner& owner, const TopicPartition& where) {
    const Offset end = world_.log.range(where)->end;
    const std::int64_t effects = effects_so_far();
    constexpr int steps = 20;
    for (int i = 0; i < steps; ++i) {
      owner.step();
      while (world_.log.deliver_next()) {
      }
      pass_time(500);
    }
    const std::string& named = owner.trouble();
    if (named.find(" ends at ") == std::string::npos &&
        named.find(" was rewritten: ") == std::string::npos) {
      report_.findings.push_back("6: a rewritten journal is not refused by name: " + named);
    }
    if (owner.is_live() || world_.log.range(where)->end != end || effects_so_far() != effects) {
      report_.findings.push_back("6: an owner goes on although its journal was rewritten");
    }
  }

  std::int64_t effects_so_far() const {
    std::int64_t sum = 0;
    for (const auto& [key, count] : world_.target.effects()) sum += count;
    return sum;
  }

  void disturb() {
    Dice& dice = world_.dice;
    if (dice.chance(shape_.short_wait)) pass_time(shape_.short_wait_ms);
    if (dice.chance(shape_.long_wait)) pass_time(20000);
    if (dice.chance(shape_.illness)) world_.target.fall_ill(inputs_.any_service());
    if (dice.chance(shape_.probe)) inputs_.probe_services();
    if (dice.chance(shape_.answer)) people_.answer(SimulatedPeople::Asked::everything);
    if (doubtful_ && dice.chance(shape_.answer_to_doubts)) {
      people_.answer(SimulatedPeople::Asked::everything);
    }
    if (reloaded_ && dice.chance(shape_.reload)) reload();
    if (dice.chance(shape_.failure)) inputs_.report_failure();
    if (dice.chance(shape_.nonsense)) inputs_.append_nonsense();
    if (dice.chance(poison_)) inputs_.append_poison();
    if (world_.snapshots.is_on && dice.chance(shape_.lost_disk)) {
      lose_disk(dice.below(machine_count));
    }
    for (std::size_t i = 0; i < owners_.size(); ++i) {
      if (dice.chance(crash_)) {
        owners_[i]->crash();
        ++report_.crashes;
      }
      if (dice.chance(pause_)) {
        paused_[i] =
            shape_.pause_steps_min + static_cast<int>(dice.below(shape_.pause_steps_drawn));
      }
    }
  }

  void one_step() {
    Dice& dice = world_.dice;
    if (dice.chance(shape_.delivery)) {
      const std::vector<TopicPartition> pending = world_.log.pending_partitions();
      if (!pending.empty()) world_.log.deliver_next(pending[dice.below(pending.size())]);
    }
    const std::size_t count = two_owners_ ? owners_.size() : owners_per_machine();
    const std::size_t chosen = dice.below(count);
    if (paused_[chosen] > 0) {
      --paused_[chosen];
      return;
    }
    if (!placements_.empty()) {
      const std::size_t machine = chosen / owners_per_machine();
      placements_[machine]->look(
          std::span(owners_).subspan(machine * owners_per_machine(), owners_per_machine()));
    }
    owners_[chosen]->step();
  }

  // Works off what is on its way, without anything new.
  bool comes_to_rest() {
    for (int i = 0; i < shape_.look_steps_max; ++i) {
      one_step();
      if (i % 20 == 0 && everyone_idle()) return true;
    }
    return false;
  }

  bool everyone_idle() {
    if (world_.log.pending() > 0) return false;
    for (std::size_t i = 0; i < owners_per_machine(); ++i) {
      if (!owners_[i]->is_live() || !owners_[i]->idle()) return false;
      const auto shard = static_cast<std::int64_t>(i);
      const Chain& chain = *owners_[i]->committed();
      const Result<OffsetRange> control = world_.log.range(world_.topics.control_of(shard));
      if (chain.signals_next != world_.signals_end(shard) || chain.control_next != control->end) {
        return false;
      }
    }
    return open_runs() == 0;
  }

  std::size_t open_runs() {
    std::size_t open = 0;
    for (std::size_t i = 0; i < owners_per_machine(); ++i) {
      owners_[i]->visit_pages([&](std::string_view key, std::string_view) {
        if (is_open_run(key) || key.starts_with("runner/lock/")) ++open;
      });
    }
    return open;
  }

  const ScheduleShape& shape_;
  SharedWorld world_;
  std::vector<std::unique_ptr<SimulatedDisk>> disks_;
  std::vector<std::unique_ptr<SimulatedOwner>> owners_;
  std::vector<std::unique_ptr<SimulatedOwner>> retired_;
  std::vector<std::unique_ptr<SimulatedPlacement>> placements_;  // by machine; or none
  std::vector<int> paused_;
  SimulationReport report_;
  SimulatedInputs inputs_{world_, shape_.services};
  SimulatedPeople people_{world_};
  ClusterAudit audit_{world_, owners_, report_};
  const std::uint64_t seed_;
  // By the seed alone: other schedules draw as if it were not there.
  const bool doubtful_;
  const bool reloaded_;
  bool faults_ = false;
  bool two_owners_ = false;
  double lost_ = 0;
  double refused_ = 0;
  double repeated_ = 0;
  double crash_ = 0;
  double pause_ = 0;
  double poison_ = 0;
};

}  // namespace

SimulationReport simulate(std::uint64_t seed, const ScheduleShape& shape) {
  Cluster cluster(seed, shape);
  cluster.run_with_faults();
  cluster.converge();
  cluster.audit();
  cluster.lose_tail();
  return cluster.report();
}

SimulationReport& SimulationReport::operator+=(const SimulationReport& other) {
  decisions += other.decisions;
  claims += other.claims;
  crashes += other.crashes;
  effects += other.effects;
  effects_among_faults += other.effects_among_faults;
  in_doubt += other.in_doubt;
  doubts_ended += other.doubts_ended;
  incidents += other.incidents;
  rewritten += other.rewritten;
  zombie_appends += other.zombie_appends;
  failed_cuts += other.failed_cuts;
  poisoned += other.poisoned;
  locks += other.locks;
  lock_waits += other.lock_waits;
  suspicions += other.suspicions;
  disks_lost += other.disks_lost;
  snapshots_written += other.snapshots_written;
  snapshots_restored += other.snapshots_restored;
  snapshots_refused += other.snapshots_refused;
  orders += other.orders;
  reloads += other.reloads;
  digest ^= other.digest;
  return *this;
}

}  // namespace selfheal::simulation
