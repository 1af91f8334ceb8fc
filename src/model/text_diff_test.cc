#include "model/text_diff.h"

#include <string>

#include <gtest/gtest.h>

namespace bdn::model {
namespace {

std::string Diff(const std::string& from, const std::string& to) {
  return UnifiedDiff(from, to, "a", "b");
}

TEST(TextDiff, EqualTextsHaveNone) {
  EXPECT_EQ(Diff("x\n", "x\n"), "");
  EXPECT_EQ(Diff("", ""), "");
}

TEST(TextDiff, HeadersStandOnLinesOfTheirOwnAndContextIsThreeLines) {
  EXPECT_EQ(Diff("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nfive\n6\n7\n8\n9\n"),
            "--- a\n+++ b\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n");
}

TEST(TextDiff, ChangesFarApartAreTwoHunks) {
  std::string from;
  for (int i = 1; i <= 20; ++i) from += std::to_string(i) + "\n";
  std::string to = "0\n" + from;
  to.replace(to.find("20\n"), 3, "twenty\n");
  EXPECT_EQ(Diff(from, to),
            "--- a\n+++ b\n@@ -1,3 +1,4 @@\n+0\n 1\n 2\n 3\n"
            "@@ -17,4 +18,4 @@\n 17\n 18\n 19\n-20\n+twenty\n");
}

TEST(TextDiff, AMissingLineEndIsSaid) {
  EXPECT_EQ(Diff("a\nb", "a\nb\n"),
            "--- a\n+++ b\n@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+b\n");
  EXPECT_EQ(Diff("", "a\n"), "--- a\n+++ b\n@@ -0,0 +1 @@\n+a\n");
  EXPECT_EQ(Diff("a\n", ""), "--- a\n+++ b\n@@ -1 +0,0 @@\n-a\n");
}

TEST(TextDiff, KeepsWhatIsCommonInTheMiddle) {
  EXPECT_EQ(Diff("a\nb\nc\nd\n", "a\nx\nc\ny\n"),
            "--- a\n+++ b\n@@ -1,4 +1,4 @@\n a\n-b\n+x\n c\n-d\n+y\n");
}

TEST(TextDiff, TextsThatShareLittleAreShownAsReplaced) {
  std::string from;
  std::string to;
  for (int i = 0; i < 1200; ++i) {
    from += "old " + std::to_string(i) + "\n";
    to += "new " + std::to_string(i) + "\n";
  }
  const std::string diff = Diff(from, to);
  EXPECT_TRUE(diff.starts_with("--- a\n+++ b\n@@ -1,1200 +1,1200 @@\n-old 0\n-old 1\n"));
}

}  // namespace
}  // namespace bdn::model
