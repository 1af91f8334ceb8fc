#include "crypto/signature.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "crypto/digest.h"

namespace bdn::crypto {
namespace {

std::string FromBase64Url(std::string_view text) {
  return *Base64UrlDecode(text);
}

// RFC 7515 appendix A.2.1 as PKCS#8.
constexpr std::string_view kRfcRsaPem = R"(-----BEGIN PRIVATE KEY-----
MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQCh+BYK4uPJtGXO
jS1lYmM2K5J9vinh8CR3/BYlzJChNuOL2TSXxbbqY913EeZ8dCn5VrD7io8ImtxL
aYk8wTM/U+3QGbh3hCUv7JFP5IV3aVlL6kKA0ywPVb9ilE8TA5a8bpvfbr3SvaNn
juygxmj3AbONv/s4yDQs4v5tJ/reSlpIdJed1LnPmt7Ex1sFhSwsD174pcF1A5L5
ROjtZMEQxrZHYJqkeDrrnGya11UxMFBji4NmXG9veoKjlnAqH2QbgtPr8jkiGUkf
toaHLFcW9Qr4NY2ai50Xw0Byj3+H2JoY2PyrZ62EWQwuz3WTOTY8BwNNb2BvniHg
VFbK5emhAgMBAAECggEAEq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyW
PEAeP88vLNO97IjlA7/GQ5sLKMgvfTeXZx9SE+7YwVol2NXOoAJe46sui395IW/G
O+pWJ1O0BkTGoVEn2bKVRUCgu+GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzj
kn439X0M/V51gfpRLI9JYanrC4D4qAdGcopV/0ZHHzQlBjudU2QvXt4ehNYTCBr6
XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl/x/jTj3ccPDVZFD9pIuhLhBOneufuBiB
4cS98l2SR/RQyGWSeWjnczT0QU91p1DhOVRuOopznQKBgQDgHMQQ60imZV1URk0K
pLttoLhyt3SmqdEf/kgHePDdtzEafpAu+cS191R2JiuoF2yzWXnwFDcqGigp5BNr
0AHQfD8/Lk8l1Mk09jxxCfui5nYooNyac8YFjm3vItzVCVDnEd3BbVWG8qf6deqE
lMGAg+C2V0L4oNXnP7LZcPAZRwKBgQC5A8R+CZW2MvRTLLHzwZkUXV866cff7tx6
kqa0finGG0KgeqlaZPxgCZnFp7AeAcCMtiynVlJ7vMVgePsLq6XtON4tB5kP9jAP
rq3rbAOal78eUH5OcED6eNuCV8ixEu1eWcPNCS/l1OW1EnXUEoEHKl54Xrrz2uNw
kgMTP1FZ1wKBgAcCn1dwJKufzBWQxWQp1vsM5fggqPN1qGb5y0MAk3g7/Ls5bkUp
5u9SN0Ai3Ya6hNnvWJMb7sXQX6U/zyO2M/hTip7tUeh7CXgwo59dkpN75gJLVds2
9+DAncu3KXU4f2Fa+7bLNrur53k8KwPOq2bbuTG69QtV7Jr5MR0AHWKNAoGBAIf/
evpitUf+4JYbLpvNXWcY052Mpz22aR84mY3nh3F2LF2mjMJDpTg7FmuyPcVw6EcG
yoAe9fa65iNqCq+jdw6PVNGo2hxfjSiZ8IIzHdsPXI89//pMjZcQK9r+CCoRjaZj
OYiIDktVWZzmevJuv6WywUqd57LE3Zar3dLSIkx1AoGAIYd7DHOhrWvxkwPQsRM2
tOgrjbcrfvtQJipd+DlcxyVuuM9sQLdgjVk2oy26F0EmpScGLq2MowX7fhd/QJQ3
ydy5cY7YIBi87w93IKLEdfnbJtoOPLUW0ITrJReOgo1cq9SbsxYawBgfp/gh6A56
03k2+ZQwVK0JKSHuLFkuQ3U=
-----END PRIVATE KEY-----
)";
// The key of appendix A.3.1 in SEC1 form, without its public half.
constexpr std::string_view kRfcEcPem = R"(-----BEGIN EC PRIVATE KEY-----
MDECAQEEII6bEJ5xkJi/mASH3x9dd+nLKWBuvtImO19XwhPfhPSyoAoGCCqGSM49
AwEH
-----END EC PRIVATE KEY-----
)";
constexpr std::string_view kRfcX = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
constexpr std::string_view kRfcY = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
// Payload of both examples.
constexpr std::string_view kRfcPayload =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt"
    "cGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
