#include "control/oidc_issuer.h"

#include <set>
#include <string>

#include <gtest/gtest.h>

#include "auth/jwt.h"
#include "control/testing/control_world.h"

namespace bdn::control {
namespace {

using crypto::SignatureAlgorithm;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr char kIssuer[] = "https://id.example.com/oidc";
const auth::Workload kWorkload{.org = "default", .model = "m", .deployment = "dep_1"};

class OidcIssuerTest : public ::testing::Test, public testing::ControlWorld {
 protected:
  std::unique_ptr<OidcIssuer> Start(SignatureAlgorithm algorithm = SignatureAlgorithm::kEs256) {
    auto made =
        OidcIssuer::Make(*metadata, *vault, clock, {.issuer = kIssuer, .algorithm = algorithm});
    EXPECT_TRUE(made) << made.error().message();
    return made ? *std::move(made) : nullptr;
  }
  // The claims of a token as a verifier sees it that has this key set.
  Result<boost::json::object> Verify(const std::string& token, const std::string& jwks) {
    const auto keys = auth::ParseJwks(jwks);
    EXPECT_TRUE(keys);
    return auth::VerifyJwt(
        token, *keys, {.issuer = kIssuer, .audience = "id.example.com/oidc", .now = clock.Now()});
  }
  static std::string KidOf(const std::string& token) {
    return std::string(auth::ParseJwt(token)->header.at("kid").as_string());
  }
};

TEST_F(OidcIssuerTest, TokensVerifyByWhatIsPublished) {
  for (const auto algorithm : {SignatureAlgorithm::kRs256, SignatureAlgorithm::kEs256}) {
    ControlWorld other;
    auto issuer = OidcIssuer::Make(*other.metadata, *other.vault, clock,
                                   {.issuer = kIssuer, .algorithm = algorithm});
    ASSERT_TRUE(issuer) << issuer.error().message();
    const auto token = (*issuer)->Mint(kWorkload, "");
    ASSERT_TRUE(token) << token.error().message();
    const auto claims = Verify(token->text, *(*issuer)->Jwks());
    ASSERT_TRUE(claims) << claims.error().message();
    EXPECT_EQ(claims->at("sub").as_string(), token->subject);
    EXPECT_EQ(token->expires_at, clock.Now() - auth::kIssuedBefore + hours(1));
    const bool rsa = algorithm == SignatureAlgorithm::kRs256;
    EXPECT_EQ((*issuer)->Jwks()->find("x5c") != std::string::npos, rsa);
    EXPECT_EQ((*issuer)->Keys()->at(0).thumbprint.size(), rsa ? 40u : 0u);
  }
}

TEST_F(OidcIssuerTest, EveryTokenHasItsOwnIdAndTheAudienceThatWasAskedFor) {
  const auto issuer = Start();
  std::set<std::string> ids;
  for (int i = 0; i < 20; ++i) {
    const auto parsed = auth::ParseJwt(issuer->TokensOf(kWorkload).Mint("other").value());
    EXPECT_EQ(parsed->claims.at("aud").as_string(), "other");
    ids.emplace(parsed->claims.at("jti").as_string());
  }
  EXPECT_EQ(ids.size(), 20u);
  EXPECT_FALSE(issuer->Mint(kWorkload, "two words"));
  EXPECT_FALSE(issuer->Mint(kWorkload, std::string(256, 'a')));
  EXPECT_FALSE(issuer->Mint({.org = "a:b"}, ""));
}

TEST_F(OidcIssuerTest, KeysSurviveARestartAndTwoReplicasShareThem) {
  const std::string kid = KidOf(Start()->Mint(kWorkload, "")->text);
  const auto one = Start();
  const auto two = Start();
  EXPECT_EQ(KidOf(one->Mint(kWorkload, "")->text), kid);
  ASSERT_TRUE(one->Rotate(Duration::zero(), false));
  EXPECT_NE(KidOf(two->Mint(kWorkload, "")->text), kid) << "seen by the other at once";
}

TEST_F(OidcIssuerTest, PrivateKeysRestSealed) {
  Start();
  const auto rows = metadata->ListSigningKeys();
  ASSERT_EQ(rows->size(), 1u);
  EXPECT_EQ(rows->at(0).sealed.find("PRIVATE"), std::string::npos);
  store::SecretVault other(*metadata, clock, std::string(32, 'x'));
  const auto wrong = OidcIssuer::Make(*metadata, other, clock, {.issuer = kIssuer});
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.error().hint().find("master key"), std::string::npos);
}

// A verifier that fetched the key set at any time within a day must verify every token that is
// still good, across a whole rotation.
TEST_F(OidcIssuerTest, NoTokenMeetsAVerifierThatCannotKnowItsKey) {
  const auto issuer = Start();
  struct Seen {
    WallTime at;
    std::string jwks;
  };
  std::vector<Seen> sets;
  std::vector<Seen> tokens;
  std::set<std::string> kids;
  for (int hour = 0; hour < 100; ++hour) {
    if (hour == 30) {
      ASSERT_TRUE(issuer->Rotate(kKeyLeadDefault, false));
      EXPECT_EQ(issuer->Keys()->size(), 2u) << "published before it signs";
    }
    sets.push_back({clock.Now(), *issuer->Jwks()});
    tokens.push_back({clock.Now(), issuer->Mint(kWorkload, "")->text});
    kids.insert(KidOf(tokens.back().jwks));
    for (const Seen& set : sets) {
      if (set.at + kKeySetCache < clock.Now()) continue;
      for (const Seen& token : tokens) {
        if (token.at + minutes(59) < clock.Now()) continue;
        ASSERT_TRUE(Verify(token.jwks, set.jwks)) << "hour " << hour;
      }
    }
    clock.Advance(hours(1));
  }
  EXPECT_EQ(kids.size(), 2u);
  EXPECT_EQ(issuer->Keys()->size(), 1u) << "the old key is gone in the end";
  ASSERT_TRUE(issuer->Rotate(kKeyLeadDefault, false));
  EXPECT_EQ(metadata->ListSigningKeys()->size(), 2u) << "and its row with the next rotation";
}

TEST_F(OidcIssuerTest, TwoRotationsDoNotOverlap) {
  const auto issuer = Start();
  ASSERT_TRUE(issuer->Rotate(hours(24), false));
  const Status again = issuer->Rotate(hours(24), false);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code(), Code::kFailedPrecondition);
  EXPECT_NE(again.error().message().find("2026-01-02T00:00:00Z"), std::string::npos)
      << again.error().message();
  EXPECT_FALSE(issuer->Rotate(-seconds(1), false));
  EXPECT_FALSE(issuer->Rotate(hours(24 * 31), false));
}

