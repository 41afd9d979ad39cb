#include "base/time_reader.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace selfheal {
namespace {

// Every end behind every minute, so that each is read with its minute known and with another one.
TEST(TimeReader, ReadsWhatTheWholeReaderReads) {
  const std::vector<std::string> minutes = {
      "2026-11-22T09:30:", "2026-11-22T09:31:", "2026-11-22 09:30:",
      "1969-12-31T23:59:", "2024-02-29t00:00:", "2026-13-01T00:00:"};
  const std::vector<std::string> ends = {"00Z",
                                         "59Z",
                                         "60Z",
                                         "61Z",
                                         "07.Z",
                                         "07.1Z",
                                         "07.123Z",
                                         "07.1239999Z",
                                         "07.12x",
                                         "07",
                                         "07.5",
                                         "07.123+01:00",
                                         "07-0230",
                                         "07z",
                                         "7Z",
                                         "0aZ",
                                         "Z",
                                         "",
                                         "07ZZ",
                                         "07.12 Z",
                                         "07,5Z",
                                         "-1Z",
                                         "07.123456789012345678Z"};
  TimeReader reader;
  int read = 0;
  for (int round = 0; round < 2; ++round) {
    for (const std::string& minute : minutes) {
      for (const std::string& end : ends) {
        const std::string text = minute + end;
        const Result<TimeMs> expected = parse_rfc3339(text);
        const Result<TimeMs> found = reader.read(text);
        ASSERT_EQ(found.has_value(), expected.has_value()) << text;
        if (expected) {
          EXPECT_EQ(*found, *expected) << text;
        } else {
          EXPECT_EQ(found.error().context, expected.error().context) << text;
        }
        read += expected.has_value() ? 1 : 0;
      }
    }
  }
  EXPECT_GT(read, 100);
}

}  // namespace
}  // namespace selfheal
