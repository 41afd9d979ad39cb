#include "actors/journal_reader_actor.hpp"

#include <spdlog/spdlog.h>

namespace selfheal {
namespace {

using Self = journal_reader_actor::stateful_pointer<JournalReaderState>;

constexpr PollLimits journal_limits{.records_max = 200, .bytes_max = 4 << 20};

void read_on(Self self, std::int64_t shard) {
  const auto found = self->state.shards.find(shard);
  if (found == self->state.shards.end()) return;
  FollowedJournal& journal = found->second;
  while (true) {
    auto batch = std::make_shared<RecordBatch>();
    const Result<void> polled = journal.reader->poll(*batch, journal_limits);
    if (!polled) {
      // The chain cannot be followed any further: the shard must not go on deciding.
      spdlog::error("shard {}: reading its journal: {}", shard, polled.error().context);
      self->send(journal.committer, Delivery{-1, false, polled.error().context});
      self->state.shards.erase(shard);
      return;
    }
    if (batch->records.empty()) return;
    self->send(journal.committer, JournalBatchPtr(std::move(batch)));
  }
}

void follow(Self self, const FollowJournal& follow) {
  const Environment& environment = *self->state.environment;
  const auto wake = [me = caf::actor_cast<journal_reader_actor>(self), shard = follow.shard] {
    caf::anon_send(me, Woken{shard});
  };
  Result<std::unique_ptr<LogReader>> reader =
      environment.log->open(environment.topics.journal_of(follow.shard), follow.from, wake);
  if (!reader) {
    self->send(follow.committer, Delivery{-1, false, reader.error().context});
    return;
  }
  self->state.shards.erase(follow.shard);
  self->state.shards.emplace(follow.shard, FollowedJournal{std::move(*reader), follow.committer});
  read_on(self, follow.shard);
}

}  // namespace

journal_reader_actor::behavior_type journal_reader(Self self, EnvironmentPtr environment) {
  self->state.environment = std::move(environment);
  return {
      [self](const FollowJournalPtr& order) { follow(self, *order); },
      [self](const UnfollowJournal& order) { self->state.shards.erase(order.shard); },
      [self](const Woken& woken) { read_on(self, woken.shard); },
  };
}

}  // namespace selfheal