TEST_F(OidcIssuerTest, TheKeyThatSignsIsTheFirstOfTheSet) {
  const auto issuer = Start();
  const auto first = [&] { return auth::ParseJwks(*issuer->Jwks())->front().kid; };
  const std::string old = first();
  ASSERT_TRUE(issuer->Rotate(hours(24), false));
  EXPECT_EQ(first(), old);
  clock.Advance(hours(24));
  EXPECT_NE(first(), old);
  EXPECT_EQ(first(), KidOf(issuer->Mint(kWorkload, "")->text));
}

TEST_F(OidcIssuerTest, RevokingLeavesOneNewKey) {
  const auto issuer = Start();
  const auto before = issuer->Mint(kWorkload, "");
  ASSERT_TRUE(issuer->Rotate(hours(24), false));
  ASSERT_TRUE(issuer->Rotate(hours(24), true));
  EXPECT_EQ(issuer->Keys()->size(), 1u);
  EXPECT_FALSE(Verify(before->text, *issuer->Jwks()));
  EXPECT_TRUE(Verify(issuer->Mint(kWorkload, "")->text, *issuer->Jwks()));
}

TEST_F(OidcIssuerTest, AnotherAlgorithmComesByRotation) {
  Start(SignatureAlgorithm::kEs256);
  const auto issuer = Start(SignatureAlgorithm::kRs256);
  const auto keys = issuer->Keys();
  ASSERT_EQ(keys->size(), 2u);
  EXPECT_TRUE(keys->at(0).signs);
  EXPECT_EQ(keys->at(0).key.algorithm, "ES256");
  EXPECT_EQ(keys->at(1).key.algorithm, "RS256");
  Start(SignatureAlgorithm::kRs256);
  EXPECT_EQ(issuer->Keys()->size(), 2u) << "a restart rotates no further";
  clock.Advance(hours(24));
  EXPECT_TRUE(issuer->Keys()->at(1).signs);
}

TEST_F(OidcIssuerTest, OptionsAreChecked) {
  EXPECT_FALSE(OidcIssuer::Make(*metadata, *vault, clock, {.issuer = "http://id.example.com"}));
  EXPECT_FALSE(OidcIssuer::Make(*metadata, *vault, clock, {.issuer = kIssuer, .audience = "a b"}));
  EXPECT_FALSE(
      OidcIssuer::Make(*metadata, *vault, clock, {.issuer = kIssuer, .token_life = hours(2)}));
  EXPECT_TRUE(metadata->ListSigningKeys()->empty());
}

}  // namespace
}  // namespace bdn::control
