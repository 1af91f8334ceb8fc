#pragma once
// What every Fs must do. A test binary instantiates it once per implementation:
//
//   INSTANTIATE_TEST_SUITE_P(Memory, FsConformance, ::testing::Values(FsFactory{[] { ... }}));
//
// Include it in one test file of a binary only: it defines tests.
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "os/fs.h"
#include "os/testing/fs_bytes.h"

namespace bdn::os::testing {

struct FsFactory {
  std::string name;
  std::function<std::unique_ptr<Fs>()> make;  // an empty root
};
inline std::ostream& operator<<(std::ostream& out, const FsFactory& factory) {
  return out << factory.name;
}

class FsConformance : public ::testing::TestWithParam<FsFactory> {
 protected:
  FsConformance() : owned_(GetParam().make()), fs(*owned_) {}

  void Put(std::string_view path, std::string_view content) {
    auto file = fs.Open(path, OpenMode::kCreate);
    ASSERT_TRUE(file) << file.error().message();
    ASSERT_TRUE((*file)->Truncate(0));
    ASSERT_TRUE((*file)->WriteAt(0, AsBytes(content)));
  }
  std::string Get(std::string_view path) {
    auto content = ReadFile(fs, path, 1 << 20);
    return content ? *content : "error: " + content.error().message();
  }
  std::map<std::string, FileType> Names(std::string_view path) {
    std::map<std::string, FileType> names;
    EXPECT_TRUE(fs.List(path, [&](const DirEntry& entry) -> Status {
      names[entry.name] = entry.type;
      return {};
    }));
    return names;
  }
  std::uint64_t Inode(std::string_view path) { return fs.Stat(path)->inode; }
  template <class R>
  static Code CodeOf(const R& r) {
    EXPECT_FALSE(r) << "unexpected success";
    return r ? Code::kInternal : r.error().code();
  }

 private:
  std::unique_ptr<Fs> owned_;

