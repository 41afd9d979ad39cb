#include "config/reference.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

#include "config/service_config.hpp"
#include "config/yaml_reader.hpp"
#include "tests/config/support.hpp"

namespace selfheal {
namespace {

// UPDATE_GOLDEN=1 writes the file anew.
void expect_committed(const std::string& file, const std::string& text) {
  if (std::getenv("UPDATE_GOLDEN") != nullptr) std::ofstream(file, std::ios::binary) << text;
  EXPECT_EQ(file_text(file), text) << "run the config tests with UPDATE_GOLDEN=1";
}

TEST(Reference, CommittedFilesAreUpToDate) {
  expect_committed(SELFHEAL_SOURCE_DIR "/docs/configuration.md", configuration_markdown());
  expect_committed(SELFHEAL_SOURCE_DIR "/config/service.yaml", service_yaml());
}

TEST(Reference, ServiceYamlHoldsExactlyTheDefaults) {
  const Result<ServiceConfig> read = read_yaml_text<ServiceConfig>(service_yaml(), "service.yaml");
  ASSERT_TRUE(read.has_value()) << error_of(read);
  EXPECT_EQ(*read, ServiceConfig{});
}

}  // namespace
}  // namespace selfheal
