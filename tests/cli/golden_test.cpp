// Journals of earlier builds, kept for ever: each later build reads every record of them, and finds
// the same incidents, runs, locks and beliefs in them. A build that decides as the writer did also
// decides every batch again.
//
// UPDATE_GOLDEN=1 writes the journal of this build's fold version where there is none yet.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "actors/shard_restore.hpp"
#include "cli/topic_audit.hpp"
#include "decision/shard/fold_version.hpp"
#include "tests/cli/honest_cluster.hpp"

namespace selfheal {
namespace {

namespace fs = std::filesystem;

const fs::path folder = fs::path(SELFHEAL_SOURCE_DIR) / "tests" / "golden";

// One line of a golden file.
struct GoldenLine {
  static constexpr const char* kName = "golden_line";
  std::string topic;
  std::int64_t partition = 0;
  std::int64_t append_ms = 0;
  std::string value;
  std::map<std::string, std::string> headers;
  static constexpr auto fields() {
    return std::tuple{field("topic", &GoldenLine::topic),
                      field("partition", &GoldenLine::partition),
                      field("append_ms", &GoldenLine::append_ms),
                      field("value", &GoldenLine::value), field("headers", &GoldenLine::headers)};
  }
};

// Beside it: what every build has to find.
struct GoldenFacts {
  static constexpr const char* kName = "golden_facts";
  std::int64_t fold_version = 0;
  std::int64_t records = 0;          // of the journals, all accepted
  std::int64_t decisions = 0;        // events
  std::vector<std::string> lasting;  // keys of what matters for long, by events alone
  static constexpr auto fields() {
    return std::tuple{
        field("fold_version", &GoldenFacts::fold_version), field("records", &GoldenFacts::records),
        field("decisions", &GoldenFacts::decisions), field("lasting", &GoldenFacts::lasting)};
  }
};

std::vector<StoredRecord> read_golden(const fs::path& file) {
  std::vector<StoredRecord> records;
  std::ifstream stream(file);
  std::string line;
  while (std::getline(stream, line)) {
    const Result<GoldenLine> golden = from_json_text<GoldenLine>(line);
    EXPECT_TRUE(golden) << file << ": " << golden.error().context;
    if (!golden) break;
    StoredRecord record{{golden->topic, static_cast<std::int32_t>(golden->partition)},
                        golden->append_ms,
                        {"", golden->value, {}}};
    record.record.headers.assign(golden->headers.begin(), golden->headers.end());
    records.push_back(std::move(record));
  }
  return records;
}

// Ids of signals count as learnt from signals: how they are kept is each version's own matter.
bool is_lasting(const std::string& key) {
  return key.find("/predictor/seen") == std::string::npos;
}

// What is found by following the recorded events, without deciding.
GoldenFacts facts_of(const JournalSource& source) {
  GoldenFacts facts;
  for (std::int64_t shard = 0; shard < source.shards; ++shard) {
    JournalWalk walk(*source.log, source.topics, shard, fresh_decoder(), {.fold = false});
    ShardFold fold(
        make_stages(source.topics.is_fleet(shard) ? ShardKind::fleet : ShardKind::services));
    const Result<OffsetRange> range = source.log->range(source.topics.journal_of(shard));
    const Result<void> read =
        walk.read_to(range->end, [&](const WalkedRecord& walked) -> Result<void> {
          EXPECT_EQ(walked.acceptance, Acceptance::accepted) << to_string(walked.acceptance);
          const JournalRecord& record = *walked.record;
          ++facts.records;
          facts.decisions += static_cast<std::int64_t>(record.events.size());
          if (record.kind == JournalKind::claim) facts.fold_version = record.fold_version;
          if (record.kind == JournalKind::config) {
            Result<Settings> settings = settings_from_text(record.content);
            EXPECT_TRUE(settings) << settings.error().context;
            if (settings) fold.configure(std::make_shared<const Settings>(std::move(*settings)));
          }
          ShardFacts at = facts_after(*walked.chain);
          at.seq = record.seq;
          if (record.kind == JournalKind::batch) {
            fold.apply(record.events, at, record.cut.tick_ms);
          }
          return {};
        });
    EXPECT_TRUE(read) << read.error().context;
    PageMap pages;
    fold.save(pages);
    for (const auto& [key, value] : pages.pages) {
      const std::string place = std::to_string(shard) + "/" + key;
      if (is_lasting(place)) facts.lasting.push_back(place);
    }
  }
  return facts;
}

void write_golden(const fs::path& file) {
  std::vector<StoredRecord> records = HonestCluster().records();
  relay_decisions(records);
  fs::create_directories(folder);
  std::ofstream stream(file);
  for (const StoredRecord& each : records) {
    GoldenLine line{each.where.topic, each.where.partition, each.append_ms, each.record.value, {}};
    line.headers.insert(each.record.headers.begin(), each.record.headers.end());
    stream << to_json_text(line) << "\n";
  }
  std::ofstream(fs::path(file).replace_extension(".facts.json"))
      << to_json_text(facts_of(source_of(records))) << "\n";
}

TEST(Golden, EveryJournalEverWrittenIsUnderstood) {
  const fs::path mine = folder / ("fold-" + std::to_string(fold_version) + ".jsonl");
  if (std::getenv("UPDATE_GOLDEN") != nullptr && !fs::exists(mine)) write_golden(mine);
  ASSERT_TRUE(fs::exists(mine)) << "write it with UPDATE_GOLDEN=1, and keep those that are there";
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != ".jsonl") continue;
    SCOPED_TRACE(entry.path().string());
    const JournalSource source = source_of(read_golden(entry.path()));
    std::ifstream stream(fs::path(entry.path()).replace_extension(".facts.json"));
    const std::string text((std::istreambuf_iterator<char>(stream)), {});
    Result<GoldenFacts> wanted = from_json_text<GoldenFacts>(text);
    ASSERT_TRUE(wanted) << wanted.error().context;
    std::erase_if(wanted->lasting, [](const std::string& place) { return !is_lasting(place); });
    const GoldenFacts found = facts_of(source);
    EXPECT_EQ(found.fold_version, wanted->fold_version);
    EXPECT_EQ(found.records, wanted->records);
    EXPECT_EQ(found.decisions, wanted->decisions);
    EXPECT_EQ(found.lasting, wanted->lasting);
    TopicAudit audit(source, {.deep = true});
    const Result<void> done = audit.run();
    ASSERT_TRUE(done) << done.error().context;
    for (const Violation& each : audit.report().violations()) {
      ADD_FAILURE() << each.invariant << " " << each.place << ": " << each.what;
    }
    const auto again = audit.report().lines().find(5);
    const bool decided_again = again != audit.report().lines().end() && again->second.checked > 0;
    EXPECT_EQ(decided_again, found.fold_version == fold_version);
  }
}

}  // namespace
}  // namespace selfheal
