#pragma once
// Where replay and audit read from: the configured bus (a running service's embedded bus included,
// read-only), a stopped data_dir, or an exported file.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/assembly.hpp"
#include "decision/shard/cut_planner.hpp"
#include "topics/topic_table.hpp"

namespace selfheal {

struct JournalSource {
  std::shared_ptr<Log> log;
  TopicNames topics;
  std::string topics_prefix;
  DataFolders folders;      // of the configured process
  std::int64_t shards = 1;  // the fleet's included
};

// What the journals of all shards hold now.
Result<std::vector<OffsetRange>> journal_ranges(const JournalSource& source);

// `data_dir` wins over the configuration where it is given.
Result<JournalSource> open_source(const ConfigOptions& options, const std::string& data_dir);

// Reads signals with a decoder of its own: shared, because the function has to be copyable.
DecodeSignals fresh_decoder();

// A file written by `audit export`, as a log in memory with the journal alone.
Result<JournalSource> open_export(const std::string& file);

}  // namespace selfheal
