#include "cli/predict_csv.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "tests/config/support.hpp"

namespace selfheal {
namespace {

namespace fs = std::filesystem;

class PredictCsv : public testing::Test {
 protected:
  // The message of the error that this file's text causes.
  std::string complaint(const std::string& text) {
    const auto result = predict_file(folder_.write("in.csv", text), folder_ / "out.csv");
    EXPECT_FALSE(fs::exists(folder_ / "out.csv"));
    EXPECT_FALSE(fs::exists(folder_ / "out.csv.part"));
    return result ? "" : result.error().context;
  }

  const TemporaryDirectory folder_;
};

TEST_F(PredictCsv, KeepsEveryRow) {
  const auto input = folder_.write("in.csv",
                                   "timestamp,value\r\n2014-04-01 00:00:00,20.0\r\n"
                                   "2014-04-01T00:05:00Z,\n2014-04-01T02:10:00.25+02:00,nan\n"
                                   "2014-04-01 00:15:00,20\n");
  const auto result = predict_file(input, folder_ / "out.csv");
  ASSERT_TRUE(result) << result.error().context;
  EXPECT_EQ(result->rows, 4u);
  EXPECT_EQ(result->skipped, 2u);
  EXPECT_EQ(file_text(folder_ / "out.csv"),
            "timestamp,value,anomaly_score\n2014-04-01 00:00:00,20.0,0\n"
            "2014-04-01T00:05:00Z,,0\n2014-04-01T02:10:00.25+02:00,nan,0\n"
            "2014-04-01 00:15:00,20,0\n");
}

TEST_F(PredictCsv, LooksAtThePastOnly) {
  std::string text = "timestamp,value\n";
  for (int i = 0; i < 900; ++i) {
    char line[64];
    std::snprintf(line, sizeof line, "2014-04-%02d %02d:%02d:00,%d\n", 1 + i / 288, i / 12 % 24,
                  i % 12 * 5, 50 + i * 37 % 11);
    text += line;
  }
  const auto part = predict_file(folder_.write("part.csv", text), folder_ / "part_out.csv");
  const auto whole = predict_file(folder_.write("whole.csv", text + "2014-04-05 00:00:00,900\n"),
                                  folder_ / "out.csv");
  ASSERT_TRUE(part && whole);
  const std::string before = file_text(folder_ / "part_out.csv");
  const std::string after = file_text(folder_ / "out.csv");
  EXPECT_EQ(after.substr(0, before.size()), before);
  const double last = std::stod(after.substr(after.rfind(',') + 1));
  EXPECT_GT(last, 0.5);
  EXPECT_EQ(whole->alarms, part->alarms + 1);
}

TEST_F(PredictCsv, NamesFileAndLineOfAFlaw) {
  EXPECT_THAT(complaint(""), testing::HasSubstr("in.csv:1"));
  EXPECT_THAT(complaint("time,value\n"), testing::HasSubstr("timestamp and value"));
  EXPECT_THAT(complaint("timestamp,value\n2014-04-01 00:00:00,1\n2014-04-01 00:05:00\n"),
              testing::HasSubstr("in.csv:3"));
  for (const char* time : {"yesterday", "2014-02-29 00:00:00", "2014-04-01 24:00:00",
                           "1969-12-31 23:59:59", "2014-04-01 00:00:00x", "2014-04-01 00:00:00."}) {
    EXPECT_THAT(complaint(std::string("timestamp,value\n") + time + ",1\n"),
                testing::HasSubstr("in.csv:2"))
        << time;
  }
  const auto absent = predict_file(folder_ / "absent.csv", folder_ / "out.csv");
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code, ErrorCode::not_found);
}

TEST_F(PredictCsv, MirrorsATree) {
  folder_.write("in/b/two.csv", "timestamp,value\n2014-04-01 00:00:00,1\n");
  folder_.write("in/one.csv", "value,other,timestamp\n7,x,2014-04-01 00:00:00\n");
  folder_.write("in/readme.txt", "no table");
  const auto result = predict_tree(folder_ / "in", folder_ / "out");
  ASSERT_TRUE(result) << result.error().context;
  EXPECT_EQ(result->files, 2u);
  EXPECT_EQ(file_text(folder_ / "out/one.csv"),
            "timestamp,value,anomaly_score\n2014-04-01 00:00:00,7,0\n");
  EXPECT_TRUE(fs::exists(folder_ / "out/b/two.csv"));
  EXPECT_FALSE(predict_tree(folder_ / "nowhere", folder_ / "out"));
}

}  // namespace
}  // namespace selfheal