 protected:
  Fs& fs;
};

TEST_P(FsConformance, WritesAndReadsAtOffsets) {
  auto file = fs.Open("f", OpenMode::kCreateNew, 0640);
  ASSERT_TRUE(file);
  ASSERT_TRUE((*file)->WriteAt(2, AsBytes("cd")));
  ASSERT_TRUE((*file)->WriteAt(0, AsBytes("ab")));
  std::string got(10, 'x');
  auto n = (*file)->ReadAt(1, std::as_writable_bytes(std::span(got.data(), got.size())));
  ASSERT_TRUE(n);
  EXPECT_EQ(got.substr(0, *n), "bcd");
  n = (*file)->ReadAt(4, std::as_writable_bytes(std::span(got.data(), got.size())));
  EXPECT_EQ(*n, 0u);
  EXPECT_TRUE((*file)->Sync());
  const auto info = (*file)->Info();
  ASSERT_TRUE(info);
  EXPECT_EQ(info->type, FileType::kFile);
  EXPECT_EQ(info->mode, 0640u);
  EXPECT_EQ(info->size_bytes, 4u);
  EXPECT_EQ(info->links, 1u);
}

TEST_P(FsConformance, AHoleReadsAsZeros) {
  auto file = fs.Open("f", OpenMode::kCreateNew);
  ASSERT_TRUE((*file)->WriteAt(3, AsBytes("x")));
  EXPECT_EQ(Get("f"), std::string("\0\0\0x", 4));
}

TEST_P(FsConformance, AllocateGrowsAndNeverShrinks) {
  auto file = fs.Open("f", OpenMode::kCreateNew);
  ASSERT_TRUE((*file)->WriteAt(0, AsBytes("abc")));
  ASSERT_TRUE((*file)->Allocate(8192));
  EXPECT_EQ((*file)->Info()->size_bytes, 8192u);
  EXPECT_GE((*file)->Info()->allocated_bytes, 8192u);
  ASSERT_TRUE((*file)->Allocate(10));
  ASSERT_TRUE((*file)->Allocate(0));
  EXPECT_EQ((*file)->Info()->size_bytes, 8192u);
  ASSERT_TRUE((*file)->Truncate(2));
  EXPECT_EQ(Get("f"), "ab");
}

TEST_P(FsConformance, OpenModesDifferOnlyInWhatMustExist) {
  EXPECT_EQ(CodeOf(fs.Open("f", OpenMode::kRead)), Code::kNotFound);
  EXPECT_EQ(CodeOf(fs.Open("f", OpenMode::kReadWrite)), Code::kNotFound);
  ASSERT_TRUE(fs.Open("f", OpenMode::kCreateNew));
  EXPECT_EQ(CodeOf(fs.Open("f", OpenMode::kCreateNew)), Code::kAlreadyExists);
  Put("f", "kept");
  ASSERT_TRUE(fs.Open("f", OpenMode::kCreate));
  EXPECT_EQ(Get("f"), "kept");
  auto reader = fs.Open("f", OpenMode::kRead);
  EXPECT_FALSE((*reader)->WriteAt(0, AsBytes("x")));
  EXPECT_EQ(Get("f"), "kept");
}

TEST_P(FsConformance, ADirectoryIsNotAFile) {
  ASSERT_TRUE(fs.MakeDir("d"));
  Put("f", "x");
  EXPECT_EQ(CodeOf(fs.Open("d", OpenMode::kRead)), Code::kFailedPrecondition);
  EXPECT_EQ(CodeOf(fs.Open("d", OpenMode::kReadWrite)), Code::kFailedPrecondition);
  EXPECT_EQ(CodeOf(fs.Remove("d")), Code::kFailedPrecondition);
  EXPECT_EQ(CodeOf(fs.RemoveDir("f")), Code::kFailedPrecondition);
  EXPECT_EQ(CodeOf(fs.Open("f/x", OpenMode::kCreate)), Code::kFailedPrecondition);
  EXPECT_EQ(CodeOf(fs.Stat("f/x")), Code::kFailedPrecondition);
  EXPECT_EQ(CodeOf(fs.List("f", [](const DirEntry&) { return Status(); })),
            Code::kFailedPrecondition);
  EXPECT_FALSE(fs.Link("d", "e"));
}

TEST_P(FsConformance, PathsMustBeNormalised) {
  for (const std::string path :
       {"/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/../b", "./a", "a/./b", "/"}) {
    SCOPED_TRACE(path);
    EXPECT_EQ(CodeOf(fs.Open(path, OpenMode::kCreate)), Code::kInvalidArgument);
    EXPECT_EQ(CodeOf(fs.Stat(path)), Code::kInvalidArgument);
    EXPECT_EQ(CodeOf(fs.MakeDir(path)), Code::kInvalidArgument);
    EXPECT_EQ(CodeOf(fs.Remove(path)), Code::kInvalidArgument);
    EXPECT_EQ(CodeOf(fs.RemoveDir(path)), Code::kInvalidArgument);
    EXPECT_EQ(CodeOf(fs.Rename(path, "x")), Code::kInvalidArgument);
    EXPECT_EQ(CodeOf(fs.Link(path, "x")), Code::kInvalidArgument);
    EXPECT_EQ(CodeOf(fs.Symlink("x", path)), Code::kInvalidArgument);
    EXPECT_EQ(CodeOf(fs.ReadLink(path)), Code::kInvalidArgument);
    EXPECT_EQ(CodeOf(fs.SetMode(path, 0600)), Code::kInvalidArgument);
    EXPECT_EQ(CodeOf(fs.SetModified(path, {})), Code::kInvalidArgument);
    EXPECT_EQ(CodeOf(fs.SyncDir(path)), Code::kInvalidArgument);
    EXPECT_EQ(CodeOf(fs.List(path, [](const DirEntry&) { return Status(); })),
              Code::kInvalidArgument);
  }
  Put("f", "x");
  EXPECT_EQ(CodeOf(fs.Rename("f", "../f")), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf(fs.Link("f", "/f")), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf(fs.Stat(std::string_view("a\0b", 3))), Code::kInvalidArgument);
}

TEST_P(FsConformance, NamesMayHave255BytesAndNoMore) {
  Put(std::string(255, 'n'), "x");
  EXPECT_EQ(Get(std::string(255, 'n')), "x");
  EXPECT_EQ(CodeOf(fs.Open(std::string(256, 'n'), OpenMode::kCreate)), Code::kInvalidArgument);
  std::string deep = "a";
  while (deep.size() < 4096) deep += "/a";
  EXPECT_EQ(CodeOf(fs.Stat(deep)), Code::kInvalidArgument);
  Put("...", "dots are a name");
  EXPECT_EQ(Get("..."), "dots are a name");
}

TEST_P(FsConformance, MessagesNameThePath) {
  auto missing = fs.Stat("some/where");
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message().find("some/where"), std::string::npos);
}

