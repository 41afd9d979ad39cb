#include "tests/simulation/simulation.hpp"

#include <map>
#include <set>

#include "base/signature.hpp"
#include "decision/audit/lock_audit.hpp"
#include "decision/audit/run_audit.hpp"
#include "tests/simulation/simulated_owner.hpp"
#include "tests/simulation/simulated_settings.hpp"
#include "tests/simulation/skip_audit.hpp"
#include "topics/event_codec.hpp"
#include "topics/routing.hpp"
#include "topics/signal_decoder.hpp"

namespace selfheal::simulation {
namespace {

constexpr TimeMs begin_ms = 1'800'000'000'000;  // some day in 2027
constexpr int machine_count = 2;

class Cluster {
 public:
  explicit Cluster(std::uint64_t seed) : world_(seed), doubtful_(seed % 7 == 3) {
    world_.now_ms = begin_ms;
    world_.partitions = 1 + static_cast<std::int64_t>(world_.dice.below(2));
    world_.topics = topic_names("sim", world_.partitions);
    world_.public_key = journal_key().public_hex;
    world_.secret_key = journal_key().secret_hex;
    world_.settings = settings_text(settings_for(world_.dice, doubtful_));
    if (doubtful_) world_.shim_dies = 0.9;
    world_.log.set_time_ms(world_.now_ms);
    static_cast<void>(
        world_.log.create_topics(topic_specs("sim", static_cast<std::int32_t>(world_.partitions))));
    // Swarm: each schedule draws how hostile it is.
    lost_ = world_.dice.chance(0.5) ? 0.02 : 0;
    refused_ = world_.dice.chance(0.5) ? 0.02 : 0;
    repeated_ = world_.dice.chance(0.5) ? 0.05 : 0;
    crash_ = world_.dice.chance(0.8) ? 0.01 : 0;
    pause_ = world_.dice.chance(0.6) ? 0.004 : 0;
    misrouted_ = world_.dice.chance(0.5) ? 0.3 : 0;
    two_owners_ = world_.dice.chance(0.5);
    world_.reads_late = world_.dice.chance(0.5) ? 0.3 : 0;
    poison_ = world_.dice.chance(0.2) ? 0.01 : 0;
    for (int machine = 0; machine < machine_count; ++machine) {
      stores_.push_back(std::make_unique<MemoryPageStore>());
      const bool skewed = world_.dice.chance(0.3);
      const DurationMs skew_ms =
          skewed ? static_cast<DurationMs>(world_.dice.below(7'200'000)) - 3'600'000 : 0;
      for (std::int64_t shard = 0; shard <= world_.partitions; ++shard) {
        owners_.push_back(std::make_unique<SimulatedOwner>(
            world_, *stores_.back(), "machine-" + std::to_string(machine) + "-", shard, skew_ms));
        paused_.push_back(0);
      }
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

  void run_with_faults(int steps) {
    faults_ = true;
    for (int i = 0; i < steps; ++i) {
      disturb();
      one_step();
    }
  }

  // Faults stop; one machine stays. Everything has to come to rest within a bounded time.
  void converge() {
    faults_ = false;
    two_owners_ = false;
    world_.reads_late = 0;
    if (doubtful_) world_.shim_dies = 0;
    for (int& paused : paused_) paused = 0;
    for (std::size_t i = owners_per_machine(); i < owners_.size(); ++i) owners_[i]->crash();
    constexpr int rounds_max = 4000;
    for (int round = 0; round < rounds_max; ++round) {
      for (int i = 0; i < 30; ++i) one_step();
      pass_time(900);
      if (round % 2 == 0) probe_services();
      // A doubt has no other end than an answer.
      if (round % 10 == 5) answer_people(Asked::doubts);
      // Some time of healthy probes ends whatever was still being verified.
      if (round >= 20 && round % 10 == 0 && comes_to_rest()) return;
    }
    std::string why =
        "10: the cluster never comes to rest; on its way: " + std::to_string(world_.log.pending());
    for (std::size_t i = 0; i < owners_per_machine(); ++i) {
      why += owners_[i]->is_live() ? (owners_[i]->idle() ? ", idle" : ", busy") : ", not live";
    }
    for (std::size_t i = 0; i < owners_per_machine(); ++i) {
      if (!owners_[i]->is_live()) continue;
      for (const auto& [key, value] : owners_[i]->pages().pages) {
        if (key.starts_with("runner/run/") || key.starts_with("verifier/run/")) {
          why += "\n    " + key + " " + value;
        }
      }
    }
    report_.findings.push_back(why);
  }

  // Some time after everything has come to rest, a journal loses its last records, as after an
  // election of a broker that had not seen them. State saved on them must not be gone on from.
  void lose_tail() {
    if (!report_.findings.empty() || !world_.dice.chance(0.1)) return;
    const std::size_t shard = world_.dice.below(owners_per_machine());
    SimulatedOwner& owner = *owners_[shard];
    if (!owner.is_live()) return;
    static_cast<void>(owner.pages());  // saves
    const TopicPartition where = world_.topics.journal_of(shard);
    const Offset end = world_.log.range(where)->end;
    const auto lost = 1 + static_cast<Offset>(world_.dice.below(4));
    // A live owner notices by its reader, one that was down by its saved position.
    const bool live = world_.dice.chance(0.3);
    if (!live) owner.crash();
    world_.log.truncate(where, std::max<Offset>(0, end - lost));
    if (!live && world_.dice.chance(0.6)) let_another_write(shard, end);
    refuse_to_go_on(owner, where);
    ++report_.rewritten;
    // The operator's remedy: the state is moved away and comes back from what the journal holds.
    replace_owner(shard, "remedied-");
    converge();
    audit_all(Audit::again);  // the other shards have gone on meanwhile
  }

  enum class Audit : std::uint8_t { first, again };  // again: nothing is counted twice

  void audit_all(Audit audit) {
    LockAudit locks(world_.partitions);
    for (std::int64_t shard = 0; shard <= world_.partitions; ++shard) {
      audit_shard(shard, audit, locks);
    }
    // A chain that has lost its tail has forgotten what others have heard of it.
    if (audit == Audit::first) locks.compare_chains();
    for (const Violation& violation : locks.violations()) {
      report_.findings.push_back("9: " + violation.place + ": " + violation.what);
    }
    if (audit == Audit::first) report_.locks += locks.grants();
  }

  SimulationReport report() {
    for (const auto& owner : owners_) {
      if (!owner->trouble().empty()) report_.findings.push_back("trouble: " + owner->trouble());
    }
    for (const auto& [key, count] : world_.target.effects()) {
      report_.effects += count;
      if (count > 1) report_.findings.push_back("3: " + key + " took effect twice");
      if (!committed_starts_.contains(key)) {
        report_.findings.push_back("3: " + key + " took effect without a committed start");
      }
      report_.digest = hash64(key, report_.digest);
    }
    return report_;
  }

 private:
  std::size_t owners_per_machine() const { return static_cast<std::size_t>(world_.partitions) + 1; }

  void pass_time(DurationMs most_ms) {
    world_.now_ms +=
        1 + static_cast<DurationMs>(world_.dice.below(static_cast<std::uint64_t>(most_ms)));
    world_.log.set_time_ms(world_.now_ms);
  }

  void replace_owner(std::size_t shard, const std::string& name) {
    // The one before stays: answers to its appends may still be on their way.
    owners_[shard]->crash();
    retired_.push_back(std::move(owners_[shard]));
    stores_.push_back(std::make_unique<MemoryPageStore>());
    owners_[shard] = std::make_unique<SimulatedOwner>(world_, *stores_.back(), name,
                                                      static_cast<std::int64_t>(shard), 0);
  }

  // Another machine, without saved state, goes on from what is left until there is more than was
  // lost: the offsets exist again and hold other records.
  void let_another_write(std::size_t shard, Offset end) {
    const TopicPartition where = world_.topics.journal_of(shard);
    stores_.push_back(std::make_unique<MemoryPageStore>());
    retired_.push_back(std::make_unique<SimulatedOwner>(world_, *stores_.back(), "another-",
                                                        static_cast<std::int64_t>(shard), 0));
    SimulatedOwner& another = *retired_.back();
    constexpr int steps_max = 300;
    for (int i = 0; i < steps_max && world_.log.range(where)->end <= end; ++i) {
      another.step();
      while (world_.log.deliver_next()) {
      }
      if (i % 5 == 0) probe_services();
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

  // An ordinary record, but for the bug that it hits.
  void append_poison() {
    constexpr std::size_t poison_max = 2;  // each costs its shard a handful of restarts
    if (poison_made_ >= poison_max) return;
    ++poison_made_;
    const auto shard = static_cast<std::int64_t>(world_.dice.below(owners_per_machine()));
    const bool control = world_.topics.is_fleet(shard) || world_.dice.chance(0.3);
    const TopicPartition signals{world_.topics.signals, static_cast<std::int32_t>(shard)};
    const TopicPartition where = control ? world_.topics.control_of(shard) : signals;
    const std::string value = control ? R"({"kind":"close","target":"nothing"})"
                                      : R"({"type":"metric","service":"service-0","metric":"up",)"
                                        R"("value":1})";
    world_.log.append(where, NewRecord{.value = value}, [this, where](Result<Offset> stored) {
      if (stored) world_.poison.insert({where, *stored});
    });
  }

  // `more`: members in JSON, each with a comma behind it.
  void append_signal(const std::string& service, const std::string& more) {
    const std::string signal = "{" + more + R"("service":")" + service + R"(","time_ms":)" +
                               std::to_string(world_.now_ms) + "}";
    std::int32_t partition = shard_of(service, static_cast<std::int32_t>(world_.partitions));
    if (world_.dice.chance(misrouted_)) {
      partition = static_cast<std::int32_t>(
          world_.dice.below(static_cast<std::uint64_t>(world_.partitions)));
    }
    world_.log.append({world_.topics.signals, partition},
                      NewRecord{.key = service, .value = signal}, [](Result<Offset>) {});
  }

  std::string any_service() { return "service-" + std::to_string(world_.dice.below(4)); }

  void probe_services() {
    for (int i = 0; i < 4; ++i) {
      const std::string service = "service-" + std::to_string(i);
      append_signal(service, std::string(R"("type":"metric","metric":"up","value":)") +
                                 (world_.target.is_ill(service) ? "0," : "1,"));
    }
  }

  enum class Asked : std::uint8_t { everything, doubts };

  void answer_people(Asked asked_for) {
    // A person approves or denies whatever waits in the journals, and ends doubts.
    for (std::int64_t shard = 0; shard < world_.partitions; ++shard) {
      JournalWalk walk(world_.log, world_.topics, shard, [](const RecordView&, SignalBatch&) {},
                       {.fold = false, .signatures = Signatures::verified_before});
      std::map<std::string, std::string> waiting;
      std::set<std::string> doubtful;
      const TopicPartition where = world_.topics.journal_of(shard);
      const Result<OffsetRange> range = world_.log.range(where);
      static_cast<void>(walk.read_to(range->end, [&](const WalkedRecord& walked) {
        if (walked.acceptance != Acceptance::accepted) return Result<void>();
        for (const Event& event : walked.record->events) {
          if (const auto* asked = std::get_if<ApprovalRequested>(&event.body)) {
            waiting[asked->proposal_id] = asked->content_hash;
          }
          if (const auto* verdict = std::get_if<Verdict>(&event.body)) {
            if (verdict->verdict != "held_for_person") waiting.erase(verdict->proposal_id);
          }
          if (const auto* outcome = std::get_if<Outcome>(&event.body)) {
            if (outcome->awaits_answer) doubtful.insert(outcome->action_id);
          }
          if (const auto* resolved = std::get_if<DoubtResolved>(&event.body)) {
            doubtful.erase(resolved->action_id);
          }
        }
        return Result<void>();
      }));
      for (const std::string& action_id : doubtful) {
        ControlMessage message{.kind = "resolve", .target = action_id};
        message.body = world_.dice.chance(0.5) ? "happened" : "not_happened";
        message.time_ms = world_.now_ms;
        message.key_id = "person";
        message.nonce = to_hex(world_.dice.next());
        message.signature = *sign(person_key().secret_hex, message.signed_text());
        // Twice: the second copy must change nothing.
        for (int copy = 0; copy < 2; ++copy) {
          world_.log.append({world_.topics.control, static_cast<std::int32_t>(shard)},
                            NewRecord{.value = encode_control(message)}, [](Result<Offset>) {});
        }
      }
      if (asked_for == Asked::doubts) waiting.clear();
      for (const auto& [proposal, hash] : waiting) {
        ControlMessage message;
        message.kind = world_.dice.chance(0.8) ? "approve" : "deny";
        message.target = proposal;
        message.content_hash = hash;
        message.time_ms = world_.now_ms;
        message.key_id = world_.dice.chance(0.9) ? "person" : "nobody";
        message.nonce = to_hex(world_.dice.next());
        message.signature = *sign(person_key().secret_hex, message.signed_text());
        const int copies = world_.dice.chance(0.2) ? 2 : 1;
        for (int copy = 0; copy < copies; ++copy) {
          world_.log.append(world_.topics.control_of(shard),
                            NewRecord{.value = encode_control(message)}, [](Result<Offset>) {});
        }
      }
    }
  }

  void disturb() {
    Dice& dice = world_.dice;
    if (dice.chance(0.10)) pass_time(400);
    if (dice.chance(0.01)) pass_time(20000);
    if (dice.chance(0.02)) world_.target.fall_ill(any_service());
    if (dice.chance(0.12)) probe_services();
    if (dice.chance(0.01)) answer_people(Asked::everything);
    if (doubtful_ && dice.chance(0.05)) answer_people(Asked::everything);
    if (dice.chance(0.02)) {
      const std::string service = any_service();
      // What several services share is one target: their runs exclude each other.
      const std::string resource =
          dice.chance(0.5) ? R"("resource":{"kind":"database","id":"shared"},)" : "";
      append_signal(service, resource + R"("type":"failure","code":"elevated_errors","id":")" +
                                 std::to_string(dice.below(50)) + R"(",)");
    }
    if (dice.chance(0.005)) {
      world_.log.append({world_.topics.signals, 0}, NewRecord{.value = "{nonsense"},
                        [](Result<Offset>) {});
    }
    if (dice.chance(poison_)) append_poison();
    for (std::size_t i = 0; i < owners_.size(); ++i) {
      if (dice.chance(crash_)) {
        owners_[i]->crash();
        ++report_.crashes;
      }
      if (dice.chance(pause_)) paused_[i] = 20 + static_cast<int>(dice.below(300));
    }
  }

  void one_step() {
    Dice& dice = world_.dice;
    if (dice.chance(0.6)) {
      const std::vector<TopicPartition> pending = world_.log.pending_partitions();
      if (!pending.empty()) world_.log.deliver_next(pending[dice.below(pending.size())]);
    }
    const std::size_t count = two_owners_ ? owners_.size() : owners_per_machine();
    const std::size_t chosen = dice.below(count);
    if (paused_[chosen] > 0) {
      --paused_[chosen];
      return;
    }
    owners_[chosen]->step();
  }

  // Works off what is on its way, without anything new.
  bool comes_to_rest() {
    constexpr int steps_max = 600;
    for (int i = 0; i < steps_max; ++i) {
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
      if (chain.signals_next != signals_end(shard) || chain.control_next != control->end) {
        return false;
      }
    }
    return open_runs() == 0;
  }

  // 0 for the fleet's shard, which takes none.
  Offset signals_end(std::int64_t shard) {
    if (world_.topics.is_fleet(shard)) return 0;
    return world_.log.range({world_.topics.signals, static_cast<std::int32_t>(shard)})->end;
  }

  std::size_t open_runs() {
    std::size_t open = 0;
    for (std::size_t i = 0; i < owners_per_machine(); ++i) {
      for (const auto& [key, value] : owners_[i]->pages().pages) {
        const bool run = key.starts_with("runner/run/") || key.starts_with("verifier/run/");
        if (run || key.starts_with("runner/lock/")) ++open;
      }
    }
    return open;
  }

  void audit_shard(std::int64_t shard, Audit audit, LockAudit& locks) {
    JournalWalk walk(world_.log, world_.topics, shard, world_.decode,
                     {.tolerate_lost_inputs = false});
    RunAudit checker;
    SkipAudit skips(world_.topics);
    const TopicPartition where = world_.topics.journal_of(shard);
    const Result<OffsetRange> range = world_.log.range(where);
    const Result<void> read =
        walk.read_to(range->end, [&](const WalkedRecord& walked) -> Result<void> {
          if (walked.acceptance == Acceptance::stale_epoch &&
              walked.record->kind == JournalKind::batch && audit == Audit::first) {
            ++report_.zombie_appends;
          }
          if (walked.acceptance != Acceptance::accepted) return {};
          skips.take(*walked.record);
          checker.take(*walked.record, walked.difference);
          locks.take(*walked.record);
          for (const Event& event : walked.record->events) {
            if (const auto* started = std::get_if<RunStarted>(&event.body)) {
              committed_starts_.insert(SimulatedTarget::key_of(*started));
            }
            if (audit == Audit::first && std::holds_alternative<IncidentOpened>(event.body)) {
              ++report_.incidents;
            }
            if (audit == Audit::first && std::holds_alternative<LockQueued>(event.body)) {
              ++report_.lock_waits;
            }
            if (audit == Audit::first && std::holds_alternative<DoubtResolved>(event.body)) {
              ++report_.doubts_ended;
            }
            report_.digest = hash64(event_text(event), report_.digest);
          }
          return {};
        });
    if (!read) report_.findings.push_back("1: " + read.error().context);
    checker.finish(false);
    for (const Violation& violation : checker.violations()) {
      report_.findings.push_back(std::to_string(violation.invariant) + ": " + violation.place +
                                 ": " + violation.what);
    }
    if (audit == Audit::first) {
      report_.decisions += checker.counts().decisions;
      report_.claims += checker.counts().claims;
      report_.in_doubt += checker.counts().in_doubt;
      report_.failed_cuts += checker.counts().failed;
      report_.poisoned += checker.counts().skipped;
    }
    for (const std::string& wrong : skips.finish(shard, world_.poison)) {
      report_.findings.push_back(wrong);
    }
    compare_states(shard, walk);
  }

  // Invariant 4: state by deciding again = live state, and 2: nothing that was sent was left out.
  void compare_states(std::int64_t shard, JournalWalk& walk) {
    SimulatedOwner& owner = *owners_[static_cast<std::size_t>(shard)];
    if (!owner.is_live()) {
      report_.findings.push_back("10: shard " + std::to_string(shard) + " is not live");
      return;
    }
    PageMap again;
    walk.fold().save(again);
    const PageMap live = owner.pages();
    for (const auto& [key, value] : again.pages) {
      const auto found = live.pages.find(key);
      if (found == live.pages.end() || found->second != value) {
        report_.findings.push_back("4: " + key + " differs: live " +
                                   (found == live.pages.end() ? "nothing" : found->second) +
                                   ", again " + value);
        break;
      }
    }
    if (again.pages.size() != live.pages.size()) {
      report_.findings.push_back("4: the live state has other rows");
    }
    if (walk.chain().signals_next != signals_end(shard)) {
      report_.findings.push_back("2: signals are left over on shard " + std::to_string(shard));
    }
  }

  SharedWorld world_;
  std::vector<std::unique_ptr<MemoryPageStore>> stores_;
  std::vector<std::unique_ptr<SimulatedOwner>> owners_;
  std::vector<std::unique_ptr<SimulatedOwner>> retired_;
  std::vector<int> paused_;
  std::size_t poison_made_ = 0;
  std::set<std::string> committed_starts_;
  SimulationReport report_;
  const bool doubtful_;  // by the seed alone: other schedules draw as if it were not there
  bool faults_ = false;
  bool two_owners_ = false;
  double lost_ = 0;
  double refused_ = 0;
  double repeated_ = 0;
  double crash_ = 0;
  double pause_ = 0;
  double misrouted_ = 0;
  double poison_ = 0;
};

}  // namespace

SimulationReport simulate(std::uint64_t seed) {
  Cluster cluster(seed);
  cluster.run_with_faults(350);
  cluster.converge();
  cluster.audit_all(Cluster::Audit::first);
  cluster.lose_tail();
  return cluster.report();
}

SimulationReport& SimulationReport::operator+=(const SimulationReport& other) {
  decisions += other.decisions;
  claims += other.claims;
  crashes += other.crashes;
  effects += other.effects;
  in_doubt += other.in_doubt;
  doubts_ended += other.doubts_ended;
  incidents += other.incidents;
  rewritten += other.rewritten;
  zombie_appends += other.zombie_appends;
  failed_cuts += other.failed_cuts;
  poisoned += other.poisoned;
  locks += other.locks;
  lock_waits += other.lock_waits;
  return *this;
}

}  // namespace selfheal::simulation
