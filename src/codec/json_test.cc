#include "codec/json.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bdn::codec {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Json, RoundTripKeepsKeyOrder) {
  const auto value = ParseJson(R"( {"z":1,"a":[true,null,"x\n"],"m":18446744073709551615} )");
  ASSERT_TRUE(value);
  EXPECT_EQ(SerializeJson(*value), R"({"z":1,"a":[true,null,"x\n"],"m":18446744073709551615})");
}

TEST(Json, ErrorsNameLineAndColumn) {
  const auto value = ParseJson("{\n  \"a\": 1,\n  b: 2}");
  ASSERT_FALSE(value);
  EXPECT_EQ(value.error().code(), Code::kInvalidArgument);
  EXPECT_THAT(value.error().message(), HasSubstr("line 3 column 3"));
}

TEST(Json, RefusesWhatIsNotExactlyOneStrictValue) {
  for (const char* text : {"", " ", "{", "[1,]", "{\"a\":1} x", "// c\n1", "NaN", "'a'", "\"\xff\"",
                           "01", "1 2", "\"a\nb\""}) {
    EXPECT_FALSE(ParseJson(text)) << text;
  }
}

TEST(Json, AppendedStringsParseBackToThemselves) {
  std::string text;
  for (int c = 0; c < 128; ++c) text += static_cast<char>(c);
  text += "\xc3\xa9\xe2\x80\xa8";
  std::string out;
  AppendJsonString(out, text);
  EXPECT_THAT(out, HasSubstr(R"(\u0000)"));
  const auto back = ParseJson(out);
  ASSERT_TRUE(back) << out;
  EXPECT_EQ(back->as_string(), text);
}

TEST(Json, DepthAndSizeHaveLimits) {
  EXPECT_TRUE(ParseJson("[[1]]", {.depth_max = 2}));
  const auto deep = ParseJson("[[[1]]]", {.depth_max = 2});
  ASSERT_FALSE(deep);
  EXPECT_EQ(deep.error().code(), Code::kResourceExhausted);
  EXPECT_FALSE(ParseJson(std::string(1u << 20, '[')));
  const auto large = ParseJson("[1,2,3]", {.bytes_max = 6});
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().code(), Code::kResourceExhausted);
}

TEST(JsonView, ReadsTypedMembers) {
  const auto value = ParseJson(R"({"s":"x","n":-3,"u":18446744073709551615,"b":true,"l":["p","q"],
                                   "o":{"k":"v"},"z":null})");
  ASSERT_TRUE(value);
  const JsonView view(*value);
  EXPECT_EQ(*view.String("s"), "x");
  EXPECT_EQ(*view.Int("n"), -3);
  EXPECT_EQ(*view.Uint("u"), 18446744073709551615u);
  EXPECT_TRUE(*view.Bool("b"));
  EXPECT_THAT(*view.StringsOr("l"), ElementsAre("p", "q"));
  EXPECT_EQ(*view.Get("o")->String("k"), "v");
  EXPECT_EQ(*view.StringOr("z", "none"), "none");
  EXPECT_EQ(*view.IntOr("missing", 7), 7);
  EXPECT_EQ(*view.UintOr("missing", 7), 7u);
  EXPECT_FALSE(*view.BoolOr("missing", false));
  EXPECT_FALSE(view.Find("z")->has_value());
}

TEST(JsonView, ErrorsNameThePath) {
  const auto value = ParseJson(R"({"a":{"b":[{"c":"x"},5]},"n":-1,"big":18446744073709551615})");
  ASSERT_TRUE(value);
  const JsonView view(*value);
  const auto items = view.Get("a")->Get("b")->Items();
  ASSERT_TRUE(items);
  EXPECT_EQ((*items)[0].Int("c").error().message(), "a.b.0.c must be a whole number, not a string");
  EXPECT_EQ((*items)[1].String("c").error().message(), "a.b.1 must be an object, not a number");
  EXPECT_EQ(view.String("x").error().message(), "x is missing");
  EXPECT_EQ(view.Uint("n").error().message(),
            "n must be a whole number of 0 or more, not a number");
  EXPECT_FALSE(view.Int("big"));
  EXPECT_FALSE(view.StringsOr("n"));
}

}  // namespace
}  // namespace bdn::codec