TEST_P(FsConformance, NeverFollowsASymbolicLink) {
  ASSERT_TRUE(fs.MakeDir("d"));
  Put("d/f", "x");
  ASSERT_TRUE(fs.Symlink("d", "to_dir"));
  ASSERT_TRUE(fs.Symlink("d/f", "to_file"));
  ASSERT_TRUE(fs.Symlink("/etc", "out"));
  ASSERT_TRUE(fs.Symlink("nowhere", "d/dangling"));
  EXPECT_EQ(fs.Stat("to_dir")->type, FileType::kSymlink);
  EXPECT_EQ(*fs.ReadLink("out"), "/etc");
  EXPECT_EQ(CodeOf(fs.ReadLink("d/f")), Code::kFailedPrecondition);
  for (const std::string path : {"to_file", "to_dir/f", "out/passwd", "to_dir/new"}) {
    SCOPED_TRACE(path);
    EXPECT_EQ(CodeOf(fs.Open(path, OpenMode::kRead)), Code::kPermissionDenied);
    EXPECT_EQ(CodeOf(fs.Open(path, OpenMode::kCreate)), Code::kPermissionDenied);
  }
  EXPECT_EQ(CodeOf(fs.Open("d/dangling", OpenMode::kCreate)), Code::kPermissionDenied);
  EXPECT_EQ(CodeOf(fs.Open("d/dangling", OpenMode::kCreateNew)), Code::kAlreadyExists);
  EXPECT_EQ(CodeOf(fs.Stat("to_dir/f")), Code::kPermissionDenied);
  EXPECT_EQ(CodeOf(fs.MakeDir("to_dir/e")), Code::kPermissionDenied);
  EXPECT_EQ(CodeOf(fs.Remove("to_dir/f")), Code::kPermissionDenied);
  EXPECT_EQ(CodeOf(fs.Rename("to_dir/f", "g")), Code::kPermissionDenied);
  EXPECT_EQ(CodeOf(fs.Rename("d/f", "to_dir/g")), Code::kPermissionDenied);
  EXPECT_EQ(CodeOf(fs.Link("d/f", "out/g")), Code::kPermissionDenied);
  EXPECT_EQ(CodeOf(fs.Symlink("x", "to_dir/l")), Code::kPermissionDenied);
  EXPECT_EQ(CodeOf(fs.SetMode("to_file", 0777)), Code::kPermissionDenied);
  EXPECT_EQ(CodeOf(fs.List("to_dir", [](const DirEntry&) { return Status(); })),
            Code::kPermissionDenied);
  EXPECT_EQ(CodeOf(fs.SyncDir("to_dir")), Code::kPermissionDenied);
  ASSERT_TRUE(fs.Remove("to_file"));  // the link itself
  EXPECT_EQ(Get("d/f"), "x");
}

TEST_P(FsConformance, RenameReplacesAFileAndOnlyAnEmptyDirectory) {
  Put("a", "new");
  Put("b", "old");
  ASSERT_TRUE(fs.Rename("a", "b"));
  EXPECT_EQ(Get("b"), "new");
  EXPECT_EQ(CodeOf(fs.Stat("a")), Code::kNotFound);
  EXPECT_EQ(CodeOf(fs.Rename("a", "b")), Code::kNotFound);
  ASSERT_TRUE(fs.MakeDir("d"));
  ASSERT_TRUE(fs.MakeDir("d/e"));
  ASSERT_TRUE(fs.MakeDir("empty"));
  EXPECT_EQ(CodeOf(fs.Rename("b", "d")), Code::kFailedPrecondition);
  EXPECT_EQ(CodeOf(fs.Rename("d", "b")), Code::kFailedPrecondition);
  EXPECT_EQ(CodeOf(fs.Rename("empty", "d")), Code::kFailedPrecondition);
  EXPECT_EQ(CodeOf(fs.Rename("d", "d/e/f")), Code::kInvalidArgument);
  ASSERT_TRUE(fs.Rename("d", "empty"));
  EXPECT_EQ(fs.Stat("empty/e")->type, FileType::kDirectory);
  EXPECT_EQ(CodeOf(fs.Rename("b", "nowhere/b")), Code::kNotFound);
  ASSERT_TRUE(fs.Rename("b", "empty/e/b"));
  EXPECT_EQ(Get("empty/e/b"), "new");
  ASSERT_TRUE(fs.Rename("empty/e/b", "empty/e/c"));
  EXPECT_EQ(Get("empty/e/c"), "new");
}

