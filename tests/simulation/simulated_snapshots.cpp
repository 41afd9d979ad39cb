#include "tests/simulation/simulated_snapshots.hpp"

namespace selfheal::simulation {

Result<void> ChunkLog::create_topics(const std::vector<TopicSpec>& topics) {
  return log_.create_topics(topics);
}

Result<std::int32_t> ChunkLog::partitions(const std::string& topic) {
  return log_.partitions(topic);
}

Result<std::unique_ptr<LogReader>> ChunkLog::open(const TopicPartition& where, Offset start,
                                                  Wake wake) {
  return log_.open(where, start, std::move(wake));
}

void ChunkLog::append(const TopicPartition& where, NewRecord record, Delivered delivered) {
  if (fate_ == ChunkFate::lost) {
    // Said to be stored, as by a broker that loses it afterwards.
    delivered(log_.range(where)->end);
    return;
  }
  if (fate_ == ChunkFate::spoilt) record.value[place_ % record.value.size()] ^= 1;
  if (fate_ == ChunkFate::twice) log_.append(where, record, [](Result<Offset>) {});
  log_.append(where, std::move(record), std::move(delivered));
  while (log_.deliver_next(where)) {
  }
}

}  // namespace selfheal::simulation
