// What a power cut or a failure at any call leaves.
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "os/fs.h"
#include "os/testing/faulty_fs.h"
#include "os/testing/fs_bytes.h"
#include "os/testing/memory_fs.h"

namespace bdn::os::testing {
namespace {

std::string Content(const Fs& fs, std::string_view path) {
  auto content = ReadFile(fs, path, 1 << 20);
  return content ? *content : std::string(FactsOf(content.error().code()).name);
}

std::unique_ptr<File> Create(Fs& fs, std::string_view path, std::string_view content) {
  auto file = fs.Open(path, OpenMode::kCreate);
  EXPECT_TRUE(file);
  EXPECT_TRUE((*file)->WriteAt(0, AsBytes(content)));
  return *std::move(file);
}

std::set<std::string> Names(const Fs& fs, std::string_view path) {
  std::set<std::string> names;
  EXPECT_TRUE(fs.List(path, [&](const DirEntry& entry) -> Status {
    names.insert(entry.name);
    return {};
  }));
  return names;
}

TEST(MemoryFs, AnUnsyncedNameVanishesWithThePower) {
  MemoryFs disk;
  ASSERT_TRUE(Create(disk, "f", "x")->Sync());
  disk.DropUnsynced();
  EXPECT_EQ(Content(disk, "f"), "not_found");
}

TEST(MemoryFs, ASyncedNameOfAnUnsyncedFileIsEmpty) {
  MemoryFs disk;
  Create(disk, "f", "x");
  ASSERT_TRUE(disk.SyncDir(""));
  disk.DropUnsynced();
  EXPECT_EQ(Content(disk, "f"), "");
}

TEST(MemoryFs, SyncAllKeepsEveryNameAndContent) {
  MemoryFs disk;
  ASSERT_TRUE(disk.MakeDir("d", 0755));
  Create(disk, "d/f", "x");
  ASSERT_TRUE(disk.SyncAll());
  disk.DropUnsynced();
  EXPECT_EQ(Content(disk, "d/f"), "x");
}

TEST(MemoryFs, ContentFallsBackToTheLastSync) {
  MemoryFs disk;
  {
    const auto file = Create(disk, "f", "first");
    ASSERT_TRUE(file->Sync());
    ASSERT_TRUE(disk.SyncDir(""));
    ASSERT_TRUE(file->WriteAt(0, AsBytes("SECOND")));
    EXPECT_EQ(Content(disk, "f"), "SECOND");
  }
  disk.DropUnsynced();
  EXPECT_EQ(Content(disk, "f"), "first");
  EXPECT_EQ(disk.used_bytes(), 5u);
}

TEST(MemoryFs, AnUnsyncedRenameReverts) {
  MemoryFs disk;
  ASSERT_TRUE(disk.MakeDir("a", 0755));
  ASSERT_TRUE(disk.MakeDir("b", 0755));
  ASSERT_TRUE(Create(disk, "a/f", "x")->Sync());
  for (const auto* const dir : {"", "a", "b"}) ASSERT_TRUE(disk.SyncDir(dir));
  ASSERT_TRUE(disk.Rename("a/f", "b/f"));
  disk.DropUnsynced();
  EXPECT_EQ(Content(disk, "a/f"), "x");
  EXPECT_EQ(Content(disk, "b/f"), "not_found");
  ASSERT_TRUE(disk.Rename("a/f", "b/f"));
  ASSERT_TRUE(disk.SyncDir("b"));
  disk.DropUnsynced();
  EXPECT_EQ(disk.Stat("a/f")->links, 2u);  // both names: the old directory was not synced
  ASSERT_TRUE(disk.Remove("a/f"));
  ASSERT_TRUE(disk.SyncDir("a"));
  disk.DropUnsynced();
  EXPECT_EQ(disk.Stat("b/f")->links, 1u);
}

TEST(MemoryFs, AnUnsyncedRemovalReverts) {
  MemoryFs disk;
  ASSERT_TRUE(Create(disk, "f", "x")->Sync());
  ASSERT_TRUE(disk.SyncDir(""));
  ASSERT_TRUE(disk.Remove("f"));
  EXPECT_EQ(disk.used_bytes(), 0u);
  disk.DropUnsynced();
  EXPECT_EQ(Content(disk, "f"), "x");
  EXPECT_EQ(disk.used_bytes(), 1u);
}

TEST(MemoryFs, FilesOpenAtThePowerCutAreDead) {
  MemoryFs disk;
  const auto file = Create(disk, "f", "x");
  disk.DropUnsynced();
  EXPECT_EQ(file->WriteAt(0, AsBytes("y")).error().code(), Code::kUnavailable);
  EXPECT_EQ(file->Sync().error().code(), Code::kUnavailable);
  EXPECT_EQ(file->Info().error().code(), Code::kUnavailable);
}

TEST(MemoryFs, CapacityCountsWhatHasANameOrIsOpen) {
  MemoryFs disk;
  disk.SetCapacity(10);
  {
    const auto file = Create(disk, "f", "12345678");
    ASSERT_TRUE(disk.Link("f", "g"));
    EXPECT_EQ(disk.Space()->available_bytes, 2u);
    EXPECT_EQ(file->WriteAt(8, AsBytes("123")).error().code(), Code::kResourceExhausted);
    EXPECT_EQ(file->Allocate(11).error().code(), Code::kResourceExhausted);
    ASSERT_TRUE(file->Allocate(10));
    ASSERT_TRUE(disk.Remove("f"));
    ASSERT_TRUE(disk.Remove("g"));
    EXPECT_EQ(disk.used_bytes(), 10u);
  }
  EXPECT_EQ(disk.used_bytes(), 0u);
  Create(disk, "f", "12345678");
  Create(disk, "g", "12");
  ASSERT_TRUE(disk.Rename("g", "f"));
  EXPECT_EQ(disk.used_bytes(), 2u);
}

TEST(MemoryFs, ACorruptByteStaysCorrupt) {
  MemoryFs disk;
  ASSERT_TRUE(WriteFileDurably(disk, "f", "abc"));
  ASSERT_TRUE(disk.CorruptByte("f", 1));
  EXPECT_EQ(Content(disk, "f"), "acc");
  disk.DropUnsynced();
  EXPECT_EQ(Content(disk, "f"), "acc");
  EXPECT_EQ(disk.CorruptByte("f", 3).error().code(), Code::kInvalidArgument);
}

TEST(MemoryFs, AnInodeTakesOnlySoManyLinks) {
  MemoryFs disk;
  Create(disk, "f", "");
  Status linked;
  int links = 1;
  for (; linked && links < 100'000; ++links) linked = disk.Link("f", std::to_string(links));
  EXPECT_EQ(linked.error().code(), Code::kResourceExhausted);
}

TEST(FaultyFs, FailsTheNthCallAndCountsFileCallsToo) {
  MemoryFs disk;
  FaultyFs faulty(disk);
  faulty.FailAt(2, {.code = Code::kResourceExhausted, .torn_bytes = 2});
  auto file = faulty.Open("f", OpenMode::kCreate, 0644);
  ASSERT_TRUE(file);
  ASSERT_TRUE((*file)->Sync());
  EXPECT_EQ((*file)->WriteAt(0, AsBytes("abcd")).error().code(), Code::kResourceExhausted);
  EXPECT_EQ(Content(disk, "f"), "ab");
  EXPECT_EQ(faulty.failures(), 1u);
  EXPECT_TRUE((*file)->Sync());
  EXPECT_EQ(faulty.operations(), 4u);
  faulty.FailAt(0, {.all_later = true});
  EXPECT_FALSE((*file)->Sync());
  EXPECT_FALSE(faulty.Share()->Stat("f"));
  EXPECT_EQ(faulty.failures(), 2u);
  faulty.Heal();
  EXPECT_TRUE(faulty.Stat("f"));
}

struct FaultCase {
  bool dies = false;  // everything after the fault fails too, then the power goes
  std::optional<std::size_t> torn_bytes = std::nullopt;
};

// Fails call n of a replacing WriteFileDurably, for every n.
void CheckReplaceAt(const FaultCase& fault) {
  for (std::uint64_t n = 0;; ++n) {
    SCOPED_TRACE(n);
    MemoryFs disk;
    ASSERT_TRUE(MakeDirs(disk, "d", true));
    ASSERT_TRUE(WriteFileDurably(disk, "d/f", "old"));
    FaultyFs faulty(disk.Share());
    faulty.FailAt(n, {.torn_bytes = fault.torn_bytes, .all_later = fault.dies});
    const Status written = WriteFileDurably(faulty, "d/f", "replaced");
    EXPECT_EQ(written.has_value(), faulty.failures() == 0);
    const std::string before_cut = Content(disk, "d/f");
    EXPECT_TRUE(before_cut == "old" || before_cut == "replaced") << before_cut;
    if (!fault.dies) {
      EXPECT_EQ(Names(disk, "d").size(), 1u);  // the temporary file is gone
    }
    disk.DropUnsynced();
    const std::string after_cut = Content(disk, "d/f");
    EXPECT_TRUE(after_cut == "old" || after_cut == "replaced") << after_cut;
    if (written) {
      EXPECT_EQ(after_cut, "replaced");
      break;
    }
  }
}

TEST(WriteFileDurably, IsOldOrNewWhateverCallFails) {
  CheckReplaceAt({});
  CheckReplaceAt({.torn_bytes = 3});
}

TEST(WriteFileDurably, IsOldOrNewWhereverTheMachineDies) {
  CheckReplaceAt({.dies = true});
  CheckReplaceAt({.dies = true, .torn_bytes = 3});
}

TEST(WriteFileDurably, ANewFileIsWholeOrNotThere) {
  for (std::uint64_t n = 0;; ++n) {
    SCOPED_TRACE(n);
    MemoryFs disk;
    FaultyFs faulty(disk.Share());
    faulty.FailAt(n, {.torn_bytes = 1, .all_later = true});
    const Status written = WriteFileDurably(faulty, "f", "new");
    disk.DropUnsynced();
    const std::string left = Content(disk, "f");
    EXPECT_TRUE(left == "not_found" || left == "new") << left;
    if (!written) continue;
    EXPECT_EQ(left, "new");
    break;
  }
}

TEST(RemoveTemporaries, FindsWhatAnyCrashOfWriteFileDurablyLeftAndNothingElse) {
  for (std::uint64_t n = 0;; ++n) {
    SCOPED_TRACE(n);
    MemoryFs disk;
    Create(disk, "f.tmp-mine", "kept");
    Create(disk, "f.tmp-0123456789abcdefg", "kept");
    FaultyFs faulty(disk.Share());
    faulty.FailAt(n, {.all_later = true});
    const Status written = WriteFileDurably(faulty, "f", "new");
    ASSERT_TRUE(RemoveTemporaries(disk, ""));
    std::set<std::string> left = Names(disk, "");
    left.erase("f");
    EXPECT_EQ(left, (std::set<std::string>{"f.tmp-mine", "f.tmp-0123456789abcdefg"}));
    if (written) break;
  }
}

TEST(MakeDirs, SucceedsOnlyWhenEveryNameIsDurable) {
  for (std::uint64_t n = 0;; ++n) {
    SCOPED_TRACE(n);
    MemoryFs disk;
    ASSERT_TRUE(disk.MakeDir("a", 0755));  // somebody made it and did not sync it
    FaultyFs faulty(disk.Share());
    faulty.FailAt(n);
    const Status first = MakeDirs(faulty, "a/b/c", true);
    const bool done = faulty.failures() == 0;
    EXPECT_EQ(first.has_value(), done);
    if (!done) {
      ASSERT_TRUE(MakeDirs(disk, "a/b/c", true));  // after the fault, a second try
    }
    disk.DropUnsynced();
    EXPECT_TRUE(disk.Stat("a/b/c"));
    if (done) break;
  }
}

TEST(RemoveTree, ReportsEveryFailureAndCanBeRepeated) {
  for (std::uint64_t n = 0;; ++n) {
    SCOPED_TRACE(n);
    MemoryFs disk;
    ASSERT_TRUE(MakeDirs(disk, "t/a/b"));
    Create(disk, "t/a/f", "x");
    FaultyFs faulty(disk.Share());
    faulty.FailAt(n);
    const Status removed = RemoveTree(faulty, "t");
    EXPECT_EQ(removed.has_value(), faulty.failures() == 0);
    if (!removed) {
      ASSERT_TRUE(RemoveTree(disk, "t"));
    }
    EXPECT_TRUE(Names(disk, "").empty());
    if (removed) break;
  }
}

}  // namespace
}  // namespace bdn::os::testing
