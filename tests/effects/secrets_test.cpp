#include "effects/secrets.hpp"

#include <gmock/gmock.h>

#include "effects/output_capture.hpp"
#include "effects_fixture.hpp"

namespace selfheal {
namespace {

using testing::HasSubstr;
using testing::Not;

class SecretsTest : public EffectsTest {};

TEST_F(SecretsTest, one_newline_at_the_end_is_not_part_of_it) {
  write_secret("token", "value\n\n");
  EXPECT_EQ(*read_secret(path("secrets"), "token"), "value\n");
}

TEST_F(SecretsTest, refuses_what_is_unsafe) {
  write_secret("open", "value", 0604);
  EXPECT_EQ(read_secret(path("secrets"), "open").error().code, ErrorCode::refused);
  write_secret("long", std::string(64 * 1024 + 1, 'x'));
  EXPECT_FALSE(read_secret(path("secrets"), "long"));
  write_secret("empty", "\n");
  EXPECT_FALSE(read_secret(path("secrets"), "empty"));
  EXPECT_EQ(read_secret(path("secrets"), "missing").error().code, ErrorCode::not_found);
  for (const char* name : {"../secrets/token", "", ".", "a/b"}) {
    EXPECT_EQ(read_secret(path("secrets"), name).error().code, ErrorCode::invalid) << name;
  }
}

TEST_F(SecretsTest, replaces_every_value_even_where_they_overlap) {
  const Secrets secrets = {{"a", "abcX"}, {"b", "Xdef"}, {"c", "abc"}, {"none", ""}};
  EXPECT_EQ(scrub("<abcXdef> abc abcabc", secrets), "<***> *** ******");
  EXPECT_EQ(scrub("nothing", secrets), "nothing");
}

TEST_F(SecretsTest, a_secret_at_a_cut_leaves_no_part_of_itself) {
  const Secrets secrets = {{"token", "0123456789"}};
  EXPECT_EQ(scrub_cut("text 01234", CutEdge::end, secrets), "text ***");
  EXPECT_EQ(scrub_cut("56789 text", CutEdge::begin, secrets), "*** text");
  EXPECT_EQ(scrub_cut("0123456789", CutEdge::end, secrets), "***");
  OutputCapture output;
  output.take(std::string(32 * 1024 - 4, 'a') + "0123456789" + std::string(40 * 1024, 'b'));
  output.take("0123456789" + std::string(32 * 1024 - 4, 'c'));
  const std::string kept = output.scrubbed(secrets);
  EXPECT_THAT(kept, Not(HasSubstr("0123")));
  EXPECT_THAT(kept, Not(HasSubstr("6789")));
  EXPECT_THAT(kept, HasSubstr(" bytes]"));
}

}  // namespace
}  // namespace selfheal