constexpr std::string_view kRfcRsaSignature =
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5"
    "jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb"
    "1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QO"
    "YEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
constexpr std::string_view kRfcEcSignature =
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

TEST(PrivateKey, SignsTheExampleOfRfc7515A2ByteForByte) {
  const auto key = PrivateKey::FromPem(kRfcRsaPem);
  ASSERT_TRUE(key) << key.error().message();
  EXPECT_EQ(key->algorithm(), SignatureAlgorithm::kRs256);
  const std::string message = "eyJhbGciOiJSUzI1NiJ9." + std::string(kRfcPayload);
  EXPECT_EQ(Base64UrlEncode(key->Sign(message)), kRfcRsaSignature);
  EXPECT_TRUE(key->public_key().Verify(message, FromBase64Url(kRfcRsaSignature)));
  EXPECT_FALSE(key->public_key().Verify(message + "x", FromBase64Url(kRfcRsaSignature)));
  EXPECT_EQ(Base64UrlEncode(key->public_key().numbers().e), "AQAB");
}

TEST(PublicKey, VerifiesTheExampleOfRfc7515A3) {
  const auto key = PublicKey::FromP256(FromBase64Url(kRfcX), FromBase64Url(kRfcY));
  ASSERT_TRUE(key) << key.error().message();
  const std::string message = "eyJhbGciOiJFUzI1NiJ9." + std::string(kRfcPayload);
  std::string signature = FromBase64Url(kRfcEcSignature);
  EXPECT_TRUE(key->Verify(message, signature));
  EXPECT_FALSE(key->Verify(message, signature + std::string(1, '\0')));
  EXPECT_FALSE(key->Verify(message, signature.substr(1)));
  EXPECT_FALSE(key->Verify(message, ""));
  EXPECT_FALSE(key->Verify(message, std::string(64, '\0')));
  signature[40] = static_cast<char>(signature[40] ^ 1);
  EXPECT_FALSE(key->Verify(message, signature));
}

TEST(PrivateKey, ReadsAnEllipticKeyThatLacksItsPublicHalf) {
  const auto key = PrivateKey::FromPem(kRfcEcPem);
  ASSERT_TRUE(key) << key.error().message();
  EXPECT_EQ(Base64UrlEncode(key->public_key().numbers().x), kRfcX);
  EXPECT_EQ(Base64UrlEncode(key->public_key().numbers().y), kRfcY);
}

// One in 256 values of r and of s begins with a zero byte, which DER leaves out.
TEST(PrivateKey, PadsShortNumbersOfEllipticSignatures) {
  const PrivateKey key = *PrivateKey::FromPem(kRfcEcPem);
  bool short_r = false;
  bool short_s = false;
  for (int i = 0; i < 20'000 && !(short_r && short_s); ++i) {
    const std::string message = "message " + std::to_string(i);
    const std::string signature = key.Sign(message);
    ASSERT_EQ(signature.size(), 64u);
    if (signature[0] != 0 && signature[32] != 0) continue;
    short_r = short_r || signature[0] == 0;
    short_s = short_s || signature[32] == 0;
    EXPECT_TRUE(key.public_key().Verify(message, signature));
  }
  EXPECT_TRUE(short_r && short_s);
}

