#include "storage/snapshot.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/signature.hpp"
#include "topics/memory_log.hpp"

namespace selfheal {
namespace {

using ::testing::HasSubstr;

class SnapshotTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(log.create_topics(topic_specs("t", 2)));
    ShardChanges changes;
    changes.shard = 1;
    changes.chain.shard = 1;
    changes.chain.seq = 42;
    changes.chain.settings = "{}";
    changes.last_offset = 7;
    changes.last_record_hash = "ab";
    // More than two chunks hold, with bytes of every value.
    for (int i = 0; i < 40; ++i) {
      std::string value(50'000, static_cast<char>(i * 7));
      changes.puts["page/" + std::to_string(i)] = value;
    }
    ASSERT_TRUE(store.write(changes));
  }

  SnapshotManifest written() {
    const Result<SnapshotManifest> manifest = write_snapshot(log, topics, store, 1);
    EXPECT_TRUE(manifest) << manifest.error().context;
    return *manifest;
  }

  std::string broken(const SnapshotManifest& manifest) {
    const Result<SavedShard> saved = read_snapshot(log, topics, 1, manifest);
    return saved ? "read" : saved.error().context;
  }

  void append(const std::string& topic, NewRecord record) {
    log.append({topic, 1}, std::move(record),
               [](const Result<Offset>& stored) { EXPECT_TRUE(stored); });
  }

  // A record of the journal that names the snapshot, and where it stands.
  Offset name_in_journal(const SnapshotManifest& manifest) {
    JournalRecord record;
    record.kind = JournalKind::snapshot;
    record.shard = 1;
    record.seq = 43;
    record.snapshot = manifest;
    const std::string body = encode_body(record);
    append(topics.journal, {.value = wrap_body(*sign(key.secret_hex, body), body)});
    return log.range({topics.journal, 1})->end - 1;
  }

