#include "config/keys.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <thread>

#include "base/hash.hpp"
#include "base/signature.hpp"
#include "tests/config/support.hpp"

namespace selfheal {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

mode_t mode_of(const std::string& file) {
  struct stat status {};
  EXPECT_EQ(::stat(file.c_str(), &status), 0) << file;
  return status.st_mode & 0777;
}

TEST(Keys, CreatedKeySignsAndItsPublicHalfVerifies) {
  const TemporaryDirectory directory;
  const std::string keys = directory / "deep/keys";
  const Result<PublicKey> created = create_key(keys, "alice", "operator");
  ASSERT_TRUE(created.has_value()) << error_of(created);
  const Result<SecretKey> secret = load_secret(keys, "alice");
  ASSERT_TRUE(secret.has_value()) << error_of(secret);
  const Result<std::string> signature = sign(secret->secret_key, "message");
  ASSERT_TRUE(signature.has_value());
  EXPECT_TRUE(verify(created->public_key, "message", *signature));
  EXPECT_EQ(created->token_sha256, to_hex(sha256(secret->token)));
  EXPECT_EQ(mode_of(keys), 0700U);
  EXPECT_EQ(mode_of(secret_key_file(keys, "alice")), 0600U);
  const std::string published = file_text(public_key_file(keys, "alice"));
  EXPECT_THAT(published, Not(HasSubstr(secret->token)));
  EXPECT_THAT(published, Not(HasSubstr(secret->secret_key)));
  const Result<std::vector<PublicKey>> listed = list_keys(keys);
  ASSERT_TRUE(listed.has_value()) << error_of(listed);
  EXPECT_EQ(*listed, std::vector<PublicKey>{*created});
}

TEST(Keys, RefusesToOverwrite) {
  const TemporaryDirectory directory;
  ASSERT_TRUE(create_key(directory / "k", "bob", "viewer").has_value());
  const std::string before = file_text(secret_key_file(directory / "k", "bob"));
  const Result<PublicKey> again = create_key(directory / "k", "bob", "admin");
  ASSERT_FALSE(again.has_value());
  EXPECT_EQ(again.error().code, ErrorCode::refused);
  EXPECT_EQ(file_text(secret_key_file(directory / "k", "bob")), before);
}

TEST(Keys, BadNamesAndRoles) {
  const TemporaryDirectory directory;
  for (const std::string& name :
       {std::string(), std::string("../x"), std::string("A"), std::string("a.b"),
        std::string("a/b"), std::string(65, 'a'), std::string("a\0b", 3)}) {
    EXPECT_THAT(error_of(create_key(directory / "k", name, "viewer")), HasSubstr("a key's name"));
    EXPECT_THAT(error_of(load_secret(directory / "k", name)), HasSubstr("a key's name"));
  }
  EXPECT_EQ(error_of(create_key(directory / "k", "a", "root")),
            "role must be viewer, operator or admin, not 'root'");
}

TEST(Keys, RefusesSecretsThatOthersMayRead) {
  const TemporaryDirectory directory;
  ASSERT_TRUE(create_key(directory / "k", "carol", "viewer").has_value());
  const std::string file = secret_key_file(directory / "k", "carol");
  ::chmod(file.c_str(), 0644);
  const Result<SecretKey> secret = load_secret(directory / "k", "carol");
  ASSERT_FALSE(secret.has_value());
  EXPECT_EQ(secret.error().code, ErrorCode::refused);
  EXPECT_EQ(directory.without_path(secret.error().context),
            "k/carol.key.json: others than its owner may use it; run: chmod 600 k/carol.key.json");
}

TEST(Keys, BrokenFilesAreNamedAndNotQuoted) {
  const TemporaryDirectory directory;
  directory.write("k/dave.pub.json", "{\"name\":\"erin\",\"role\":\"viewer\"}");
  EXPECT_EQ(directory.without_path(error_of(list_keys(directory / "k"))),
            "k/dave.pub.json: the name in it is not the file's");
  const std::string file = directory.write("k/frank.key.json", "{\"secret_key\": hidden");
  ::chmod(file.c_str(), 0600);
  EXPECT_EQ(directory.without_path(error_of(load_secret(directory / "k", "frank"))),
            "k/frank.key.json: is not a key file");
  EXPECT_EQ(directory.without_path(error_of(load_secret(directory / "k", "grace"))),
            "k/grace.key.json: no such key");
}

TEST(Keys, FirstStartMakesAnOperatorAndAJournalKeyOnce) {
  const TemporaryDirectory directory;
  const std::string keys = directory / "k";
  const Result<FirstKeys> first = ensure_first_key(keys);
  ASSERT_TRUE(first.has_value()) << error_of(first);
  EXPECT_EQ(first->created, (std::vector<std::string>{"operator", "journal"}));
  EXPECT_EQ(first->operator_file, secret_key_file(keys, "operator"));
  EXPECT_EQ(load_secret(keys, "journal").value().role, "shard");
  const Result<FirstKeys> second = ensure_first_key(keys);
  ASSERT_TRUE(second.has_value()) << error_of(second);
  EXPECT_TRUE(second->created.empty());
  // A crash between the two files leaves the secret one.
  std::filesystem::remove(public_key_file(keys, "journal"));
  ASSERT_TRUE(ensure_first_key(keys).has_value());
  EXPECT_EQ(list_keys(keys).value().size(), 2U);
}

TEST(Keys, AnAdminIsEnough) {
  const TemporaryDirectory directory;
  ASSERT_TRUE(create_key(directory / "k", "root", "admin").has_value());
  EXPECT_EQ(ensure_first_key(directory / "k").value().created, std::vector<std::string>{"journal"});
}

TEST(Keys, ProcessesThatShareTheFolderAgree) {
  const TemporaryDirectory directory;
  const std::string keys = directory / "k";
  std::atomic<int> created = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      const Result<FirstKeys> first = ensure_first_key(keys);
      EXPECT_TRUE(first.has_value()) << error_of(first);
      if (first) created += static_cast<int>(first->created.size());
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(created, 2);
  const Result<std::vector<PublicKey>> listed = list_keys(keys);
  ASSERT_TRUE(listed.has_value());
  ASSERT_EQ(listed->size(), 2U);
  for (const PublicKey& key : *listed) {
    EXPECT_EQ(load_secret(keys, key.name).value().public_key, key.public_key);
  }
}

}  // namespace
}  // namespace selfheal
