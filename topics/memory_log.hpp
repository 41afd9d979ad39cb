#pragma once
// A log in memory: for tests and for the simulator, which decides by fault hook and deliver_next()
// what happens to each append and when. It has no thread and no clock of its own, so the same calls
// give the same log every time.
//
// Thread-safe. Delivered and Wake run on the thread that appends or delivers, outside the lock of
// the log. Limits: those of log.hpp; nothing bounds the memory used.
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "topics/log.hpp"
#include "topics/wake_cell.hpp"

namespace selfheal {

// What becomes of one append.
enum class AppendFate : std::uint8_t {
  deliver,    // stored once, said so
  delay,      // as deliver, but only when deliver_next() reaches it
  refuse,     // not stored, error
  lose_ack,   // stored once, error all the same
  duplicate,  // stored twice, said once, as a retrying client does
};

// Asked once per append, in the order of append(), under the lock of the log: it may not call it.
using FateHook = std::function<AppendFate(const TopicPartition&, const NewRecord&)>;

class MemoryLog : public Log {
 public:
  enum class Delivery : std::uint8_t {
    at_once,  // append() stores and answers before it returns
    queued,   // append() only queues; deliver_next() stores and answers
  };

  explicit MemoryLog(Delivery delivery = Delivery::at_once);
  ~MemoryLog() override;

  Result<void> create_topics(const std::vector<TopicSpec>& topics) override;
  Result<std::int32_t> partitions(const std::string& topic) override;
  Result<OffsetRange> range(const TopicPartition& where) override;
  void append(const TopicPartition& where, NewRecord record, Delivered delivered) override;
  Result<std::unique_ptr<LogReader>> open(const TopicPartition& where, Offset start,
                                          Wake wake) override;
  // Delivers everything that is queued, whatever the timeout: nothing else would.
  Result<void> flush(DurationMs timeout_ms) override;
  std::string describe() const override { return "memory"; }

  // The append time of what is stored from now on.
  void set_time_ms(TimeMs time_ms);
  void set_fates(FateHook hook);

  // Settles the oldest queued append, of any partition or of one. False: none is queued.
  bool deliver_next();
  bool deliver_next(const TopicPartition& where);
  std::size_t pending() const;
  // The partitions with queued appends, in order, without repeats: what a scheduler chooses from.
  std::vector<TopicPartition> pending_partitions() const;

  // Loses the tail: the partition ends at `end` and grows again from there, as after a power loss.
  void truncate(const TopicPartition& where, Offset end);
  // Loses the head, as retention does.
  void drop_before(const TopicPartition& where, Offset begin);

 private:
  struct Stored {
    TimeMs append_time_ms = 0;
    NewRecord record;
  };
  struct ReaderState {
    WakeCell wake;
    bool armed = true;  // the last poll brought nothing: the next record wakes
    explicit ReaderState(Wake each) : wake(std::move(each)) {}
  };
  struct Partition {
    Offset begin = 0;
    std::deque<std::shared_ptr<const Stored>> records;  // of offsets begin, begin + 1, ...
    std::vector<std::weak_ptr<ReaderState>> readers;
    Offset end() const { return begin + static_cast<Offset>(records.size()); }
  };
  struct Queued {
    TopicPartition where;
    NewRecord record;
    Delivered delivered;
    AppendFate fate = AppendFate::deliver;
  };
  class Reader;

  Partition* find(const TopicPartition& where);
  // What is left to say once the lock is released.
  struct Settled {
    Delivered delivered;
    Result<Offset> answer;
    std::vector<std::shared_ptr<ReaderState>> woken;
  };
  Settled settle(Queued queued);  // under the lock, so that nothing overtakes
  static void announce(const Settled& settled);
  bool deliver_first(const std::optional<TopicPartition>& where);

  const Delivery delivery_;
  mutable std::mutex mutex_;
  TimeMs time_ms_ = 0;
  FateHook fates_;
  std::map<std::string, std::vector<Partition>> topics_;
  std::deque<Queued> queue_;
};

}  // namespace selfheal
