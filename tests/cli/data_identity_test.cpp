#include "cli/data_identity.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "tests/config/support.hpp"

namespace selfheal {
namespace {

using testing::AllOf;
using testing::HasSubstr;

namespace fs = std::filesystem;

class DataIdentity : public testing::Test {
 protected:
  LoadedConfig process(const std::string& bus, const std::string& instance) const {
    LoadedConfig loaded;
    loaded.config.data_dir = folder_ / "";
    loaded.config.bus.kind = bus;
    loaded.config.instance = instance;
    loaded.instance_is_named = true;
    return loaded;
  }
  // What the folder says to that process; empty where it lets it in.
  static std::string complaint(const LoadedConfig& loaded) {
    const Result<void> checked = check_identity(loaded);
    if (checked) return "";
    EXPECT_EQ(checked.error().code, ErrorCode::refused);
    return checked.error().context;
  }
  std::string identity() const { return file_text(folder_ / "identity"); }

  TemporaryDirectory folder_;
};

TEST_F(DataIdentity, BelongsToWhoeverCameFirst) {
  for (const std::string bus : {"kafka", "embedded"}) {
    fs::remove(folder_ / "identity");
    EXPECT_EQ(complaint(process(bus, "one")), "");
    EXPECT_EQ(complaint(process(bus, "one")), "");
    const std::string before = identity();
    EXPECT_THAT(complaint(process(bus, "two")),
                AllOf(HasSubstr(folder_ / ""), HasSubstr("belongs to instance one"),
                      HasSubstr("this is instance two"), HasSubstr("delete the file identity")));
    EXPECT_EQ(identity(), before);
    EXPECT_EQ(complaint(process(bus, "one")), "");
  }
}

TEST_F(DataIdentity, IsOfOneBusAndItsTopics) {
  EXPECT_EQ(complaint(process("embedded", "one")), "");
  EXPECT_THAT(complaint(process("kafka", "one")), HasSubstr("embedded topics selfheal"));
  LoadedConfig other = process("embedded", "one");
  other.config.topics.prefix = "other";
  EXPECT_THAT(complaint(other), HasSubstr("embedded topics other"));
  other.instance_is_named = false;
  EXPECT_THAT(complaint(other), HasSubstr("embedded topics other"));
}

TEST_F(DataIdentity, HostsMayBeRenamedWhereTheBusIsInTheFolder) {
  LoadedConfig renamed = process("embedded", "c0ffee");
  renamed.instance_is_named = false;
  EXPECT_EQ(complaint(process("embedded", "one")), "");
  EXPECT_EQ(complaint(renamed), "");

  renamed.config.bus.kind = "kafka";
  fs::remove(folder_ / "identity");
  EXPECT_EQ(complaint(process("kafka", "one")), "");
  EXPECT_THAT(complaint(renamed), HasSubstr("belongs to instance one"));
}

TEST_F(DataIdentity, NamesTheFileThatCannotBeWritten) {
  LoadedConfig nowhere = process("kafka", "one");
  nowhere.config.data_dir = folder_ / "absent";
  const Result<void> checked = check_identity(nowhere);
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code, ErrorCode::unavailable);
  EXPECT_THAT(checked.error().context, HasSubstr("absent/identity"));
}

}  // namespace
}  // namespace selfheal
