#include "tests/cli/honest_cluster.hpp"

#include "actors/shard_restore.hpp"
#include "base/signature.hpp"
#include "tests/simulation/simulated_settings.hpp"
#include "topics/event_codec.hpp"
#include "topics/routing.hpp"

namespace selfheal {
namespace {

constexpr TimeMs begin_ms = 1'800'000'000'000;

Settings honest_settings() {
  simulation::Dice dice(5);
  Settings settings = simulation::settings_for(dice, false, false);
  settings.mode = "execute";
  settings.limits = {};
  settings.limits.backoff_base.ms = 1000;
  for (Playbook& playbook : settings.playbooks) {
    playbook.auto_approve = playbook.name == "restart";
    playbook.risk = playbook.auto_approve ? "low" : "moderate";
    playbook.prior = {.mean = 0.9, .weight = 8};
    if (playbook.name == "reboot") playbook.triggers = {"never"};
  }
  return settings;
}

}  // namespace

HonestCluster::HonestCluster() : world_(7, honest_partitions) {
  world_.now_ms = begin_ms;
  world_.topics = topic_names("sim", honest_partitions);
  world_.public_key = simulation::journal_key().public_hex;
  world_.secret_key = simulation::journal_key().secret_hex;
  world_.settings = settings_text(honest_settings());
  world_.effect_fails = 0;
  world_.shim_dies = 0;
  world_.log.set_time_ms(world_.now_ms);
  static_cast<void>(world_.log.create_topics(topic_specs("sim", honest_partitions)));
  for (std::int64_t shard = 0; shard <= honest_partitions; ++shard) {
    owners_.push_back(
        std::make_unique<simulation::SimulatedOwner>(world_, store, "owner", shard, 0));
  }
  live();
}

std::vector<StoredRecord> HonestCluster::records() {
  std::vector<StoredRecord> all;
  for (const TopicSpec& spec : topic_specs("sim", honest_partitions)) {
    for (std::int32_t partition = 0; partition < spec.partitions; ++partition) {
      const TopicPartition where{spec.name, partition};
      const Result<OffsetRange> range = world_.log.range(where);
      static_cast<void>(read_range(
          world_.log, where, *range,
          [&](const RecordBatch& batch, const LogReader& reader) -> Result<void> {
            for (const RecordView& each : batch.records) {
              all.push_back(
                  {where,
                   each.append_time_ms,
                   {std::string(each.key), std::string(each.value), reader.headers(each.offset)}});
            }
            return {};
          }));
    }
  }
  return all;
}

void HonestCluster::run(int steps) {
  for (int i = 0; i < steps; ++i) {
    for (const auto& owner : owners_) owner->step();
    while (world_.log.deliver_next()) {
    }
    world_.now_ms += 20;
    world_.log.set_time_ms(world_.now_ms);
  }
}

void HonestCluster::signal(std::int32_t partition, const std::string& text) {
  world_.log.append({world_.topics.signals, partition}, NewRecord{.value = text},
                    [](Result<Offset>) {});
}

void HonestCluster::probe() {
  for (int i = 0; i < 4; ++i) {
    const std::string service = "service-" + std::to_string(i);
    const std::string up = world_.target.is_ill(service) ? "0" : "1";
    signal(shard_of(service, honest_partitions),
           R"({"type":"metric","metric":"up","service":")" + service + R"(","value":)" + up + "}");
  }
}

void HonestCluster::probe_for(int rounds) {
  for (int i = 0; i < rounds; ++i) {
    probe();
    run(20);
  }
}

void HonestCluster::approve() {
  for (std::int64_t shard = 0; shard < honest_partitions; ++shard) {
    JournalWalk walk(world_.log, world_.topics, shard, [](const RecordView&, SignalBatch&) {},
                     {.fold = false});
    const Result<OffsetRange> range = world_.log.range(world_.topics.journal_of(shard));
    static_cast<void>(walk.read_to(range->end, [&](const WalkedRecord& walked) -> Result<void> {
      if (walked.acceptance != Acceptance::accepted) return {};
      for (const Event& event : walked.record->events) {
        const auto* asked = std::get_if<ApprovalRequested>(&event.body);
        if (asked == nullptr) continue;
        ControlMessage message{.kind = "approve", .target = asked->proposal_id};
        message.content_hash = asked->content_hash;
        message.time_ms = world_.now_ms;
        message.key_id = "person";
        message.nonce = std::string(32, '1');
        message.signature = *sign(simulation::person_key().secret_hex, message.signed_text());
        world_.log.append(world_.topics.control_of(shard),
                          NewRecord{.value = encode_control(message)}, [](Result<Offset>) {});
      }
      return {};
    }));
  }
}

void HonestCluster::live() {
  run(30);
  signal(0, "{nonsense");
  // To the wrong partition.
  signal(1 - shard_of("service-1", honest_partitions),
         R"({"type":"metric","metric":"up","service":"service-1","value":1})");
  world_.target.fall_ill("service-3");  // on which nothing depends
  probe_for(20);
  signal(shard_of("service-2", honest_partitions),
         R"({"type":"failure","code":"elevated_errors","service":"service-2","id":"one"})");
  run(60);
  approve();
  probe_for(40);
  // What does not help is undone, and a person is called.
  world_.effect_fails = 1;
  world_.target.fall_ill("service-3");
  probe_for(62);
  world_.effect_fails = 0;
  const TopicPartition where = world_.topics.control_of(0);
  world_.poison.insert({where, world_.log.range(where)->end});
  world_.log.append(where, NewRecord{.value = R"({"kind":"close","target":"nothing"})"},
                    [](Result<Offset>) {});
  probe_for(40);
  for (const auto& owner : owners_) owner->save();
}

void relay_decisions(std::vector<StoredRecord>& records) {
  const TopicNames topics = topic_names("sim", honest_partitions);
  for (std::int64_t shard = 0; shard <= honest_partitions; ++shard) {
    const TopicPartition where = topics.journal_of(shard);
    std::vector<StoredRecord> more;
    for (const StoredRecord& each : records) {
      if (each.where != where) continue;
      const JournalRecord record = *decode_body(unwrap_body(each.record.value)->body);
      if (record.kind == JournalKind::skip) {
        more.push_back({{topics.deadletter, 0}, each.append_ms, {}});
        more.back().record.headers = {{"reason", record.reason},
                                      {"topic", topics.control},
                                      {"partition", std::to_string(shard)},
                                      {"offset", std::to_string(record.cut.control_begin)}};
      }
      for (std::size_t k = 0; k < record.events.size(); ++k) {
        const Event& event = record.events[k];
        if (std::holds_alternative<Forwarded>(event.body)) continue;
        const auto number = static_cast<std::int64_t>(k);
        more.push_back({{topics.decisions, 0}, each.append_ms, {}});
        more.back().record.value =
            cloud_event_text(event, {"sim", shard, record.seq, number, record.cut.tick_ms});
        const auto* dead = std::get_if<DeadLettered>(&event.body);
        if (dead == nullptr) continue;
        more.push_back({{topics.deadletter, 0}, each.append_ms, {}});
        more.back().record.headers = {{"reason", dead->reason},
                                      {"topic", topics.signals},
                                      {"partition", std::to_string(shard)},
                                      {"offset", std::to_string(dead->offset)}};
        if (dead->line >= 0) {
          more.back().record.headers.emplace_back("line", std::to_string(dead->line + 1));
        }
      }
    }
    records.insert(records.end(), more.begin(), more.end());
  }
}

JournalSource source_of(const std::vector<StoredRecord>& records) {
  auto log = std::make_shared<MemoryLog>();
  static_cast<void>(log->create_topics(topic_specs("sim", honest_partitions)));
  for (const StoredRecord& each : records) {
    log->set_time_ms(each.append_ms);
    log->append(each.where, each.record, [](Result<Offset>) {});
  }
  JournalSource source;
  source.log = std::move(log);
  source.topics = topic_names("sim", honest_partitions);
  source.topics_prefix = "sim";
  source.shards = honest_partitions + 1;
  return source;
}

}  // namespace selfheal
