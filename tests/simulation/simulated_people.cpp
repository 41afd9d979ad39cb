#include "tests/simulation/simulated_people.hpp"

#include "base/signature.hpp"
#include "tests/simulation/simulated_settings.hpp"
#include "topics/control.hpp"

namespace selfheal::simulation {

SimulatedPeople::SimulatedPeople(SharedWorld& world)
    : world_(world), readings_(static_cast<std::size_t>(world.partitions)) {}

void SimulatedPeople::journal_was_rewritten(std::int64_t shard) {
  if (world_.topics.is_fleet(shard)) return;
  readings_[static_cast<std::size_t>(shard)] = {};
}

void SimulatedPeople::take(Reading& reading, const JournalRecord& record) {
  for (const Event& event : record.events) {
    if (const auto* asked = std::get_if<ApprovalRequested>(&event.body)) {
      reading.waiting[asked->proposal_id] = asked->content_hash;
    } else if (const auto* verdict = std::get_if<Verdict>(&event.body)) {
      if (verdict->verdict != "held_for_person") reading.waiting.erase(verdict->proposal_id);
    } else if (const auto* outcome = std::get_if<Outcome>(&event.body)) {
      if (outcome->awaits_answer) reading.doubtful.insert(outcome->action_id);
    } else if (const auto* resolved = std::get_if<DoubtResolved>(&event.body)) {
      reading.doubtful.erase(resolved->action_id);
    }
  }
}

void SimulatedPeople::read_on(std::int64_t shard) {
  Reading& reading = readings_[static_cast<std::size_t>(shard)];
  if (!reading.walk) {
    reading.walk = std::make_unique<JournalWalk>(
        world_.log, world_.topics, shard, [](const RecordView&, SignalBatch&) {},
        JournalWalkOptions{.fold = false, .signatures = Signatures::verified_before});
  }
  const Result<OffsetRange> range = world_.log.range(world_.topics.journal_of(shard));
  static_cast<void>(
      reading.walk->read_to(range->end, [&](const WalkedRecord& walked) -> Result<void> {
        if (walked.acceptance == Acceptance::accepted) take(reading, *walked.record);
        return {};
      }));
}

void SimulatedPeople::resolve(std::int64_t shard, const std::string& action_id) {
  ControlMessage message{.kind = "resolve", .target = action_id};
  message.body = world_.dice.chance(0.5) ? "happened" : "not_happened";
  message.time_ms = world_.now_ms;
  message.key_id = "person";
  message.nonce = to_hex(world_.dice.next());
  message.signature = *sign(person_key().secret_hex, message.signed_text());
  // Twice: the second copy must change nothing.
  for (int copy = 0; copy < 2; ++copy) {
    world_.log.append(world_.topics.control_of(shard), NewRecord{.value = encode_control(message)},
                      [](Result<Offset>) {});
  }
}

void SimulatedPeople::decide(std::int64_t shard, const std::string& proposal,
                             const std::string& content_hash) {
  ControlMessage message;
  message.kind = world_.dice.chance(0.8) ? "approve" : "deny";
  message.target = proposal;
  message.content_hash = content_hash;
  message.time_ms = world_.now_ms;
  message.key_id = world_.dice.chance(0.9) ? "person" : "nobody";
  message.nonce = to_hex(world_.dice.next());
  message.signature = *sign(person_key().secret_hex, message.signed_text());
  const int copies = world_.dice.chance(0.2) ? 2 : 1;
  for (int copy = 0; copy < copies; ++copy) {
    world_.log.append(world_.topics.control_of(shard), NewRecord{.value = encode_control(message)},
                      [](Result<Offset>) {});
  }
}

void SimulatedPeople::answer(Asked asked) {
  for (std::int64_t shard = 0; shard < world_.partitions; ++shard) {
    read_on(shard);
    const Reading& reading = readings_[static_cast<std::size_t>(shard)];
    for (const std::string& action_id : reading.doubtful) resolve(shard, action_id);
    if (asked == Asked::doubts) continue;
    for (const auto& [proposal, hash] : reading.waiting) decide(shard, proposal, hash);
  }
}

}  // namespace selfheal::simulation
