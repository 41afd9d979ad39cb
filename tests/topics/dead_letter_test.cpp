// What is told of records that cannot be read, and in how many bytes.
#include "topics/dead_letter.hpp"

#include <gtest/gtest.h>

namespace selfheal {
namespace {

const TopicPartition where{"t.signals", 3};

std::vector<DecodeFailure> lines_of(Offset offset, std::int32_t count) {
  std::vector<DecodeFailure> failures;
  for (std::int32_t line = 0; line < count; ++line) failures.push_back({offset, line, "bad"});
  return failures;
}

std::string header(const NewRecord& letter, const std::string& name) {
  for (const auto& [key, value] : letter.headers) {
    if (key == name) return value;
  }
  return "(none)";
}

TEST(ToldFailures, FewAreToldOneByOne) {
  const auto told = told_failures(lines_of(7, static_cast<std::int32_t>(lines_told_max)));
  ASSERT_EQ(told.size(), lines_told_max);
  EXPECT_EQ(told.back().line, static_cast<std::int32_t>(lines_told_max) - 1);
  EXPECT_EQ(told.back().reason, "bad");
}

TEST(ToldFailures, TheLastOneStandsForAllThatFollow) {
  const auto told = told_failures(lines_of(7, 10'000));
  ASSERT_EQ(told.size(), lines_told_max);
  EXPECT_EQ(told.back().line, 99);
  EXPECT_EQ(told.back().reason, "too_many_bad_lines: 9901 lines from this one on; it says: bad");
}

TEST(ToldFailures, OfManyRecordsEachHasALetterAtLeast) {
  std::vector<DecodeFailure> all;
  for (Offset offset = 0; offset < 500; ++offset) {
    for (DecodeFailure& each : lines_of(offset, 50)) all.push_back(std::move(each));
  }
  const auto told = told_failures(all);
  EXPECT_EQ(told.size(), letters_usual_max + 500 - letters_usual_max / 50);
  Offset next = 0;
  for (const DecodeFailure& each : told) {
    if (each.offset == next) ++next;
  }
  EXPECT_EQ(next, 500);
}

TEST(DeadLetter, HoldsTheRecordAsItWas) {
  DeadLetterWriter letters;
  const RecordView record{.offset = 5, .key = "k", .value = "a\nb\nc"};
  const NewRecord letter = letters.write(where, 5, 1, "bad_json: it is none", &record);
  EXPECT_EQ(letter.key, "k");
  EXPECT_EQ(letter.value, "a\nb\nc");
  EXPECT_EQ(header(letter, "reason"), "bad_json: it is none");
  EXPECT_EQ(header(letter, "topic") + header(letter, "partition") + header(letter, "offset") +
                header(letter, "line"),
            "t.signals352");
  EXPECT_EQ(header(letters.write(where, 5, -1, "bad", &record), "line"), "(none)");
}

TEST(DeadLetter, WhatIsGoneIsSaidToBe) {
  DeadLetterWriter letters;
  const NewRecord letter = letters.write(where, 5, -1, "bad", nullptr, "it has expired");
  EXPECT_EQ(letter.value, "");
  EXPECT_EQ(header(letter, "missing"), "it has expired");
}

// Topics take a little more than a record of this program holds.
TEST(DeadLetter, AlwaysFitsARecord) {
  DeadLetterWriter letters;
  const std::string key(40'000, 'k');
  const std::string value(record_bytes_max + 50'000, 'v');
  const RecordView record{.offset = 5, .key = key, .value = value};
  const NewRecord letter = letters.write(where, 5, -1, std::string(5000, 'r'), &record);
  EXPECT_TRUE(check_record(letter));
  EXPECT_EQ(letter.value.size(), record_bytes_max);
  EXPECT_EQ(header(letter, "truncated"), "a record of " + std::to_string(value.size()) + " bytes");
}

TEST(DeadLetter, LinesOfALongRecordDoNotMultiplyIt) {
  DeadLetterWriter letters;
  std::string value;
  for (int line = 0; line < 100; ++line) value += std::string(9'999, 'v') + "\n";
  std::size_t bytes = 0;
  NewRecord letter;
  for (int line = 0; line < 100; ++line) {
    const RecordView record{.offset = 5, .key = {}, .value = value};
    letter = letters.write(where, 5, line, "bad", &record);
    bytes += letter.value.size();
    EXPECT_EQ(letter.value.size(), line < 4 ? value.size() : 9'999u) << line;
  }
  EXPECT_LT(bytes, 2 * letter_bytes_max);
  EXPECT_NE(header(letter, "truncated"), "(none)");
  // Another record begins anew.
  const RecordView other{.offset = 6, .key = {}, .value = value};
  EXPECT_EQ(letters.write(where, 6, 0, "bad", &other).value.size(), value.size());
}

}  // namespace
}  // namespace selfheal