TEST_P(FsConformance, LinksAreOneFile) {
  ASSERT_TRUE(fs.MakeDir("d"));
  Put("a", "one");
  ASSERT_TRUE(fs.Link("a", "b"));
  ASSERT_TRUE(fs.Link("b", "d/c"));
  EXPECT_EQ(Inode("a"), Inode("d/c"));
  EXPECT_EQ(fs.Stat("a")->links, 3u);
  Put("d/c", "two");
  EXPECT_EQ(Get("a"), "two");
  EXPECT_EQ(CodeOf(fs.Link("a", "b")), Code::kAlreadyExists);
  EXPECT_EQ(CodeOf(fs.Link("x", "y")), Code::kNotFound);
  EXPECT_EQ(CodeOf(fs.Link("a", "x/y")), Code::kNotFound);
  ASSERT_TRUE(fs.Remove("a"));
  EXPECT_EQ(fs.Stat("b")->links, 2u);
  EXPECT_EQ(Get("b"), "two");
  ASSERT_TRUE(fs.Rename("b", "d/c"));  // two names of one file: nothing happens
  EXPECT_EQ(fs.Stat("b")->links, 2u);
}

TEST_P(FsConformance, AnOpenFileOutlivesItsName) {
  Put("f", "still here");
  auto file = fs.Open("f", OpenMode::kRead);
  ASSERT_TRUE(fs.Remove("f"));
  std::string got(10, ' ');
  EXPECT_EQ(*(*file)->ReadAt(0, std::as_writable_bytes(std::span(got.data(), got.size()))), 10u);
  EXPECT_EQ(got, "still here");
  EXPECT_EQ((*file)->Info()->links, 0u);
}

TEST_P(FsConformance, DirectoriesAreRemovedOnlyEmpty) {
  ASSERT_TRUE(MakeDirs(fs, "a/b/c"));
  ASSERT_TRUE(MakeDirs(fs, "a/b/c", true));
  EXPECT_EQ(CodeOf(fs.MakeDir("a")), Code::kAlreadyExists);
  EXPECT_EQ(CodeOf(fs.MakeDir("")), Code::kAlreadyExists);
  EXPECT_EQ(CodeOf(fs.MakeDir("x/y")), Code::kNotFound);
  EXPECT_EQ(CodeOf(fs.RemoveDir("a")), Code::kFailedPrecondition);
  EXPECT_EQ(CodeOf(fs.RemoveDir("x")), Code::kNotFound);
  ASSERT_TRUE(fs.RemoveDir("a/b/c"));
  EXPECT_TRUE(Names("a/b").empty());
  Put("f", "");
  EXPECT_EQ(CodeOf(MakeDirs(fs, "f")), Code::kFailedPrecondition);
  EXPECT_EQ(CodeOf(MakeDirs(fs, "f", true)), Code::kFailedPrecondition);
  EXPECT_EQ(CodeOf(MakeDirs(fs, "f/g")), Code::kFailedPrecondition);
}

TEST_P(FsConformance, ListNamesEveryEntryWithItsType) {
  ASSERT_TRUE(fs.MakeDir("d"));
  Put("f", "");
  ASSERT_TRUE(fs.Symlink("f", "l"));
  EXPECT_EQ(Names(""),
            (std::map<std::string, FileType>{
                {"d", FileType::kDirectory}, {"f", FileType::kFile}, {"l", FileType::kSymlink}}));
  EXPECT_EQ(CodeOf(fs.List(
                "", [](const DirEntry&) -> Status { return Error(Code::kCancelled, "enough"); })),
            Code::kCancelled);
  EXPECT_EQ(CodeOf(fs.List("x", [](const DirEntry&) { return Status(); })), Code::kNotFound);
  ASSERT_TRUE(fs.SyncDir(""));
  ASSERT_TRUE(fs.SyncDir("d"));
  ASSERT_TRUE(fs.SyncAll());
}

