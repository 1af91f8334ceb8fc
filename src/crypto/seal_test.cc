#include "crypto/seal.h"

#include <string>

#include <gtest/gtest.h>

#include "crypto/digest.h"

namespace bdn::crypto {
namespace {

const std::string kKey(kMasterKeyBytes, 'k');

TEST(Seal, OpensUnderItsOwnNameAndKeyOnly) {
  const std::string sealed = Seal(kKey, "hf-token", "s3cret");
  EXPECT_EQ(sealed.find("s3cret"), std::string::npos);
  EXPECT_EQ(*Unseal(kKey, "hf-token", sealed), "s3cret");
  EXPECT_EQ(Unseal(kKey, "hf-tokem", sealed).error().code(), Code::kCorrupt);
  EXPECT_EQ(Unseal(kKey, "", sealed).error().code(), Code::kCorrupt);
  EXPECT_EQ(Unseal(std::string(kMasterKeyBytes, 'x'), "hf-token", sealed).error().code(),
            Code::kCorrupt);
}

TEST(Seal, EmptyAndBinarySecretsRoundTrip) {
  EXPECT_EQ(*Unseal(kKey, "", Seal(kKey, "", "")), "");
  const std::string binary("\0\xff\n\0", 4);
  EXPECT_EQ(*Unseal(kKey, "n", Seal(kKey, "n", binary)), binary);
}

TEST(Seal, SameSecretTwiceLooksDifferent) {
  EXPECT_NE(Seal(kKey, "n", "x"), Seal(kKey, "n", "x"));
}

TEST(Unseal, EveryFlippedBitAndEveryCutIsCorrupt) {
  const std::string sealed = Seal(kKey, "n", "secret");
  for (std::size_t i = 0; i < sealed.size() * 8; ++i) {
    std::string damaged = sealed;
    damaged[i / 8] = static_cast<char>(damaged[i / 8] ^ (1 << (i % 8)));
    const auto opened = Unseal(kKey, "n", damaged);
    ASSERT_FALSE(opened) << "bit " << i;
    EXPECT_EQ(opened.error().code(), Code::kCorrupt);
  }
  for (std::size_t n = 0; n < sealed.size(); ++n) {
    EXPECT_EQ(Unseal(kKey, "n", sealed.substr(0, n)).error().code(), Code::kCorrupt) << n;
  }
}

TEST(Unseal, WrongKeySizeIsTheCallersError) {
  EXPECT_EQ(Unseal("short", "n", Seal(kKey, "n", "x")).error().code(), Code::kInvalidArgument);
}

// The published example (draft-irtf-cfrg-xchacha-03, A.3.1) in our frame: pins
// the stored format, so that a later version still opens what this one wrote.
TEST(Unseal, OpensTheStoredFormat) {
  const auto key = HexDecode("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
  const auto name = HexDecode("50515253c0c1c2c3c4c5c6c7");
  const auto sealed = HexDecode(
      "01"
      "404142434445464748494a4b4c4d4e4f5051525354555657"
      "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda"
      "7e"
      "39ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565"
      "d3"
      "fff921f9664c97637da9768812f615c68b13b52ec0875924c1c7987947deafd8780acf49");
  EXPECT_EQ(*Unseal(*key, *name, *sealed),
            "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the "
            "future, sunscreen would be it.");
}

}  // namespace
}  // namespace bdn::crypto