TEST(PrivateKey, SurvivesItsPemForm) {
  for (const auto algorithm : {SignatureAlgorithm::kRs256, SignatureAlgorithm::kEs256}) {
    const PrivateKey made = PrivateKey::Generate(algorithm);
    const std::string pem = made.ToPem();
    EXPECT_TRUE(pem.starts_with("-----BEGIN PRIVATE KEY-----"));
    const auto read = PrivateKey::FromPem(pem);
    ASSERT_TRUE(read) << read.error().message();
    EXPECT_EQ(read->algorithm(), algorithm);
    EXPECT_EQ(read->public_key().numbers(), made.public_key().numbers());
    EXPECT_TRUE(made.public_key().Verify("text", read->Sign("text")));
    const PublicNumbers n = made.public_key().numbers();
    const auto rebuilt = algorithm == SignatureAlgorithm::kRs256 ? PublicKey::FromRsa(n.n, n.e)
                                                                 : PublicKey::FromP256(n.x, n.y);
    ASSERT_TRUE(rebuilt) << rebuilt.error().message();
    EXPECT_TRUE(rebuilt->Verify("text", made.Sign("text")));
  }
}

TEST(PrivateKey, RefusesWhatIsNoSigningKeyAndKeepsItSecret) {
  const std::string cut(kRfcRsaPem.substr(0, 400));
  for (const std::string& pem :
       {std::string(), std::string("hello"), cut,
        std::string("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
        std::string("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n"
                    "-----END ENCRYPTED PRIVATE KEY-----\n"),
        std::string(100'000, 'A')}) {
    const auto key = PrivateKey::FromPem(pem);
    ASSERT_FALSE(key) << pem.substr(0, 60);
    EXPECT_EQ(key.error().code(), Code::kInvalidArgument);
    EXPECT_EQ(key.error().message().find("MIIE"), std::string::npos);
  }
}

TEST(PublicKey, RefusesWeakAndImpossibleNumbers) {
  const std::string e = FromBase64Url("AQAB");
  EXPECT_FALSE(PublicKey::FromRsa(std::string(128, '\xc1'), e));  // 1024 bits
  EXPECT_FALSE(PublicKey::FromRsa(std::string(2000, '\xc1'), e));
  EXPECT_FALSE(PublicKey::FromRsa("", e));
  EXPECT_FALSE(PublicKey::FromRsa(std::string(256, '\xc1'), ""));
  EXPECT_FALSE(PublicKey::FromRsa(std::string(256, '\xc1'), "\x02"));
  EXPECT_FALSE(PublicKey::FromRsa(std::string(256, '\xc1'), "\x01"));
  EXPECT_TRUE(PublicKey::FromRsa(std::string(256, '\xc1'), e));
  EXPECT_FALSE(PublicKey::FromP256(std::string(32, '\1'), std::string(32, '\1')));
  EXPECT_FALSE(PublicKey::FromP256(std::string(32, '\0'), std::string(32, '\0')));
  EXPECT_FALSE(PublicKey::FromP256(FromBase64Url(kRfcX), "short"));
}

TEST(PrivateKey, WrapsItselfInACertificateThatIsAlwaysTheSame) {
  const PrivateKey key = *PrivateKey::FromPem(kRfcRsaPem);
  const WallTime from{std::chrono::seconds(1'700'000'000)};
  const std::string der = key.SelfSignedCertificate("issuer.example.com", from);
  EXPECT_EQ(der, key.SelfSignedCertificate("issuer.example.com", from));
  const auto inside = PublicKey::FromPem("-----BEGIN CERTIFICATE-----\n" + Base64Encode(der) +
                                         "\n-----END CERTIFICATE-----\n");
  ASSERT_TRUE(inside) << inside.error().message();
  EXPECT_EQ(inside->numbers(), key.public_key().numbers());
}

}  // namespace
}  // namespace bdn::crypto
