#include "store/directory_store.h"

#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "codec/zstd.h"
#include "os/real_fs.h"
#include "os/testing/faulty_fs.h"
#include "os/testing/memory_fs.h"
#include "os/testing/temp_dir.h"
#include "store/object_file.h"
#include "store/testing/memory_store.h"
#include "store/testing/object_store_conformance.h"

namespace bdn::store {
namespace {

using namespace std::chrono_literals;
using bdn::testing::ManualClock;
using os::testing::FaultyFs;
using os::testing::MemoryFs;
using testing::MemoryStore;
using testing::ObjectStoreConformance;
using testing::StoreFactory;

std::unique_ptr<ObjectStore> OpenTemporary(const Clock& clock) {
  static std::vector<std::unique_ptr<os::testing::TempDir>> kept;
  kept.push_back(std::make_unique<os::testing::TempDir>());
  return *OpenDirectoryStore(*os::OpenRealFs(kept.back()->path()), clock);
}

INSTANTIATE_TEST_SUITE_P(
    Stores,
    ObjectStoreConformance,
    ::testing::Values(
        StoreFactory{
            .name = "memory",
            .make = [](const Clock& clock) { return std::make_unique<MemoryStore>(clock); }},
        StoreFactory{.name = "directory_in_memory",
                     .make =
                         [](const Clock& clock) {
                           return *OpenDirectoryStore(MemoryFs(&clock).Share(), clock);
                         }},
        StoreFactory{.name = "directory", .make = OpenTemporary}));

class DirectoryStoreTest : public ::testing::Test {
 protected:
  std::unique_ptr<ObjectStore> Open() { return *OpenDirectoryStore(disk_.Share(), clock_); }
  Result<bool> Put(ObjectStore& store, ObjectKind kind, const std::string& text) {
    return store.Put(ctx_, scope_, kind, crypto::Blake3Of(text), std::as_bytes(std::span(text)));
  }
  Result<std::string> Read(ObjectStore& store, ObjectKind kind, const std::string& text) {
    return GetAll(ctx_, store, scope_, kind, crypto::Blake3Of(text), 1u << 20);
  }
  std::string PathOf(const std::string& text) { return FullKey(scope_, crypto::Blake3Of(text)); }
  std::string FileOf(const std::string& path) { return *os::ReadFile(disk_, path, 1u << 20); }
  std::size_t CountIn(const std::string& dir) {
    std::size_t count = 0;
    EXPECT_TRUE(disk_.List(dir, [&](const os::DirEntry&) -> Status {
      ++count;
      return {};
    }));
    return count;
  }

