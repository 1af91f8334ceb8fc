#include "codec/utf8.h"

#include <string>

#include <gtest/gtest.h>

namespace bdn::codec {
namespace {

TEST(Utf8, AcceptsWellFormedText) {
  for (const char* text : {"", "plain", "long enough for a whole word", "\xc2\x80", "\xdf\xbf",
                           "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbf",
                           "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "seven77\xc3\xa9"}) {
    EXPECT_TRUE(IsUtf8(text)) << text;
  }
}

TEST(Utf8, RefusesOverlongSurrogatesTooLargeAndCutOff) {
  for (const char* text :
       {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xc3", "\xe2\x80", "\xf0\x90\x80",
        "abcdefgh\xe2\x80", "\xc3(abcdefgh"}) {
    EXPECT_FALSE(IsUtf8(text)) << text;
  }
}

TEST(Utf8, CountsCharactersNotBytes) {
  EXPECT_EQ(CountCharacters("a\xc3\xa9\xf0\x9f\x98\x80z"), 4u);
}

}  // namespace
}  // namespace bdn::codec
