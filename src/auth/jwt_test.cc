#include "auth/jwt.h"

#include <chrono>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "codec/json.h"
#include "crypto/digest.h"

namespace bdn::auth {
namespace {

namespace json = boost::json;
using crypto::Base64UrlDecode;
using crypto::Base64UrlEncode;
using crypto::PrivateKey;
using crypto::SignatureAlgorithm;

constexpr WallTime kVerifiedAt{std::chrono::seconds(1'800'000'000)};
// RFC 7638 §3.1.
constexpr std::string_view kRfc7638N =
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECP"
    "ebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY"
    "368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0f"
    "M4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";

const PrivateKey& Rsa() {
  static const PrivateKey kMade = PrivateKey::Generate(SignatureAlgorithm::kRs256);
  return kMade;
}

const PrivateKey& Ec() {
  static const PrivateKey kMade = PrivateKey::Generate(SignatureAlgorithm::kEs256);
  return kMade;
}

std::string Set(const std::vector<json::value>& keys) {
  return codec::SerializeJson(json::object{{"keys", json::array(keys.begin(), keys.end())}});
}

std::vector<Jwk> Keys() {
  return *ParseJwks(Set({PublicJwk(Rsa().public_key()), PublicJwk(Ec().public_key())}));
}

json::object Claims() {
  const std::int64_t now = kVerifiedAt.time_since_epoch() / std::chrono::seconds(1);
  return {{"iss", "https://i"}, {"aud", "a"}, {"sub", "s"}, {"iat", now}, {"exp", now + 600}};
}

Result<json::object> Verify(std::string_view token) {
  return VerifyJwt(token, Keys(), {.issuer = "https://i", .audience = "a", .now = kVerifiedAt});
}

std::string Sign(const PrivateKey& key, const json::object& claims) {
  return SignJwt(key, JwkThumbprint(key.public_key()), claims);
}

TEST(Jwk, ThumbprintOfTheExampleInRfc7638) {
  const auto whole =
      crypto::PublicKey::FromRsa(*Base64UrlDecode(kRfc7638N), *Base64UrlDecode("AQAB"));
  ASSERT_TRUE(whole) << whole.error().message();
  EXPECT_EQ(JwkThumbprint(*whole), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
  const json::object jwk = PublicJwk(*whole);
  EXPECT_EQ(jwk.at("n").as_string(), kRfc7638N);
  EXPECT_EQ(jwk.at("kid").as_string(), JwkThumbprint(*whole));
  EXPECT_EQ(jwk.size(), 6u);
}

// RFC 7515 appendix A.3: a signature that another implementation made.
TEST(Jwt, VerifiesTheExampleOfRfc7515A3) {
  const auto keys = ParseJwks(
      R"({"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",)"
      R"("y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]})");
  ASSERT_TRUE(keys) << keys.error().message();
  ASSERT_EQ(keys->size(), 1u);
  const auto parsed = ParseJwt(
      "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxl"
      "LmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISl"
      "SApmWQxfKTUJqPP3-Kg6NU1Q");
  ASSERT_TRUE(parsed) << parsed.error().message();
  EXPECT_TRUE(keys->front().key.Verify(parsed->signed_part, parsed->signature));
  EXPECT_EQ(parsed->claims.at("iss").as_string(), "joe");
}

TEST(Jwt, WhatIsSignedIsVerified) {
  for (const PrivateKey& key : {Rsa(), Ec()}) {
    const auto claims = Verify(Sign(key, Claims()));
    ASSERT_TRUE(claims) << claims.error().message();
    EXPECT_EQ(*claims, Claims());
  }
}

TEST(Jwt, AnyChangedCharacterIsRefused) {
  const std::string token = Sign(Ec(), Claims());
  for (std::size_t i = 0; i < token.size(); ++i) {
    std::string changed = token;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    const auto result = Verify(changed);
    ASSERT_FALSE(result) << i;
    EXPECT_EQ(result.error().code(), Code::kUnauthenticated);
    EXPECT_FALSE(Verify(token.substr(0, i)));
  }
  EXPECT_FALSE(Verify(token + "."));
  EXPECT_FALSE(Verify(token + "=="));
}

TEST(Jwt, TheKeyDecidesTheAlgorithmNotTheHeader) {
  const auto forge = [](const json::object& header, std::string_view signature) {
    return Base64UrlEncode(codec::SerializeJson(header)) + "." +
           Base64UrlEncode(codec::SerializeJson(Claims())) + "." + Base64UrlEncode(signature);
  };
  const std::string kid = JwkThumbprint(Rsa().public_key());
  EXPECT_FALSE(Verify(forge({{"alg", "none"}, {"kid", kid}}, "")));
  EXPECT_FALSE(Verify(forge({{"alg", "HS256"}, {"kid", kid}}, "x")));
  EXPECT_FALSE(Verify(forge({{"alg", "ES256"}, {"kid", kid}}, std::string(64, 'x'))));
  const std::string crit = codec::SerializeJson(
      json::object{{"alg", "RS256"}, {"kid", kid}, {"crit", json::array{"b64"}}});
  const std::string part =
      Base64UrlEncode(crit) + "." + Base64UrlEncode(codec::SerializeJson(Claims()));
  EXPECT_FALSE(Verify(part + "." + Base64UrlEncode(Rsa().Sign(part))));
  // Without "kid" only one key may be asked.
  EXPECT_FALSE(Verify(SignJwt(Rsa(), "", Claims())));
  EXPECT_FALSE(Verify(SignJwt(Rsa(), JwkThumbprint(Ec().public_key()), Claims())));
}

TEST(Jwt, OnlyForUsFromTheIssuerAndNow) {
  const std::int64_t now = kVerifiedAt.time_since_epoch() / std::chrono::seconds(1);
  const auto with = [](std::string_view name, const json::value& value) {
    json::object claims = Claims();
    claims[name] = value;
    return Verify(Sign(Ec(), claims));
  };
  EXPECT_TRUE(with("aud", json::array{"b", "a"}));
  EXPECT_FALSE(with("aud", json::array{"b", 1}));
  EXPECT_FALSE(with("aud", "b"));
  EXPECT_FALSE(with("aud", nullptr));
  EXPECT_FALSE(with("iss", "https://i/"));
  EXPECT_TRUE(with("exp", now - 59));
  EXPECT_FALSE(with("exp", now - 60));
  EXPECT_FALSE(with("exp", "soon"));
  EXPECT_FALSE(with("exp", 1.5));
  EXPECT_FALSE(with("exp", std::uint64_t{1} << 63));
  EXPECT_TRUE(with("nbf", now + 60));
  EXPECT_FALSE(with("nbf", now + 61));
  EXPECT_FALSE(with("iat", now + 61));
  json::object no_end = Claims();
  no_end.erase("exp");
  EXPECT_FALSE(Verify(Sign(Ec(), no_end)));
}

TEST(Jwt, ErrorsNeverHaveAPartOfTheToken) {
  for (const std::string& text :
       {std::string("c2VjcmV0"), std::string("c2VjcmV0.c2VjcmV0.c2VjcmV0"),
        "e30." + Base64UrlEncode(R"({"secret":)") + ".x", std::string(30'000, 's')}) {
    const auto parsed = ParseJwt(text);
    ASSERT_FALSE(parsed);
    EXPECT_EQ(parsed.error().message().find("c2VjcmV0"), std::string::npos);
    EXPECT_LT(parsed.error().message().size(), 300u);
  }
}

TEST(Jwks, LeavesOutWhatItCannotUse) {
  json::object encryption = PublicJwk(Rsa().public_key());
  encryption["use"] = "enc";
  json::object other = PublicJwk(Ec().public_key());
  other["alg"] = "ES384";
  const auto keys = ParseJwks(Set(
      {encryption, other, json::object{{"kty", "oct"}, {"k", "AAAA"}}, json::value(nullptr),
       json::object{{"kty", "RSA"}, {"n", "AQAB"}, {"e", "AQAB"}}, PublicJwk(Ec().public_key())}));
  ASSERT_TRUE(keys) << keys.error().message();
  ASSERT_EQ(keys->size(), 1u);
  EXPECT_EQ(keys->front().kid, JwkThumbprint(Ec().public_key()));
  EXPECT_FALSE(ParseJwks("[]"));
  EXPECT_FALSE(ParseJwks(R"({"keys":{}})"));
  EXPECT_FALSE(ParseJwks("<html>"));
  EXPECT_EQ(ParseJwks(Set(std::vector<json::value>(201))).error().code(), Code::kResourceExhausted);
}

}  // namespace
}  // namespace bdn::auth
