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

// A store on a disk whose room the test sets.
class NearlyFullDisk : public testing::Test {
 protected:
  NearlyFullDisk() {
    std::filesystem::remove_all(folder_);
    open();
  }
  ~NearlyFullDisk() override {
    store_ = nullptr;
    std::filesystem::remove_all(folder_);
  }

  void open() {
    store_ = nullptr;
    Result<std::unique_ptr<PageStore>> opened = open_page_store(folder_, [this] { return free_; });
    if (!opened) FAIL() << opened.error().context;
    store_ = std::move(*opened);
  }

  // What a process that starts now would find.
  std::map<std::string, std::string> saved_pages() {
    const Result<SavedShard> saved = store_->load(0);
    if (!saved) return {{"error", saved.error().context}};
    return {saved->pages.begin(), saved->pages.end()};
  }

  const std::string folder_ =
      std::filesystem::temp_directory_path() / ("selfheal-room." + std::to_string(getpid()));
  std::uint64_t free_ = 0;
  std::unique_ptr<PageStore> store_;
};

ShardChanges pages_of(std::int64_t seq, std::map<std::string, std::string> puts,
                      std::set<std::string> erases = {}) {
  ShardChanges changes;
  changes.chain.seq = seq;
  changes.puts = std::move(puts);
  changes.erases = std::move(erases);
  return changes;
}

TEST_F(NearlyFullDisk, GetsNothingAndThenEverything) {
  free_ = page_store_room_bytes;
  ASSERT_TRUE(store_->write(pages_of(1, {{"a", "1"}, {"b", "1"}, {"c", "1"}})));
  free_ = page_store_room_bytes - 1;
  const Result<void> refused = store_->write(pages_of(2, {{"a", "2"}, {"d", "2"}}, {"b"}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::exhausted);
  EXPECT_NE(refused.error().context.find("7 MiB of its disk are free"), std::string::npos);
  EXPECT_FALSE(store_->flush());
  EXPECT_FALSE(store_->write(pages_of(3, {{"b", "3"}}, {"d", "c"})));
  EXPECT_FALSE(store_->write_kept(0));
  const std::map<std::string, std::string> before = {{"a", "1"}, {"b", "1"}, {"c", "1"}};
  EXPECT_EQ(saved_pages(), before);
  EXPECT_EQ(store_->load(0)->chain.seq, 1);

  free_ = page_store_room_bytes;
  const Result<std::optional<std::int64_t>> written = store_->write_kept(0);
  ASSERT_TRUE(written) << written.error().context;
  EXPECT_EQ(*written, 3);
  EXPECT_FALSE(store_->write_kept(0)->has_value());
  ASSERT_TRUE(store_->flush());
  open();
  const std::map<std::string, std::string> after = {{"a", "2"}, {"b", "3"}};
  EXPECT_EQ(saved_pages(), after);
  EXPECT_EQ(store_->load(0)->chain.seq, 3);
}

TEST_F(NearlyFullDisk, AnIncarnationThatIsNotYetAsFarChangesNothingOfWhatIsKept) {
  EXPECT_FALSE(store_->write(pages_of(5, {{"a", "5"}})));
  EXPECT_FALSE(store_->write(pages_of(4, {{"a", "4"}})));
  free_ = page_store_room_bytes;
  ASSERT_TRUE(store_->write(pages_of(6, {{"b", "6"}})));
  const std::map<std::string, std::string> after = {{"a", "5"}, {"b", "6"}};
  EXPECT_EQ(saved_pages(), after);
}

TEST_F(NearlyFullDisk, ASnapshotTakesThePlaceOfWhatIsKept) {
  EXPECT_FALSE(store_->write(pages_of(5, {{"a", "5"}})));
  ShardChanges snapshot = pages_of(2, {{"b", "2"}});
  snapshot.replaces_all = true;
  EXPECT_FALSE(store_->write(snapshot));
  free_ = page_store_room_bytes;
  EXPECT_FALSE(store_->write_kept(0)->has_value()) << "whoever begins from a snapshot begins again";
  ASSERT_TRUE(store_->write(snapshot));
  const std::map<std::string, std::string> after = {{"b", "2"}};
  EXPECT_EQ(saved_pages(), after);
  EXPECT_EQ(store_->load(0)->chain.seq, 2);
}

// Rows that are behind a shard would stay so after a start: nothing tells of what lies before.
TEST_F(NearlyFullDisk, NoShardIsWrittenBeforeTheRowsThatWereRefused) {
  EXPECT_FALSE(store_->write_rows({{"row", "value"}}));
  free_ = page_store_room_bytes;
  const Result<void> refused = store_->write(pages_of(1, {{"a", "1"}}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::exhausted);
  ASSERT_TRUE(store_->write_rows({{"row", "value"}}));
  EXPECT_EQ(*store_->write_kept(0), 1);
}

TEST_F(NearlyFullDisk, MoreThanMayBeKeptIsFinal) {
  const std::string half(kept_changes_bytes_max / 2, 'x');
  EXPECT_EQ(store_->write(pages_of(1, {{"a", half}})).error().code, ErrorCode::exhausted);
  const Result<void> too_much = store_->write(pages_of(2, {{"b", half}}));
  ASSERT_FALSE(too_much);
  free_ = page_store_room_bytes;
  const Result<void> later = store_->write(pages_of(3, {{"c", "3"}}));
  ASSERT_FALSE(later);
  EXPECT_NE(later.error().context.find("stays as it is until a start"), std::string::npos);
  open();
  EXPECT_FALSE(store_->load(0)->found);
  EXPECT_TRUE(store_->write(pages_of(4, {{"d", "4"}})));
}

}  // namespace
}  // namespace selfheal
