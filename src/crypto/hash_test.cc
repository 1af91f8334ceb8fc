#include "crypto/hash.h"

#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "crypto/digest.h"

namespace bdn::crypto {
namespace {

std::string Hex(const std::string& raw) {
  return HexEncode({reinterpret_cast<const std::uint8_t*>(raw.data()), raw.size()});
}

// FIPS 180-4 examples and RFC 1321 appendix A.5.
TEST(Hasher, PublishedVectors) {
  const auto hash = [](HashKind kind, std::string_view text) {
    Hasher hasher(kind);
    hasher.Update(text.substr(0, text.size() / 2));
    hasher.Update(text.substr(text.size() / 2));
    return hasher.FinishHex();
  };
  EXPECT_EQ(hash(HashKind::kSha256, "abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hash(HashKind::kSha256, ""),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hash(HashKind::kSha1, "abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(hash(HashKind::kMd5, "message digest"), "f96b697d7cb7938d525a2f31aaf161d0");
  EXPECT_EQ(hash(HashKind::kCrc32, "123456789"), "cbf43926");
  EXPECT_EQ(hash(HashKind::kCrc32c, "123456789"), "e3069283");
  EXPECT_EQ(hash(HashKind::kCrc64Nvme, "123456789"), "ae8b14860a799888");
  EXPECT_EQ(hash(HashKind::kCrc32c, ""), "00000000");
}

TEST(Hasher, MovesWithItsStream) {
  Hasher first(HashKind::kSha256);
  first.Update(std::string_view("a"));
  Hasher second = std::move(first);
  second.Update(std::string_view("bc"));
  EXPECT_EQ(second.FinishHex(), Sha256Hex("abc"));
}

TEST(Sha256, RawAndHexAgree) {
  EXPECT_EQ(Hex(Sha256("abc")), Sha256Hex("abc"));
  EXPECT_EQ(Sha256("").size(), 32U);
}

// RFC 4231 test cases 1, 2 and 6.
TEST(HmacSha256, PublishedVectors) {
  EXPECT_EQ(Hex(HmacSha256(std::string(20, '\x0b'), "Hi There")),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(Hex(HmacSha256("Jefe", "what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(Hex(HmacSha256(std::string(131, '\xaa'),
                           "Test Using Larger Than Block-Size Key - Hash Key First")),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(HmacSha256, EmptyKeyAndMessageWork) {
  EXPECT_EQ(Hex(HmacSha256({}, {})),
            "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

TEST(EqualConstantTime, ComparesWholeTexts) {
  EXPECT_TRUE(EqualConstantTime("", ""));
  EXPECT_TRUE(EqualConstantTime("secret", "secret"));
  EXPECT_FALSE(EqualConstantTime("secret", "secreT"));
  EXPECT_FALSE(EqualConstantTime("secret", "secre"));
  EXPECT_FALSE(EqualConstantTime("", "x"));
}

TEST(RandomBytes, GivesWhatWasAskedAndNeverTwiceTheSame) {
  EXPECT_EQ(RandomBytes(0), "");
  EXPECT_EQ(RandomBytes(33).size(), 33U);
  EXPECT_NE(RandomBytes(32), RandomBytes(32));
}

}  // namespace
}  // namespace bdn::crypto
