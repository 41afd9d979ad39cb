#include "storage/page_store.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <string>

namespace selfheal {
namespace {

// No file may grow beyond `bytes` while it lives: what a full disk does to those who write.
class SmallFiles {
 public:
  explicit SmallFiles(rlim_t bytes) {
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limit = before_;
    limit.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~SmallFiles() {
    setrlimit(RLIMIT_FSIZE, &before_);
    signal(SIGXFSZ, SIG_DFL);
  }

 private:
  rlimit before_{};
};

ShardChanges changes_of(std::int64_t seq, std::size_t bytes) {
  ShardChanges changes;
  changes.chain.seq = seq;
  changes.puts["page"] = std::string(bytes, static_cast<char>('a' + seq));
  return changes;
}

TEST(PageStore, AFullDiskEndsSavingAndNothingElse) {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("selfheal-pages." + std::to_string(getpid()));
  std::filesystem::remove_all(folder);
  {
    const Result<std::unique_ptr<PageStore>> store = open_page_store(folder);
    ASSERT_TRUE(store) << store.error().context;
    ASSERT_TRUE((*store)->write(changes_of(1, 100)));
    ASSERT_TRUE((*store)->flush());
    {
      const SmallFiles full(64 << 10);
      ASSERT_TRUE((*store)->write(changes_of(2, 1 << 20)));
      EXPECT_FALSE((*store)->flush());
      EXPECT_FALSE((*store)->flush());
    }
    // There is room again, but a file is torn, and to go on with it may end the process.
    EXPECT_FALSE((*store)->write(changes_of(3, 100)));
    const Result<void> flushed = (*store)->flush();
    ASSERT_FALSE(flushed);
    EXPECT_NE(flushed.error().context.find("stays as it is until a start"), std::string::npos);
  }
  Result<std::unique_ptr<PageStore>> again = open_page_store(folder);
  ASSERT_TRUE(again) << again.error().context;
  const Result<SavedShard> saved = (*again)->load(0);
  ASSERT_TRUE(saved);
  EXPECT_EQ(saved->chain.seq, 1);
  ASSERT_EQ(saved->pages.size(), 1U);
  EXPECT_EQ(saved->pages[0].second, std::string(100, 'b'));
  EXPECT_TRUE((*again)->write(changes_of(4, 100)));
  EXPECT_TRUE((*again)->flush());
  *again = nullptr;
  std::filesystem::remove_all(folder);
}

TEST(PageStore, NothingIsWrittenToADiskThatIsNearlyFull) {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("selfheal-room." + std::to_string(getpid()));
  std::filesystem::remove_all(folder);
  constexpr std::uint64_t more_than_any_disk = UINT64_MAX;
  {
    const Result<std::unique_ptr<PageStore>> store = open_page_store(folder, more_than_any_disk);
    ASSERT_TRUE(store) << store.error().context;
    const Result<void> written = (*store)->write(changes_of(1, 100));
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().code, ErrorCode::exhausted);
    EXPECT_NE(written.error().context.find("of its disk are free"), std::string::npos);
    // Pages that were refused are missing: later ones alone would be another state.
    EXPECT_FALSE((*store)->write(changes_of(2, 100)));
    EXPECT_FALSE((*store)->write_rows({{"row", "value"}}));
    EXPECT_FALSE((*store)->flush());
  }
  const Result<std::unique_ptr<PageStore>> again = open_page_store(folder);
  ASSERT_TRUE(again) << again.error().context;
  EXPECT_FALSE((*again)->load(0)->found);
  EXPECT_TRUE((*again)->write(changes_of(3, 100)));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace selfheal
