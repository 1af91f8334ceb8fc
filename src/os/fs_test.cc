#include "os/fs.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "os/real_fs.h"
#include "os/testing/faulty_fs.h"
#include "os/testing/fs_conformance.h"
#include "os/testing/memory_fs.h"
#include "os/testing/temp_dir.h"

namespace bdn::os::testing {
namespace {

// A RealFs that takes its temporary directory with it. Composition would need every call of Fs, so
// the directory is kept by the factory's pointer instead.
std::unique_ptr<Fs> MakeRealFs() {
  static std::vector<std::unique_ptr<TempDir>> dirs;  // removed when the test binary ends
  dirs.push_back(std::make_unique<TempDir>());
  auto fs = OpenRealFs(dirs.back()->path());
  return fs ? *std::move(fs) : nullptr;
}

INSTANTIATE_TEST_SUITE_P(
    Fs,
    FsConformance,
    ::testing::Values(FsFactory{"Real", MakeRealFs},
                      FsFactory{"Memory", [] { return std::make_unique<MemoryFs>(); }},
                      FsFactory{
                          "Faulty",
                          [] { return std::make_unique<FaultyFs>(std::make_unique<MemoryFs>()); }}),
    [](const auto& test) { return test.param.name; });

TEST(RandomName, Is16HexDigitsAndDiffers) {
  EXPECT_EQ(RandomName().size(), 16u);
  EXPECT_EQ(RandomName().find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_NE(RandomName(), RandomName());
}

TEST(RealFs, RefusesAFifoWithoutWaitingForItsWriter) {
  const TempDir dir;
  ASSERT_EQ(::mkfifo((dir.path() + "/fifo").c_str(), 0600), 0);
  auto fs = OpenRealFs(dir.path());
  EXPECT_EQ((*fs)->Open("fifo", OpenMode::kRead).error().code(), Code::kFailedPrecondition);
  EXPECT_EQ((*fs)->Stat("fifo")->type, FileType::kOther);
}

TEST(RealFs, OpensOnlyADirectoryAndMakesItWhenAsked) {
  const TempDir dir;
  EXPECT_EQ(OpenRealFs("relative").error().code(), Code::kInvalidArgument);
  EXPECT_EQ(OpenRealFs("").error().code(), Code::kInvalidArgument);
  EXPECT_EQ(OpenRealFs(dir.path() + "/a").error().code(), Code::kNotFound);
  auto fs = OpenOrMakeRealFs(dir.path() + "/a/b/");
  ASSERT_TRUE(fs) << fs.error().message();
  EXPECT_EQ((*fs)->HostPath(""), dir.path() + "/a/b");
  EXPECT_EQ((*fs)->HostPath("x/y"), dir.path() + "/a/b/x/y");
  ASSERT_TRUE(WriteFileDurably(**fs, "f", "x"));
  EXPECT_EQ(OpenOrMakeRealFs(dir.path() + "/a/b/f").error().code(), Code::kFailedPrecondition);
  EXPECT_EQ(OpenOrMakeRealFs(dir.path() + "/a/b/f/g").error().code(), Code::kFailedPrecondition);
}

TEST(RealFs, AMovedRootIsStillTheSameDirectory) {
  const TempDir dir;
  auto fs = OpenOrMakeRealFs(dir.path() + "/a");
  ASSERT_TRUE(WriteFileDurably(**fs, "f", "x"));
  auto outer = OpenRealFs(dir.path());
  ASSERT_TRUE((*outer)->Rename("a", "b"));
  EXPECT_EQ(*ReadFile(**fs, "f", 10), "x");
}

}  // namespace
}  // namespace bdn::os::testing