  const Scope scope_{.org = "org", .ns = "ns"};
  ManualClock clock_;
  const Context ctx_{clock_};
  MemoryFs disk_{&clock_};
};

TEST_F(DirectoryStoreTest, ChunksRestAsTheyAreAndOthersAfterATypeFrame) {
  const auto store = Open();
  ASSERT_TRUE(Put(*store, ObjectKind::kChunk, "weights"));
  EXPECT_EQ(FileOf(PathOf("weights")), "weights");
  ASSERT_TRUE(Put(*store, ObjectKind::kManifest, "manifest"));
  const std::string file = FileOf(PathOf("manifest"));
  const std::string type = "application/vnd.baseten.bdn.manifest.v1+zstd";
  EXPECT_EQ(file.substr(0, 8), std::string("\x50\x2a\x4d\x18\x2c\0\0\0", 8));
  EXPECT_EQ(file.substr(8, type.size()), type);
  EXPECT_EQ(*codec::ZstdDecompress(file, 100), "manifest");  // the whole file, frame and all
  const auto object = store->Open(ctx_, scope_, crypto::Blake3Of(std::string_view("manifest")));
  ASSERT_TRUE(object);
  EXPECT_EQ(object->offset, 8 + type.size());
  EXPECT_TRUE(object->info.zstd);
  EXPECT_EQ(object->info.stored_bytes, file.size() - object->offset);
}

TEST_F(DirectoryStoreTest, AChunkThatLooksTypedIsNeverTakenForOne) {
  const auto store = Open();
  for (const ObjectKind kind : {ObjectKind::kManifest, ObjectKind::kChunk}) {
    // The bytes of a whole stored file, as the content of a chunk.
    const std::string text = "text of " + std::string(KindName(kind));
    const std::string file = **EncodeObject(ObjectKind::kManifest, std::as_bytes(std::span(text)));
    ASSERT_TRUE(Put(*store, ObjectKind::kChunk, file));
    EXPECT_EQ(*Read(*store, ObjectKind::kChunk, file), file);
    EXPECT_NE(FileOf(PathOf(file)), file);
    EXPECT_FALSE(*Put(*store, ObjectKind::kChunk, file));
  }
  // A prefix of a type frame, another skippable frame: raw.
  for (const std::string& raw :
       {std::string("\x50\x2a\x4d\x18", 4), std::string("\x50\x2a\x4d\x18\x2c\0\0\0app", 11),
        std::string("\x51\x2a\x4d\x18\x01\0\0\0x", 9)}) {
    ASSERT_TRUE(Put(*store, ObjectKind::kChunk, raw));
    EXPECT_EQ(FileOf(PathOf(raw)), raw);
    EXPECT_EQ(*Read(*store, ObjectKind::kChunk, raw), raw);
  }
}

TEST_F(DirectoryStoreTest, AnUnknownTypeIsUnsupportedNeverGuessed) {
  const std::string type = "application/vnd.baseten.bdn.slabmap.v1+zstd";
  const std::string head = std::string("\x50\x2a\x4d\x18", 4) + static_cast<char>(type.size()) +
                           std::string(3, '\0') + type;
  EXPECT_EQ(ParseFileHead(std::as_bytes(std::span(head))).error().code(), Code::kUnsupported);
  const std::string raw_type = "application/vnd.baseten.bdn.chunk.v1";
  const std::string raw_head = std::string("\x50\x2a\x4d\x18", 4) +
                               static_cast<char>(raw_type.size()) + std::string(3, '\0') + raw_type;
  EXPECT_EQ(ParseFileHead(std::as_bytes(std::span(raw_head))).error().code(), Code::kUnsupported);
}

TEST_F(DirectoryStoreTest, TheGoldenFileIsRead) {
  std::ifstream in(BDN_STORE_TESTDATA "/manifest.object", std::ios::binary);
  std::stringstream file;
  file << in.rdbuf();
  ASSERT_TRUE(in);
  const std::string text = *codec::ZstdDecompress(file.str(), 1u << 20);
  const auto store = Open();
  ASSERT_TRUE(os::MakeDirs(disk_, PathOf(text).substr(0, PathOf(text).rfind('/'))));
  ASSERT_TRUE(os::WriteFileDurably(disk_, PathOf(text), file.str()));
  EXPECT_EQ(*Read(*store, ObjectKind::kManifest, text), text);
}

TEST_F(DirectoryStoreTest, EveryFlippedByteIsFoundMovedAsideAndHealed) {
  const std::string text = "some text that is long enough to be an object";
  for (const ObjectKind kind : {ObjectKind::kChunk, ObjectKind::kManifest}) {
    const auto encoded = *EncodeObject(kind, std::as_bytes(std::span(text)));
    const std::size_t size = encoded ? encoded->size() : text.size();
    for (std::size_t i = 0; i < size; ++i) {
      disk_ = MemoryFs(&clock_);
      const auto store = Open();
      ASSERT_TRUE(Put(*store, kind, text));
      ASSERT_TRUE(disk_.CorruptByte(PathOf(text), i));
      const auto read = Read(*store, kind, text);
      // A flip in the type text gives no type that we know, or harms nothing (the checksum and
      // window bits of a frame may be don't-care bits).
      if (read) {
        EXPECT_EQ(*read, text);
        continue;
      }
      EXPECT_TRUE(read.error().code() == Code::kCorrupt ||
                  read.error().code() == Code::kUnsupported)
          << read.error().message();
      const auto healed = Put(*store, kind, text);
      ASSERT_TRUE(healed) << i << ": " << healed.error().message();
      EXPECT_TRUE(*healed);
      EXPECT_EQ(*Read(*store, kind, text), text);
    }
  }
}

TEST_F(DirectoryStoreTest, PutHealsAnObjectOfTheWrongLength) {
  const auto store = Open();
  for (const ObjectKind kind : {ObjectKind::kChunk, ObjectKind::kManifest}) {
    const std::string text = "object " + std::string(KindName(kind));
    ASSERT_TRUE(Put(*store, kind, text));
    const auto file = *disk_.Open(PathOf(text), os::OpenMode::kReadWrite, 0644);
    ASSERT_TRUE(file->Truncate(file->Info()->size_bytes - 1));
    EXPECT_TRUE(*Put(*store, kind, text));
    EXPECT_EQ(*Read(*store, kind, text), text);
  }
}

TEST_F(DirectoryStoreTest, SweepTakesWhatCrashedWritersLeft) {
  const auto store = Open();
  ASSERT_TRUE(Put(*store, ObjectKind::kChunk, "kept"));
  ASSERT_TRUE(os::WriteFileDurably(disk_, "tmp/0123456789abcdef", "four"));
  clock_.Advance(2h);
  ASSERT_TRUE(os::WriteFileDurably(disk_, "tmp/fedcba9876543210", "young"));
  EXPECT_EQ(*store->Sweep(ctx_, 1h, true), 4u);
  EXPECT_EQ(CountIn("tmp"), 2u);
  EXPECT_EQ(*store->Sweep(ctx_, 1h, false), 4u);
  EXPECT_EQ(CountIn("tmp"), 1u);
  EXPECT_EQ(*Read(*store, ObjectKind::kChunk, "kept"), "kept");
}

TEST_F(DirectoryStoreTest, QuarantineIsKeptForAWhile) {
  const auto store = Open();
  ASSERT_TRUE(Put(*store, ObjectKind::kChunk, "text"));
  clock_.Advance(100h);
  ASSERT_TRUE(disk_.CorruptByte(PathOf("text"), 0));
  EXPECT_FALSE(Read(*store, ObjectKind::kChunk, "text"));
  EXPECT_EQ(CountIn("quarantine"), 1u);
  EXPECT_EQ(*store->Sweep(ctx_, 1h, false), 0u);
  clock_.Advance(2h);
  EXPECT_EQ(*store->Sweep(ctx_, 1h, false), 4u);
}

TEST_F(DirectoryStoreTest, SweepPutsBackWhatACrashedDeleteTookAway) {
  const auto store = Open();
  ASSERT_TRUE(Put(*store, ObjectKind::kChunk, "text"));
  ASSERT_TRUE(os::MakeDirs(disk_, "trash/org/ns"));
  const std::string hex = crypto::Blake3Of(std::string_view("text")).hex();
  ASSERT_TRUE(disk_.Rename(PathOf("text"), "trash/org/ns/" + hex));
  ASSERT_TRUE(store->Sweep(ctx_, 1h, false));
  EXPECT_EQ(*Read(*store, ObjectKind::kChunk, "text"), "text");
  EXPECT_EQ(CountIn("trash/org/ns"), 0u);
}

TEST_F(DirectoryStoreTest, ListIgnoresWhatNoPutMade) {
  const auto store = Open();
  ASSERT_TRUE(Put(*store, ObjectKind::kChunk, "text"));
  ASSERT_TRUE(os::MakeDirs(disk_, "bdn/org/.hidden/objects/b3/aa/bb"));
  ASSERT_TRUE(os::WriteFileDurably(disk_, "bdn/README", "x"));
  const std::string dir = PathOf("text").substr(0, PathOf("text").rfind('/'));
  ASSERT_TRUE(os::WriteFileDurably(disk_, dir + "/core", "x"));
  ASSERT_TRUE(os::WriteFileDurably(disk_, dir + "/" + std::string(64, '0'), "misplaced"));
  int count = 0;
  ASSERT_TRUE(store->List(ctx_, [&](const Scope&, const ObjectInfo&) -> Status {
    ++count;
    return {};
  }));
  EXPECT_EQ(count, 1);
}

TEST_F(DirectoryStoreTest, AFullDiskIsReportedAndLeavesNothing) {
  const auto store = Open();
  disk_.SetCapacity(1000);
  const auto put = Put(*store, ObjectKind::kChunk, std::string(2000, 'x'));
  ASSERT_FALSE(put);
  EXPECT_EQ(put.error().code(), Code::kResourceExhausted);
  EXPECT_EQ(CountIn("tmp"), 0u);
}

// Every operation of the file system fails once, alone or with all later ones, and then the power
// goes: an object is absent or whole, and one whose Put returned success is there.
TEST_F(DirectoryStoreTest, WhateverFailsAnObjectIsAbsentOrWhole) {
  const std::vector<std::pair<ObjectKind, std::string>> objects = {
      {ObjectKind::kChunk, std::string(5000, 'c')},
      {ObjectKind::kManifest, std::string(5000, 'm')},
      {ObjectKind::kChunk, "second chunk"},
      {ObjectKind::kChunk, std::string(5000, 'c')}};  // again: relies on the first
  for (const bool all_later : {false, true}) {
    for (const std::optional<std::size_t> torn : {std::optional<std::size_t>(), {7}}) {
      for (std::uint64_t n = 0;; ++n) {
        disk_ = MemoryFs(&clock_);
        FaultyFs faulty(disk_.Share());
        faulty.FailAt(n, {.torn_bytes = torn, .all_later = all_later});
        std::vector<bool> stored(objects.size());
        if (auto store = OpenDirectoryStore(faulty.Share(), clock_, {.piece_bytes = 1000})) {
          for (std::size_t i = 0; i < objects.size(); ++i) {
            stored[i] = Put(**store, objects[i].first, objects[i].second).has_value();
          }
        }
        const bool done = faulty.failures() == 0;
        disk_.DropUnsynced();
        const auto store = Open();
        for (std::size_t i = 0; i < objects.size(); ++i) {
          const auto read = Read(*store, objects[i].first, objects[i].second);
          if (stored[i]) {
            ASSERT_TRUE(read) << n << ": " << read.error().message();
          } else if (!read) {
            EXPECT_EQ(read.error().code(), Code::kNotFound) << read.error().message();
          }
          if (read) {
            EXPECT_EQ(*read, objects[i].second);
          }
          EXPECT_TRUE(Put(*store, objects[i].first, objects[i].second));
          EXPECT_TRUE(Read(*store, objects[i].first, objects[i].second));
        }
        if (done) break;
        ASSERT_LT(n, 1000u);
      }
    }
  }
}

// The same for many at once: all that a successful PutChunks stored is there, and nothing is half.
TEST_F(DirectoryStoreTest, WhateverFailsManyChunksAreEachAbsentOrWhole) {
  std::vector<std::string> texts(12);
  std::vector<ChunkBytes> chunks;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    texts[i] = std::string(1500, static_cast<char>('a' + i));
    chunks.push_back(
        {.digest = crypto::Blake3Of(texts[i]), .bytes = std::as_bytes(std::span(texts[i]))});
  }
  for (const bool all_later : {false, true}) {
    for (std::uint64_t n = 0;; ++n) {
      disk_ = MemoryFs(&clock_);
      ASSERT_TRUE(Put(*Open(), ObjectKind::kChunk, texts[5]));
      FaultyFs faulty(disk_.Share());
      faulty.FailAt(n, {.torn_bytes = 7, .all_later = all_later});
      bool stored = false;
      if (auto store = OpenDirectoryStore(faulty.Share(), clock_, {.piece_bytes = 1000})) {
        stored = (*store)->PutChunks(ctx_, scope_, chunks).has_value();
      }
      const bool done = faulty.failures() == 0;
      if (!all_later && !done) {
        EXPECT_LE(CountIn("tmp"), 1u) << n;  // one may be left when removing it fails
      }
      disk_.DropUnsynced();
      const auto store = Open();
      for (const std::string& text : texts) {
        const auto read = Read(*store, ObjectKind::kChunk, text);
        if (read) {
          EXPECT_EQ(*read, text);
        } else {
          ASSERT_FALSE(stored) << n;
          EXPECT_EQ(read.error().code(), Code::kNotFound) << n << ": " << read.error().message();
        }
      }
      ASSERT_TRUE(store->PutChunks(ctx_, scope_, chunks)) << n;
      for (const std::string& text : texts) EXPECT_TRUE(Read(*store, ObjectKind::kChunk, text));
      if (done) break;
      ASSERT_LT(n, 1000u);
    }
  }
}

TEST_F(DirectoryStoreTest, ManyChunksCostTwoFlushes) {
  std::vector<std::string> texts;
  for (int i = 0; i < 300; ++i) texts.push_back("chunk " + std::to_string(i));
  std::vector<ChunkBytes> chunks;
  for (const auto& text : texts) {
    chunks.push_back({.digest = crypto::Blake3Of(text), .bytes = std::as_bytes(std::span(text))});
  }
  const auto store = Open();
  const std::uint64_t before = disk_.syncs();
  ASSERT_TRUE(store->PutChunks(ctx_, scope_, chunks));
  EXPECT_EQ(disk_.syncs() - before, 2u);
}

// The same for deleting: what was touched stays, what was not is there or not, never half.
TEST_F(DirectoryStoreTest, WhateverFailsADeleteTakesAllOrNothing) {
  for (const bool all_later : {false, true}) {
    for (std::uint64_t n = 0;; ++n) {
      disk_ = MemoryFs(&clock_);
      ASSERT_TRUE(Put(*Open(), ObjectKind::kChunk, "old"));
      FaultyFs faulty(disk_.Share());
      const auto store = *OpenDirectoryStore(faulty.Share(), clock_);
      faulty.FailAt(n, {.all_later = all_later});
      const auto digest = crypto::Blake3Of(std::string_view("old"));
      const auto deleted = store->DeleteIfOlder(ctx_, scope_, digest, clock_.Now() + 1s);
      const bool done = faulty.failures() == 0;
      faulty.Heal();
      if (deleted && *deleted) {
        EXPECT_FALSE(Read(*store, ObjectKind::kChunk, "old"));
      } else {
        // It may be in the trash; Sweep brings it back.
        ASSERT_TRUE(Open()->Sweep(ctx_, 1h, false));
        EXPECT_TRUE(Read(*Open(), ObjectKind::kChunk, "old")) << n;
      }
      if (done) break;
    }
  }
}

}  // namespace
}  // namespace bdn::store
