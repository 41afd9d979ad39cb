#include "cli/journal_source.hpp"

#include <filesystem>
#include <fstream>
#include <map>

#include "storage/embedded_log.hpp"
#include "topics/json_codec.hpp"
#include "topics/memory_log.hpp"
#include "topics/signal_decoder.hpp"

namespace selfheal {
namespace {

// One exported line: {"shard":…,"offset":…,"append_time_ms":…,"value":"…"}. The value is kept as
// text, because the signature covers its exact bytes.
struct ExportedRecord {
  std::int64_t shard = 0;
  std::int64_t offset = 0;
  std::int64_t append_time_ms = 0;
  std::string value;
  static constexpr auto fields() {
    return std::tuple{field("shard", &ExportedRecord::shard),
                      field("offset", &ExportedRecord::offset),
                      field("append_time_ms", &ExportedRecord::append_time_ms),
                      field("value", &ExportedRecord::value)};
  }
};

}  // namespace

Result<std::vector<OffsetRange>> journal_ranges(const JournalSource& source) {
  std::vector<OffsetRange> ranges;
  for (std::int64_t shard = 0; shard < source.shards; ++shard) {
    const Result<OffsetRange> range = source.log->range(source.topics.journal_of(shard));
    if (!range) return range.error().within("shard " + std::to_string(shard));
    ranges.push_back(*range);
  }
  return ranges;
}

DecodeSignals fresh_decoder() {
  auto decoder = std::make_shared<SignalDecoder>();
  return
      [decoder](const RecordView& record, SignalBatch& batch) { decoder->decode(record, batch); };
}

Result<JournalSource> open_source(const ConfigOptions& options, const std::string& data_dir) {
  JournalSource source;
  Result<LoadedConfig> loaded = load(options);
  if (!loaded) return loaded.error();
  ServiceConfig& config = loaded->config;
  // Of a service on Kafka only its state and action files lie there: the bus is the configured one.
  if (!data_dir.empty()) {
    const bool actions_inside = config.actions_dir == config.data_dir + "/actions";
    config.data_dir = data_dir;
    if (actions_inside) config.actions_dir = data_dir + "/actions";
  }
  source.topics = topic_names(config.topics.prefix, config.topics.partitions);
  source.topics_prefix = config.topics.prefix;
  source.folders = data_folders(config);
  if (config.bus.kind == "kafka") {
    Result<std::shared_ptr<Log>> log = open_log(config);
    if (!log) return log.error();
    source.log = std::move(*log);
  } else {
    EmbeddedOptions embedded;
    embedded.folder = data_folders(config).bus;
    if (!std::filesystem::is_directory(embedded.folder)) {
      return Error{ErrorCode::invalid, "there is no bus in " + embedded.folder +
                                           "; name the service's --config or its --data-dir"};
    }
    embedded.clock = wall_clock_ms;
    embedded.read_only = true;
    Result<std::unique_ptr<EmbeddedLog>> log = EmbeddedLog::open(std::move(embedded));
    if (!log) {
      return Error{ErrorCode::unavailable,
                   log.error().context + "; name the service's --config or its --data-dir"};
    }
    source.log = std::move(*log);
  }
  const Result<std::int32_t> partitions = source.log->partitions(source.topics.journal);
  if (!partitions) return partitions.error();
  source.topics.partitions = *partitions;
  source.shards = *partitions + 1;
  return source;
}

Result<JournalSource> open_export(const std::string& file) {
  std::ifstream stream(file);
  if (!stream) return Error{ErrorCode::not_found, "cannot read " + file};
  auto log = std::make_shared<MemoryLog>();
  JournalSource source;
  source.topics = topic_names("export");
  std::vector<ExportedRecord> records;
  std::map<std::int64_t, Offset> last_offsets;  // by shard
  std::string line;
  std::int64_t number = 0;
  while (std::getline(stream, line)) {
    ++number;
    Result<ExportedRecord> record = from_json_text<ExportedRecord>(line);
    if (!record) {
      return Error{ErrorCode::corrupt,
                   file + ":" + std::to_string(number) + ": " + record.error().context};
    }
    const auto [last, is_first] = last_offsets.try_emplace(record->shard, record->offset);
    if (!is_first && record->offset != last->second + 1) {
      return Error{ErrorCode::corrupt, file + ":" + std::to_string(number) + ": offset " +
                                           std::to_string(record->offset) + " of shard " +
                                           std::to_string(record->shard) + " follows offset " +
                                           std::to_string(last->second) +
                                           ": a record is missing or was changed"};
    }
    last->second = record->offset;
    source.shards = std::max(source.shards, record->shard + 1);
    records.push_back(std::move(*record));
  }
  // The fleet's chain stands behind the others, on a partition like theirs.
  const Result<void> made = log->create_topics(
      {{.name = source.topics.journal, .partitions = static_cast<std::int32_t>(source.shards)}});
  if (!made) return made.error();
  for (ExportedRecord& record : records) {
    log->set_time_ms(record.append_time_ms);
    log->append(source.topics.journal_of(record.shard), NewRecord{.value = std::move(record.value)},
                [](Result<Offset>) {});
  }
  source.log = std::move(log);
  return source;
}

}  // namespace selfheal
