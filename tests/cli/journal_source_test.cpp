#include "cli/journal_source.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

#include "tests/config/support.hpp"

namespace selfheal {
namespace {

using testing::HasSubstr;

// What an export of two shards with these offsets is complained of; empty where it is taken.
std::string complaint(const std::vector<std::pair<int, int>>& shards_and_offsets) {
  const TemporaryDirectory folder;
  std::ostringstream out;
  for (const auto& [shard, offset] : shards_and_offsets) {
    out << R"({"append_time_ms":1790000000000,"offset":)" << offset << R"(,"shard":)" << shard
        << R"(,"value":"{}"})"
        << "\n";
  }
  const Result<JournalSource> source = open_export(folder.write("export.jsonl", out.str()));
  return source ? std::string() : source.error().context;
}

TEST(Export, RecordsOfAShardFollowEachOther) {
  EXPECT_EQ(complaint({{0, 7}, {0, 8}, {1, 3}, {0, 9}, {1, 4}}), "");
  EXPECT_THAT(complaint({{0, 7}, {1, 3}, {0, 9}}),
              HasSubstr(":3: offset 9 of shard 0 follows offset 7"));
  EXPECT_THAT(complaint({{0, 7}, {0, 7}}), HasSubstr("follows offset 7"));
}

}  // namespace
}  // namespace selfheal
