#include "auth/oidc_documents.h"

#include <string>

#include <gtest/gtest.h>

#include "auth/jwt.h"
#include "codec/json.h"

namespace bdn::auth {
namespace {

TEST(Issuer, IsAPlainHttpsUrl) {
  for (const char* good :
       {"https://id.example.com", "https://id.example.com/oidc", "https://id.example.com:8443/a/b",
        "http://localhost:7070", "http://127.0.0.1:7070/oidc", "http://[::1]:7070"}) {
    EXPECT_TRUE(CheckIssuer(good)) << good;
  }
  const struct {
    std::string issuer;
    const char* part;
  } bad[] = {{"", "cannot be"},
             {"id.example.com", "cannot be"},
             {"http://id.example.com", "https only"},
             {"https://id.example.com/", "ends with '/'"},
             {"https://id.example.com/oidc/", "ends with '/'"},
             {"https://id.example.com?a=b", "query"},
             {"https://id.example.com#x", "cannot be"},
             {"https://user@id.example.com", "cannot be"},
             {"https://ID.example.com", "plain form"},
             {"HTTPS://id.example.com", "plain form"},
             {"https://id.example.com:443", "plain form"},
             {"https://id.example.com/a//b", "single"},
             {"https://id.example.com/../b", "single"},
             {"https://id.example.com/a%20b", "letters"},
             {"https://id.example.com/" + std::string(300, 'a'), "255"}};
  for (const auto& [issuer, part] : bad) {
    const Status status = CheckIssuer(issuer);
    ASSERT_FALSE(status) << issuer;
    EXPECT_EQ(status.error().code(), Code::kInvalidArgument);
    EXPECT_NE(status.error().message().find(part), std::string::npos) << status.error().message();
  }
  EXPECT_EQ(IssuerPath("https://id.example.com/oidc"), "/oidc");
  EXPECT_EQ(IssuerPath("https://id.example.com"), "");
  EXPECT_EQ(IssuerName("https://id.example.com/oidc"), "id.example.com/oidc");
}

TEST(Discovery, NamesTheIssuerByteForByteAndItsKeys) {
  const auto document = codec::ParseJson(DiscoveryDocument("https://id.example.com/oidc"));
  ASSERT_TRUE(document);
  const codec::JsonView view(*document);
  EXPECT_EQ(*view.String("issuer"), "https://id.example.com/oidc");
  EXPECT_EQ(*view.String("jwks_uri"), "https://id.example.com/oidc/.well-known/jwks.json");
  EXPECT_EQ(*view.StringsOr("response_types_supported"), std::vector<std::string>{"id_token"});
}

TEST(Jwks, HasPublicMembersOnlyAndACertificateWhereThereIsOne) {
  const auto rsa = crypto::PrivateKey::Generate(crypto::SignatureAlgorithm::kRs256);
  const auto ec = crypto::PrivateKey::Generate(crypto::SignatureAlgorithm::kEs256);
  const std::string der = rsa.SelfSignedCertificate("id.example.com", WallTime{});
  const std::string text =
      JwksDocument(std::vector<PublishedKey>{{rsa.public_key(), der}, {ec.public_key(), ""}});
  const auto keys = ParseJwks(text);
  ASSERT_TRUE(keys) << keys.error().message();
  ASSERT_EQ(keys->size(), 2u);
  EXPECT_EQ((*keys)[0].key.numbers(), rsa.public_key().numbers());
  const auto document = codec::ParseJson(text);
  const auto& all = document->at("keys").as_array();
  for (const auto& key : all) {
    for (const char* secret : {"d", "p", "q", "dp", "dq", "qi", "k"}) {
      EXPECT_FALSE(key.as_object().contains(secret));
    }
  }
  EXPECT_EQ(all[0].at("x5c").as_array().size(), 1u);
  EXPECT_FALSE(all[1].as_object().contains("x5c"));
}

}  // namespace
}  // namespace bdn::auth
