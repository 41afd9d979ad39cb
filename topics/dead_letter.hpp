#pragma once
// What goes to the dead letters: the bytes of a record that could not be read, whole or in one of
// its lines, with headers that say where it stood and why. Bounded, because a record of bad lines
// costs its sender little: so many letters, and no more bytes of one record than a few times its
// own. Pure.
#include <cstdint>
#include <string>
#include <vector>

#include "topics/log.hpp"
#include "topics/signal.hpp"

namespace selfheal {

// Of one record; the letter behind them stands for all its other lines.
constexpr std::size_t lines_told_max = 100;
// Of one cut; records behind them have one letter each.
constexpr std::size_t letters_usual_max = 1000;
// Of one record in all its letters; letters behind them hold their line alone.
constexpr std::size_t letter_bytes_max = std::size_t{4} << 20;

// What is told of the failures of a batch. Those of one record stand together.
std::vector<DecodeFailure> told_failures(const std::vector<DecodeFailure>& all);

// Keeps count of the bytes of the record that it wrote last.
class DeadLetterWriter {
 public:
  // `line` is -1 for the whole record. `record` is null where it could not be read again, and
  // `missing` says why. The letter keeps within the limits of a record: what is cut off is named
  // in a header, `truncated`.
  NewRecord write(const TopicPartition& stood, Offset offset, std::int64_t line,
                  const std::string& reason, const RecordView* record,
                  const std::string& missing = {});

 private:
  TopicPartition stood_;
  Offset offset_ = -1;
  std::size_t bytes_ = 0;
};

}  // namespace selfheal