TEST_P(FsConformance, ModesAndTimesAreKept) {
  using std::chrono_literals::operator""ns;
  using std::chrono_literals::operator""s;
  Put("f", "x");
  ASSERT_TRUE(fs.MakeDir("d", 0700));
  EXPECT_EQ(fs.Stat("d")->mode, 0700u);
  ASSERT_TRUE(fs.SetMode("f", 0444));
  EXPECT_EQ(fs.Stat("f")->mode, 0444u);
  ASSERT_TRUE(fs.SetMode("", 0750));
  EXPECT_EQ(fs.Stat("")->mode, 0750u);
  const WallTime time(1'000'000'000s + 123'456'789ns);
  ASSERT_TRUE(fs.SetModified("f", time));
  EXPECT_EQ(fs.Stat("f")->modified, time);
  EXPECT_EQ(CodeOf(fs.SetMode("x", 0600)), Code::kNotFound);
  EXPECT_EQ(CodeOf(fs.SetModified("x", time)), Code::kNotFound);
}

TEST_P(FsConformance, TheRootIsADirectoryThatStays) {
  EXPECT_EQ(fs.Stat("")->type, FileType::kDirectory);
  EXPECT_FALSE(fs.RemoveDir(""));
  EXPECT_FALSE(fs.Remove(""));
  EXPECT_FALSE(fs.Rename("", "x"));
  EXPECT_FALSE(fs.Open("", OpenMode::kRead));
  EXPECT_TRUE(MakeDirs(fs, ""));
}

TEST_P(FsConformance, SpaceIsMoreThanNothing) {
  const auto space = fs.Space();
  ASSERT_TRUE(space);
  EXPECT_GT(space->total_bytes, 0u);
  EXPECT_LE(space->available_bytes, space->total_bytes);
}

TEST_P(FsConformance, RemoveTreeTakesAllButWhatLinksName) {
  ASSERT_TRUE(MakeDirs(fs, "t/a/b"));
  ASSERT_TRUE(fs.MakeDir("kept"));
  Put("kept/f", "x");
  Put("t/a/b/g", "y");
  ASSERT_TRUE(fs.Symlink("../kept", "t/a/out"));
  ASSERT_TRUE(RemoveTree(fs, "t"));
  ASSERT_TRUE(RemoveTree(fs, "t"));
  ASSERT_TRUE(RemoveTree(fs, "not/there"));
  EXPECT_EQ(Names("").size(), 1u);
  EXPECT_EQ(Get("kept/f"), "x");
  ASSERT_TRUE(RemoveTree(fs, "kept/f"));
  ASSERT_TRUE(RemoveTree(fs, ""));
  EXPECT_TRUE(Names("").empty());
}

TEST_P(FsConformance, WriteFileDurablyReplacesAndLeavesNothingElse) {
  ASSERT_TRUE(fs.MakeDir("d"));
  ASSERT_TRUE(WriteFileDurably(fs, "d/f", "old", 0600));
  ASSERT_TRUE(WriteFileDurably(fs, "d/f", "newer", 0600));
  EXPECT_EQ(Get("d/f"), "newer");
  EXPECT_EQ(fs.Stat("d/f")->mode, 0600u);
  EXPECT_EQ(Names("d").size(), 1u);
  EXPECT_EQ(CodeOf(WriteFileDurably(fs, "x/f", "y")), Code::kNotFound);
}

TEST_P(FsConformance, ReadFileHasALimit) {
  Put("f", "12345");
  EXPECT_EQ(*ReadFile(fs, "f", 5), "12345");
  EXPECT_EQ(CodeOf(ReadFile(fs, "f", 4)), Code::kResourceExhausted);
  EXPECT_EQ(CodeOf(ReadFile(fs, "x", 4)), Code::kNotFound);
}

}  // namespace bdn::os::testing
