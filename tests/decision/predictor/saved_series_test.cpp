// Saved pages of a predictor that are not as it left them: named, and nothing is read beyond them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include "base/check.hpp"
#include "decision/predictor/pulses.hpp"
#include "decision/predictor/series_table.hpp"

namespace selfheal {
namespace {

const std::string prefix = "t/";
const std::string first_page = prefix + "page/" + to_hex(std::uint64_t{0});
const std::string second_page = prefix + "page/" + to_hex(std::uint64_t{1});

// 20 series of two services, each with a few values: a full page and the beginning of another.
PageMap saved_table() {
  SeriesTable table;
  for (std::uint32_t number = 0; number < 20; ++number) {
    const std::uint32_t service = table.services().number_of(number % 2 == 0 ? "even" : "odd");
    const std::uint32_t metric = table.metrics().number_of("metric_" + std::to_string(number));
    const SeriesNumber series = table.add({number, number}, service, metric, 1000);
    for (std::uint32_t second = 0; second < 200; ++second) {
      observe(table.fast(series), &table.wide(series), second % 7, 1000 + 60 * second, {});
    }
  }
  PageMap pages;
  table.save(prefix, pages);
  return pages;
}

// What stops the table from loading these pages; empty where nothing does.
std::string refusal(const PageMap& pages) {
  const StageScope scope;
  SeriesTable table;
  try {
    for (const auto& [key, value] : pages.pages) EXPECT_TRUE(table.load(prefix, key, value)) << key;
    table.finish_load();
  } catch (const CheckFailure& failure) {
    return failure.what();
  }
  return {};
}

template <class Change>
std::string refusal_after(const Change& change) {
  PageMap pages = saved_table();
  change(pages.pages);
  return refusal(pages);
}

using Pages = std::map<std::string, std::string>;

TEST(SavedSeries, WhatWasSavedLoads) {
  EXPECT_EQ(refusal(saved_table()), "");
}

TEST(SavedSeries, AnotherSizeIsNamed) {
  constexpr std::size_t rows = SeriesTable::page_series * (sizeof(T1Row) + sizeof(T2Row));
  const auto resized = [](const std::string& key, std::size_t size) {
    return refusal_after([&](Pages& pages) { pages.at(key).resize(size); });
  };
  EXPECT_THAT(resized(first_page, 0), testing::HasSubstr("has another size"));
  EXPECT_THAT(resized(first_page, rows), testing::HasSubstr("has another size"));
  EXPECT_THAT(resized(second_page, rows + sizeof(SeriesEntry) + 1),
              testing::HasSubstr("has another size"));
  EXPECT_THAT(resized(first_page, rows + 17 * sizeof(SeriesEntry)),
              testing::HasSubstr("has another size"));
  // A page before the last one lacks a series: all behind it would have the rows of others.
  EXPECT_THAT(resized(first_page, rows + 15 * sizeof(SeriesEntry)),
              testing::HasSubstr("cut short"));
}

TEST(SavedSeries, WhatIsMissingIsNamed) {
  const auto without = [](const std::string& key) {
    return refusal_after([&](Pages& pages) { ASSERT_EQ(pages.erase(key), 1U); });
  };
  EXPECT_THAT(without(first_page), testing::HasSubstr("page of the series table is missing"));
  EXPECT_THAT(without(prefix + "service/" + to_hex(std::uint64_t{0})),
              testing::HasSubstr("name of the series table is missing"));
  EXPECT_THAT(without(prefix + "service/" + to_hex(std::uint64_t{1})),
              testing::HasSubstr("unknown service"));
  EXPECT_THAT(without(prefix + "metric/" + to_hex(std::uint64_t{19})),
              testing::HasSubstr("unknown metric"));
  EXPECT_THAT(
      refusal_after([](Pages& pages) { pages[prefix + "rows/" + to_hex(std::uint64_t{0})]; }),
      testing::HasSubstr("unknown page"));
  EXPECT_THAT(refusal_after([](Pages& pages) {
                pages[prefix + "service/" + to_hex(std::uint64_t{1})] = "even";
              }),
              testing::HasSubstr("stands twice"));
}

TEST(SavedSeries, RowsThatNoDetectorLeavesAreNamed) {
  const auto with = [](std::size_t at, auto number) {
    return refusal_after([&](Pages& pages) {
      std::memcpy(pages.at(first_page).data() + at, &number, sizeof number);
    });
  };
  constexpr std::size_t wide = SeriesTable::page_series * sizeof(T1Row);
  const std::string named = "not one that a detector leaves";
  constexpr float infinite = std::numeric_limits<float>::infinity();
  EXPECT_THAT(with(offsetof(SeriesCore, mean_30), std::nanf("")), testing::HasSubstr(named));
  EXPECT_THAT(with(offsetof(T1Row, bucket_sum), infinite), testing::HasSubstr(named));
  EXPECT_THAT(with(offsetof(SeriesCore, step_variance), -1.0f), testing::HasSubstr(named));
  EXPECT_THAT(with(wide + offsetof(T2Row, seasonal), infinite), testing::HasSubstr(named));
  EXPECT_THAT(with(wide + offsetof(T2Row, season), std::uint16_t{0x7fc0}),
              testing::HasSubstr(named));
  EXPECT_THAT(with(wide + offsetof(T2Row, rise), -1.0f), testing::HasSubstr(named));
  EXPECT_THAT(with(wide + offsetof(T2Row, hour), std::uint8_t{24}), testing::HasSubstr(named));
  EXPECT_EQ(with(wide + offsetof(T2Row, hour), std::uint8_t{23}), "");
}

// The largest values that a series may have, there and back: rows stay such as can be saved.
TEST(SavedSeries, RowsOfTheLargestValuesAreSound) {
  T1Row fast;
  T2Row wide;
  const DetectorSettings settings{.bucket_seconds = 60, .rise = RiseLimit::from_fraction(0.5)};
  for (std::uint32_t i = 0; i < 20'000; ++i) {
    const double sizes[] = {1e300, -1e300, 0, 1e18, 1e-300, -1e18, 5};
    const double value = sizes[(i / (1 + i % 3)) % 7];
    observe(fast, &wide, value, 1'000'000 + i * (i % 5 == 0 ? 61 : 7), settings);
    ASSERT_TRUE(is_sound(fast)) << i;
    ASSERT_TRUE(is_sound(wide)) << i;
  }
}

TEST(SavedPulses, OfServicesThatNobodyKnowsAreNamed) {
  const StageScope scope;
  const std::string row(12, '\1');
  const auto load = [&](const std::string& page, std::size_t services) {
    Pulses pulses;
    EXPECT_TRUE(pulses.load("p/", "p/page/" + page, row));
    pulses.finish_load(services);
  };
  load("0", 1);
  load("2", 129);
  EXPECT_THROW(load("0", 0), CheckFailure);
  EXPECT_THROW(load("2", 128), CheckFailure);
  // No room is made for what a page only says.
  EXPECT_THROW(load("18446744073709551615", 129), CheckFailure);
}

}  // namespace
}  // namespace selfheal
