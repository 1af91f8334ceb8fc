#include "mount/mountinfo.h"

#include <string>

#include <gtest/gtest.h>

namespace bdn::mount {
namespace {

TEST(MountInfo, TakesRootAndTargetOfEveryLine) {
  const auto mounts = ParseMountInfo(
      "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n"
      "37 35 0:21 / /proc rw - proc proc rw\n");
  ASSERT_TRUE(mounts) << mounts.error().message();
  ASSERT_EQ(mounts->size(), 2u);
  EXPECT_EQ((*mounts)[0].root, "/mnt1");
  EXPECT_EQ((*mounts)[0].target, "/mnt2");
  EXPECT_EQ((*mounts)[1].target, "/proc");
}

TEST(MountInfo, UnescapesOctal) {
  const auto mounts =
      ParseMountInfo("36 35 98:0 /a\\040b /c\\011\\012\\134d rw - ext3 /dev/root rw\n");
  ASSERT_TRUE(mounts);
  EXPECT_EQ((*mounts)[0].root, "/a b");
  EXPECT_EQ((*mounts)[0].target, "/c\t\n\\d");
}

TEST(MountInfo, NamesTheLineThatIsMalformed) {
  const std::string good = "36 35 98:0 / / rw - ext3 /dev/root rw\n";
  for (const std::string bad :
       {"", "x", "36 35 98:0 / /", "36 35 98:0 / / rw ext3 /dev/root rw", " - ", "a b c - d",
        "36 35 98:0 /\\04 / rw - e d rw", "36 35 98:0 /\\000 / rw - e d rw",
        "36 35 98:0 /\\777 / rw - e d rw", "36 35 98:0 / relative rw - e d rw",
        "36 35 98:0  / rw - e d rw", "36 35 98:0 /\\ / rw - e d rw"}) {
    const auto mounts = ParseMountInfo(good + bad + "\n");
    ASSERT_FALSE(mounts) << bad;
    EXPECT_EQ(mounts.error().code(), Code::kCorrupt);
    EXPECT_NE(mounts.error().message().find("line 2"), std::string::npos);
  }
}

TEST(MountInfo, HasALimit) {
  std::string text;
  const std::string line = "1 1 0:1 / / r - a b c\n";
  for (std::size_t i = 0; i <= kMountsMax; ++i) text += line;
  EXPECT_EQ(ParseMountInfo(text).error().code(), Code::kResourceExhausted);
}

}  // namespace
}  // namespace bdn::mount
