#include "crypto/digest.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace bdn::crypto {
namespace {

const std::string kHex = "00ff0123456789abcdef0123456789abcdef0123456789abcdef0123456789ab";

TEST(Digest, TextAndValueAreOneToOne) {
  const auto digest = ParseDigest("b3:" + kHex);
  ASSERT_TRUE(digest);
  EXPECT_EQ(digest->bytes[1], 0xff);
  EXPECT_EQ(digest->hex(), kHex);
  EXPECT_EQ(digest->ToString(), "b3:" + kHex);
  EXPECT_EQ(*ParseDigestHex(kHex), *digest);
}

TEST(Digest, OtherSpellingsAreRefused) {
  std::string upper = kHex;
  upper[3] = 'F';
  for (const std::string& text : std::vector<std::string>{
           "", "b3:", kHex, "B3:" + kHex, "b3:" + kHex + "0", "b3:" + kHex.substr(1), "b3:" + upper,
           "b3:" + kHex.substr(1) + "g", " b3:" + kHex, "b3:" + kHex.substr(1) + '\0'}) {
    const auto digest = ParseDigest(text);
    ASSERT_FALSE(digest) << text;
    EXPECT_EQ(digest.error().code(), Code::kInvalidArgument);
  }
}

TEST(Digest, MessageShowsForeignTextCutAndClean) {
  const auto digest = ParseDigest("\x1b[31m" + std::string(10'000, 'x'));
  ASSERT_FALSE(digest);
  EXPECT_LT(digest.error().message().size(), 200U);
  EXPECT_EQ(digest.error().message().find('\x1b'), std::string::npos);
}

TEST(Hex, RoundTripsEveryByte) {
  std::string all;
  std::vector<std::uint8_t> bytes;
  for (int i = 0; i < 256; ++i) {
    all += static_cast<char>(i);
    bytes.push_back(static_cast<std::uint8_t>(i));
  }
  EXPECT_EQ(*HexDecode(HexEncode(bytes)), all);
  EXPECT_EQ(*HexDecode("aAfF"), "\xaa\xff");
  EXPECT_EQ(*HexDecode(""), "");
  EXPECT_FALSE(HexDecode("abc"));
  EXPECT_FALSE(HexDecode("0g"));
  EXPECT_FALSE(HexDecode("g0"));
  EXPECT_FALSE(HexDecode("0 "));
}

TEST(Base64, VectorsOfRfc4648) {
  const std::vector<std::pair<std::string, std::string>> vectors = {{"", ""},
                                                                    {"f", "Zg=="},
                                                                    {"fo", "Zm8="},
                                                                    {"foo", "Zm9v"},
                                                                    {"foob", "Zm9vYg=="},
                                                                    {"fooba", "Zm9vYmE="},
                                                                    {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, text] : vectors) {
    EXPECT_EQ(Base64Encode(plain), text);
    EXPECT_EQ(*Base64Decode(text), plain);
    const std::string bare = text.substr(0, text.find('='));
    EXPECT_EQ(Base64UrlEncode(plain), bare);
    EXPECT_EQ(*Base64UrlDecode(bare), plain);
  }
}

TEST(Base64, RoundTripsEveryLengthAndByte) {
  std::string bytes;
  for (int i = 0; i < 300; ++i) {
    EXPECT_EQ(*Base64Decode(Base64Encode(bytes)), bytes);
    EXPECT_EQ(*Base64UrlDecode(Base64UrlEncode(bytes)), bytes);
    bytes += static_cast<char>(i * 7 + 3);
  }
}

TEST(Base64, AlphabetsDoNotMix) {
  EXPECT_EQ(Base64Encode("\xfb\xff"), "+/8=");
  EXPECT_EQ(Base64UrlEncode("\xfb\xff"), "-_8");
  EXPECT_FALSE(Base64Decode("-_8="));
  EXPECT_FALSE(Base64UrlDecode("+/8"));
}

TEST(Base64, OneValueHasOneText) {
  for (const char* text : {"Zg=", "Zg", "Zg===", "Zh==", "Zm9=", "Z===", "====", "=",
                           "Zg==Zg==", "Zm9v\n", " Zm9v", "Zm=v", "Zm9vZ"}) {
    EXPECT_FALSE(Base64Decode(text)) << text;
  }
  for (const char* text : {"Zg==", "Z", "Zh", "Zm9", "Zm9v\n", "Zm9vZ"}) {
    EXPECT_FALSE(Base64UrlDecode(text)) << text;
  }
}

}  // namespace
}  // namespace bdn::crypto
