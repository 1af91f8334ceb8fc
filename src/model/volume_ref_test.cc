#include "model/volume_ref.h"

#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bdn::model {
namespace {

TEST(VolumeRef, ReadsEveryForm) {
  const auto head = ParseVolumeRef("bdn:ns/vol");
  ASSERT_TRUE(head);
  EXPECT_EQ(head->ns, "ns");
  EXPECT_EQ(head->volume, "vol");
  EXPECT_EQ(head->ToString(), "bdn:ns/vol");
  EXPECT_EQ(ParseVolumeRef("bdn://ns/vol")->ToString(), "bdn:ns/vol");
  EXPECT_EQ(ParseVolumeRef("bdn:ns/vol:v1.0")->tag, "v1.0");
  EXPECT_EQ(ParseVolumeRef("bdn:ns/vol:Tag+X")->ToString(), "bdn:ns/vol:Tag+X");
  EXPECT_EQ(ParseVolumeRef("bdn:ns/vol@0123456789ab")->digest_prefix, "0123456789ab");
  EXPECT_EQ(ParseVolumeRef("bdn://ns/vol@b3:" + std::string(64, 'f'))->ToString(),
            "bdn:ns/vol@" + std::string(64, 'f'));
  EXPECT_EQ(ParseVolumeRef("bdn:0/a._-z")->volume, "a._-z");
}

TEST(VolumeRef, TheDocumentedExamplesHold) {
  std::ifstream page(std::string(BDN_MODEL_TESTDATA) + "/../../../docs/formats/volumes.md");
  ASSERT_TRUE(page);
  int examples = 0;
  for (std::string line; std::getline(page, line);) {
    // | `text` | `canonical` |
    const auto middle = line.find("` | `");
    if (!line.starts_with("| `bdn:") || middle == std::string::npos) continue;
    const auto ref = ParseVolumeRef(line.substr(3, middle - 3));
    ASSERT_TRUE(ref) << line;
    EXPECT_EQ(ref->ToString(), line.substr(middle + 5, line.size() - middle - 8)) << line;
    ++examples;
  }
  EXPECT_EQ(examples, 4);
}

TEST(VolumeRef, RefusesEverythingElse) {
  for (const char* text : {"",
                           "ns/vol",
                           "bdn",
                           "bdn:",
                           "bdn:ns",
                           "bdn:/vol",
                           "bdn:ns/",
                           "bdn:///ns/vol",
                           "BDN:ns/vol",
                           "bdn:Ns/vol",
                           "bdn:ns/Vol",
                           "bdn:ns/.vol",
                           "bdn:-ns/vol",
                           "bdn:ns/vol/x",
                           "bdn:ns/vol:",
                           "bdn:ns/vol:a b",
                           "bdn:ns/vol:a:b",
                           "bdn:ns/vol:a/b",
                           "bdn:ns/vol@",
                           "bdn:ns/vol@0123456789a",
                           "bdn:ns/vol@0123456789aG",
                           "bdn:ns/vol@0123456789AB",
                           "bdn:ns/vol:tag@0123456789ab",
                           "bdn:ns/vol@b3:b3:0123456789ab",
                           "bdn:ns/vol ",
                           "bdn:n s/vol"}) {
    const auto ref = ParseVolumeRef(text);
    ASSERT_FALSE(ref) << text;
    EXPECT_EQ(ref.error().code(), Code::kInvalidArgument);
    EXPECT_THAT(ref.error().message(), ::testing::HasSubstr("bdn:namespace/volume[:tag|@digest]"));
  }
  EXPECT_FALSE(ParseVolumeRef("bdn:ns/vol@" + std::string(65, 'a')));
}

TEST(VolumeRef, NamesHaveLimits) {
  EXPECT_TRUE(IsVolumeName(std::string(256, 'a')));
  EXPECT_FALSE(IsVolumeName(std::string(257, 'a')));
  EXPECT_FALSE(IsVolumeName(""));
  EXPECT_TRUE(IsTagName("2026-01-01_\xc3\xa9"));
  EXPECT_FALSE(IsTagName(""));
  EXPECT_FALSE(IsTagName("a\tb"));
  EXPECT_FALSE(IsTagName(std::string(257, 't')));
}

}  // namespace
}  // namespace bdn::model