  MemoryLog log;
  TopicNames topics = topic_names("t", 2);
  MemoryPageStore store;
  SigningKey key = generate_signing_key();
};

TEST_F(SnapshotTest, WhatIsReadIsWhatWasSaved) {
  const SnapshotManifest manifest = written();
  EXPECT_EQ(manifest.seq, 42);
  EXPECT_EQ(manifest.pages, 40);
  EXPECT_GE(manifest.chunks, 4);
  const Result<SavedShard> saved = read_snapshot(log, topics, 1, manifest);
  ASSERT_TRUE(saved) << saved.error().context;
  const Result<SavedShard> original = store.load(1);
  EXPECT_EQ(saved->chain, original->chain);
  EXPECT_EQ(saved->last_offset, 7);
  EXPECT_EQ(saved->last_record_hash, "ab");
  EXPECT_EQ(saved->pages, original->pages);
}

TEST_F(SnapshotTest, NothingSavedIsNoSnapshot) {
  const Result<SnapshotManifest> manifest = write_snapshot(log, topics, store, 0);
  ASSERT_FALSE(manifest);
  EXPECT_EQ(manifest.error().code, ErrorCode::not_found);
}

TEST_F(SnapshotTest, ChunksOfOthersBetweenItsOwnDoNoHarm) {
  const SnapshotManifest first = written();
  append(topics.snapshots, {.value = "no chunk at all"});
  SnapshotManifest second = written();
  second.first_offset = first.first_offset;
  EXPECT_TRUE(read_snapshot(log, topics, 1, second));
}

TEST_F(SnapshotTest, EveryFaultIsNamed) {
  const SnapshotManifest manifest = written();
  SnapshotManifest changed = manifest;
  changed.sha256[0] = changed.sha256[0] == '0' ? '1' : '0';
  EXPECT_THAT(broken(changed), HasSubstr("its bytes have changed"));
  changed = manifest;
  --changed.end_offset;
  EXPECT_THAT(broken(changed), HasSubstr("chunks are missing"));
  changed = manifest;
  ++changed.first_offset;
  EXPECT_THAT(broken(changed), HasSubstr("chunk 0 is missing"));
  changed = manifest;
  changed.end_offset += 100;
  EXPECT_THAT(broken(changed), HasSubstr("has expired"));
  changed = manifest;
  changed.first_offset = -5;
  EXPECT_THAT(broken(changed), HasSubstr("makes no sense"));
  changed = manifest;
  changed.seq = 41;
  EXPECT_THAT(broken(changed), HasSubstr("its head is another one"));
}

TEST_F(SnapshotTest, ATruncatedChunkIsRefused) {
  const SnapshotManifest manifest = written();
  std::string chunk = "SHS1" + manifest.id + std::string(4, '\0') + std::string("\x05\0\0\0ab", 6);
  append(topics.snapshots, {.value = chunk});
  SnapshotManifest cut = manifest;
  cut.first_offset = log.range({topics.snapshots, 1})->end - 1;
  cut.end_offset = cut.first_offset + 1;
  EXPECT_THAT(broken(cut), HasSubstr("cut short"));
}

// Given two snapshots that the journal names, the newer one spoilt on its way.
// Expect the older one in the store, and the other named as refused; where both are spoilt,
// nothing.
TEST_F(SnapshotTest, WhereTheNewestIsSpoiltTheOlderOneIsLoaded) {
  const SnapshotManifest older = written();
  SnapshotManifest newer = written();
  newer.sha256[0] = newer.sha256[0] == '0' ? '1' : '0';
  for (const SnapshotManifest& manifest : {older, newer}) {
    const SnapshotPointer pointer{1, name_in_journal(manifest), 0, manifest};
    append(topics.snapshot_pointers, *encode_pointer(pointer, key.secret_hex));
  }
  MemoryPageStore empty;
  const Result<SnapshotLoad> load = load_snapshot(log, topics, empty, 1, {key.public_hex});
  ASSERT_TRUE(load) << load.error().context;
  EXPECT_THAT(load->refused, ::testing::ElementsAre(HasSubstr("its bytes have changed")));
  ASSERT_TRUE(load->saved.found);
  EXPECT_EQ(load->saved.pages, store.load(1)->pages);
  EXPECT_EQ(empty.load(1)->pages, store.load(1)->pages);

  log.truncate({topics.snapshots, 1}, older.first_offset);
  MemoryPageStore other;
  const Result<SnapshotLoad> nothing = load_snapshot(log, topics, other, 1, {key.public_hex});
  ASSERT_TRUE(nothing) << nothing.error().context;
  EXPECT_FALSE(nothing->saved.found);
  EXPECT_EQ(nothing->refused.size(), 2U);
  EXPECT_FALSE(other.load(1)->found);
}

TEST_F(SnapshotTest, TheNewestPointerThatTheJournalConfirmsIsFound) {
  const SnapshotManifest first = written();
  const SnapshotManifest second = written();
  const Offset at = name_in_journal(first);
  append(topics.snapshot_pointers, *encode_pointer({1, at, 5, first}, key.secret_hex));
  // Named by no record of the journal; signed by nobody; of another shard.
  append(topics.snapshot_pointers, *encode_pointer({1, at, 5, second}, key.secret_hex));
  append(topics.snapshot_pointers,
         *encode_pointer({1, at, 5, second}, generate_signing_key().secret_hex));
  append(topics.snapshot_pointers, *encode_pointer({0, at, 5, first}, key.secret_hex));
  append(topics.snapshot_pointers, {.value = "not a pointer"});
  const auto found = find_snapshot(log, topics, 1, {key.public_hex});
  ASSERT_TRUE(found) << found.error().context;
  ASSERT_TRUE(found->has_value());
  EXPECT_EQ((*found)->manifest, first);
  EXPECT_FALSE(find_snapshot(log, topics, 0, {key.public_hex})->has_value());
}

}  // namespace
}  // namespace selfheal
