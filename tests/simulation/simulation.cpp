#include "tests/simulation/simulation.hpp"

#include <map>

#include "base/signature.hpp"
#include "decision/shard/invariants.hpp"
#include "tests/simulation/simulated_owner.hpp"
#include "topics/event_codec.hpp"
#include "topics/routing.hpp"
#include "topics/signal_decoder.hpp"

namespace selfheal::simulation {
namespace {

constexpr TimeMs begin_ms = 1'800'000'000'000;  // some day in 2027
constexpr int machine_count = 2;

// Keys cost more to make than a schedule takes; they carry no secret here.
const SigningKey& journal_key() {
  static const SigningKey key = generate_signing_key();
  return key;
}
const SigningKey& person_key() {
  static const SigningKey key = generate_signing_key();
  return key;
}

Playbook playbook(const std::string& name, const std::string& code, bool automatic,
                  const std::string& effect) {
  Playbook book;
  book.name = name;
  book.risk = automatic ? "low" : "moderate";
  book.auto_approve = automatic;
  book.triggers = {code};
  book.effect = effect;
  Step act;
  act.name = "act";
  act.run = {Program{.argv = {"/bin/true"}}};
  act.retries = 1;
  Step undo = act;
  act.rollback = {undo};
  Step rest;
  rest.name = "rest";
  rest.wait.ms = 1500;
  book.steps = {act, rest};
  Condition up{.metric = "up", .op = "gte", .value = 1};
  up.hold.ms = 1000;
  up.within.ms = 20000;
  book.verify = {up};
  return book;
}

Settings settings_for(Dice& dice) {
  Settings settings;
  settings.mode = dice.chance(0.9) ? "execute" : (dice.chance(0.5) ? "dry_run" : "observe");
  TroubleRule down{.code = "service_down", .metric = "up", .op = "lt", .value = 1};
  down.hold.ms = 2000;
  settings.predictor.rules = {down};
  settings.predictor.bucket.ms = 1000;
  settings.predictor.repeat_after.ms = 5000;
  settings.limits.proposals_per_hour_per_service = 2 + static_cast<std::int64_t>(dice.below(20));
  settings.limits.backoff_base.ms = 1000;
  settings.approval.request_expires.ms = 30000;
  settings.playbooks = {playbook("restart", "service_down", true, "idempotent"),
                        playbook("reboot", "service_down", dice.chance(0.5), "neither"),
                        playbook("flush", "elevated_errors", false, "idempotent")};
  settings.policies = {{"self_heal_execute", "allow", {}},
                       {"self_heal_execute_proactive", "allow", {}}};
  for (int i = 0; i < 4; ++i) {
    ServiceEntry service{.name = "service-" + std::to_string(i)};
    if (i > 0) service.depends_on = {"service-" + std::to_string(i - 1)};
    settings.graph.services.push_back(service);
  }
  settings.keys = {{"journal", "shard", journal_key().public_hex},
                   {"person", "operator", person_key().public_hex}};
  return settings;
}

class Cluster {
 public:
  explicit Cluster(std::uint64_t seed) : world_(seed) {
    world_.now_ms = begin_ms;
    world_.partitions = 1 + static_cast<std::int64_t>(world_.dice.below(2));
    world_.public_key = journal_key().public_hex;
    world_.secret_key = journal_key().secret_hex;
    world_.settings = settings_text(settings_for(world_.dice));
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
    for (int machine = 0; machine < machine_count; ++machine) {
      stores_.push_back(std::make_unique<MemoryPageStore>());
      const bool skewed = world_.dice.chance(0.3);
      const DurationMs skew_ms =
          skewed ? static_cast<DurationMs>(world_.dice.below(7'200'000)) - 3'600'000 : 0;
      for (std::int64_t shard = 0; shard < world_.partitions; ++shard) {
        owners_.push_back(std::make_unique<SimulatedOwner>(
            world_, *stores_.back(), "machine-" + std::to_string(machine) + "-", shard, skew_ms));
        paused_.push_back(0);
      }
    }
    world_.log.set_fates([this](const TopicPartition& where, const NewRecord&) {
      if (!faults_ || where.topic != world_.topics.journal) return AppendFate::deliver;
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
    for (int& paused : paused_) paused = 0;
    for (std::size_t i = owners_per_machine(); i < owners_.size(); ++i) owners_[i]->crash();
    constexpr int rounds_max = 4000;
    for (int round = 0; round < rounds_max; ++round) {
      for (int i = 0; i < 30; ++i) one_step();
      pass_time(900);
      if (round % 2 == 0) probe_services();
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

  SimulationReport report() {
    for (const auto& owner : owners_) {
      if (!owner->trouble().empty()) report_.findings.push_back("trouble: " + owner->trouble());
    }
    for (std::int64_t shard = 0; shard < world_.partitions; ++shard) audit(shard);
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
  std::size_t owners_per_machine() const { return static_cast<std::size_t>(world_.partitions); }

  void pass_time(DurationMs most_ms) {
    world_.now_ms +=
        1 + static_cast<DurationMs>(world_.dice.below(static_cast<std::uint64_t>(most_ms)));
    world_.log.set_time_ms(world_.now_ms);
  }

  void append_signal(const std::string& service, Json signal) {
    signal["service"] = service;
    signal["time_ms"] = world_.now_ms;
    std::int32_t partition = shard_of(service, static_cast<std::int32_t>(world_.partitions));
    if (world_.dice.chance(misrouted_)) {
      partition = static_cast<std::int32_t>(
          world_.dice.below(static_cast<std::uint64_t>(world_.partitions)));
    }
    world_.log.append({world_.topics.signals, partition},
                      NewRecord{.key = service, .value = dump(signal)}, [](Result<Offset>) {});
  }

  std::string any_service() { return "service-" + std::to_string(world_.dice.below(4)); }

  void probe_services() {
    for (int i = 0; i < 4; ++i) {
      const std::string service = "service-" + std::to_string(i);
      append_signal(service, Json{{"type", "metric"},
                                  {"metric", "up"},
                                  {"value", world_.target.is_ill(service) ? 0 : 1}});
    }
  }

  void answer_proposals() {
    // A person approves or denies whatever waits on the first live owner's chain.
    for (std::int64_t shard = 0; shard < world_.partitions; ++shard) {
      JournalWalk walk(world_.log, world_.topics, [](const RecordView&, SignalBatch&) {},
                       {.fold = false, .signatures = Signatures::verified_before});
      std::map<std::string, std::string> waiting;
      const TopicPartition where{world_.topics.journal, static_cast<std::int32_t>(shard)};
      const Result<OffsetRange> range = world_.log.range(where);
      static_cast<void>(walk.read_to(shard, range->end, [&](const WalkedRecord& walked) {
        if (walked.acceptance != Acceptance::accepted) return Result<void>();
        for (const Event& event : walked.record->events) {
          if (const auto* asked = std::get_if<ApprovalRequested>(&event.body)) {
            waiting[asked->proposal_id] = asked->content_hash;
          }
          if (const auto* verdict = std::get_if<Verdict>(&event.body)) {
            if (verdict->verdict != "held_for_person") waiting.erase(verdict->proposal_id);
          }
        }
        return Result<void>();
      }));
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
          world_.log.append({world_.topics.control, static_cast<std::int32_t>(shard)},
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
    if (dice.chance(0.01)) answer_proposals();
    if (dice.chance(0.02)) {
      append_signal(any_service(), Json{{"type", "failure"},
                                        {"code", "elevated_errors"},
                                        {"id", std::to_string(dice.below(50))}});
    }
    if (dice.chance(0.005)) {
      world_.log.append({world_.topics.signals, 0}, NewRecord{.value = "{nonsense"},
                        [](Result<Offset>) {});
    }
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
      const auto partition = static_cast<std::int32_t>(i);
      const Chain& chain = *owners_[i]->committed();
      const Result<OffsetRange> signals = world_.log.range({world_.topics.signals, partition});
      const Result<OffsetRange> control = world_.log.range({world_.topics.control, partition});
      if (chain.signals_next != signals->end || chain.control_next != control->end) return false;
    }
    return open_runs() == 0;
  }

  std::size_t open_runs() {
    std::size_t open = 0;
    for (std::size_t i = 0; i < owners_per_machine(); ++i) {
      for (const auto& [key, value] : owners_[i]->pages().pages) {
        if (key.starts_with("runner/run/") || key.starts_with("verifier/run/")) ++open;
      }
    }
    return open;
  }

  void audit(std::int64_t shard) {
    auto decoder = std::make_shared<SignalDecoder>();
    JournalWalk walk(world_.log, world_.topics,
                     [decoder](const RecordView& r, SignalBatch& b) { decoder->decode(r, b); },
                     {.tolerate_lost_inputs = false});
    InvariantChecker checker;
    const TopicPartition where{world_.topics.journal, static_cast<std::int32_t>(shard)};
    const Result<OffsetRange> range = world_.log.range(where);
    const Result<void> read =
        walk.read_to(shard, range->end, [&](const WalkedRecord& walked) -> Result<void> {
          if (walked.acceptance != Acceptance::accepted) return {};
          checker.take(*walked.record, walked.difference);
          for (const Event& event : walked.record->events) {
            if (const auto* started = std::get_if<RunStarted>(&event.body)) {
              committed_starts_.insert(SimulatedTarget::key_of(*started));
            }
            if (std::holds_alternative<IncidentOpened>(event.body)) ++report_.incidents;
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
    report_.decisions += checker.counts().decisions;
    report_.claims += checker.counts().claims;
    report_.in_doubt += checker.counts().in_doubt;
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
    const auto partition = static_cast<std::int32_t>(shard);
    const Result<OffsetRange> signals = world_.log.range({world_.topics.signals, partition});
    if (walk.chain().signals_next != signals->end) {
      report_.findings.push_back("2: signals are left over on shard " + std::to_string(shard));
    }
  }

  SharedWorld world_;
  std::vector<std::unique_ptr<MemoryPageStore>> stores_;
  std::vector<std::unique_ptr<SimulatedOwner>> owners_;
  std::vector<int> paused_;
  std::set<std::string> committed_starts_;
  SimulationReport report_;
  bool faults_ = false;
  bool two_owners_ = false;
  double lost_ = 0;
  double refused_ = 0;
  double repeated_ = 0;
  double crash_ = 0;
  double pause_ = 0;
  double misrouted_ = 0;
};

}  // namespace

SimulationReport simulate(std::uint64_t seed) {
  Cluster cluster(seed);
  cluster.run_with_faults(350);
  cluster.converge();
  return cluster.report();
}

}  // namespace selfheal::simulation
