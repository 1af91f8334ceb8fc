#include "cloud/google_auth.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <gtest/gtest.h>

namespace bdn::cloud {
namespace {

namespace json = boost::json;

const std::string& GooglePem() {
  static const std::string kPem =
      crypto::PrivateKey::Generate(crypto::SignatureAlgorithm::kRs256).ToPem();
  return kPem;
}

json::object GoogleKeyFile() {
  return {{"type", "service_account"},
          {"project_id", "project"},
          {"private_key_id", "0123456789abcdef"},
          {"private_key", GooglePem()},
          {"client_email", "reader@project.iam.gserviceaccount.com"},
          {"token_uri", "https://oauth2.googleapis.com/token"},
          {"universe_domain", "googleapis.com"}};
}

std::string GoogleChanged(const std::string& name, std::optional<std::string> value) {
  json::object key = GoogleKeyFile();
  if (value) {
    key[name] = *value;
  } else {
    key.erase(name);
  }
  return json::serialize(key);
}

TEST(GcpSecret, TakesAKeyFileAsItIsDownloaded) {
  const auto key = ParseGcpSecret("\n " + json::serialize(GoogleKeyFile()) + "\n");
  ASSERT_TRUE(key) << key.error().message();
  EXPECT_EQ(key->client_email, "reader@project.iam.gserviceaccount.com");
  EXPECT_EQ(key->private_key_id, "0123456789abcdef");
  EXPECT_EQ(key->token_uri, "https://oauth2.googleapis.com/token");
  EXPECT_EQ(ParseGcpSecret(GoogleChanged("token_uri", std::nullopt))->token_uri,
            "https://oauth2.googleapis.com/token");
  EXPECT_TRUE(ParseGcpSecret(GoogleChanged("universe_domain", std::nullopt)));
}

TEST(GcpSecret, SaysWhatIsWrongWithoutShowingTheKey) {
  std::string escaped = GooglePem();
  for (auto at = escaped.find('\n'); at != escaped.npos; at = escaped.find('\n', at + 2)) {
    escaped.replace(at, 1, "\\n");
  }
  const std::string ec = crypto::PrivateKey::Generate(crypto::SignatureAlgorithm::kEs256).ToPem();
  const std::vector<std::pair<std::string, std::string>> cases = {
      {" ", "is empty"},
      {"AIzaSomething", "is not JSON"},
      {"[]", "is not JSON"},
      {GooglePem(), "is a private key alone"},
      {GoogleChanged("type", std::nullopt), "has no \"type\""},
      {GoogleChanged("type", "authorized_user"),
       "of type authorized_user, a person's login by gcloud"},
      {GoogleChanged("type", "external_account"), "set auth_method: GCP_OIDC"},
      {GoogleChanged("type", "other"), "is of type other: a key of type service_account is needed"},
      {GoogleChanged("client_email", std::nullopt), "has no client_email"},
      {GoogleChanged("client_email", "a b@c"), "client_email that is no service account's"},
      {GoogleChanged("private_key", std::nullopt), "has no private_key"},
      {GoogleChanged("private_key_id", ""), "has no private_key_id"},
      {GoogleChanged("private_key", escaped), "escaped twice"},
      {GoogleChanged("private_key",
                     "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
       "no RSA key in PEM form"},
      {GoogleChanged("private_key", ec), "not an RSA key"},
      {GoogleChanged("token_uri", "https://169.254.169.254/token"),
       "not an address of Google: refused"},
      {GoogleChanged("token_uri", "https://oauth2.googleapis.com.evil.test/token"), "refused"},
      {GoogleChanged("token_uri", "http://oauth2.googleapis.com/token"), "refused"},
      {GoogleChanged("universe_domain", "example.goog"), "for the universe example.goog"},
  };
  for (const auto& [secret, part] : cases) {
    const auto key = ParseGcpSecret(secret);
    ASSERT_FALSE(key) << part;
    EXPECT_NE(key.error().message().find(part), std::string::npos) << key.error().message();
    EXPECT_TRUE(key.error().message().starts_with("The GCS secret "));
    EXPECT_EQ(key.error().message().find(GooglePem().substr(40, 20)), std::string::npos);
  }
}

TEST(GcpSecret, TheOperatorsOwnTokenAddressIsAccepted) {
  const std::string secret = GoogleChanged("token_uri", "http://127.0.0.1:8080/token");
  EXPECT_FALSE(ParseGcpSecret(secret));
  EXPECT_TRUE(ParseGcpSecret(secret, "http://127.0.0.1:8080/token"));
  EXPECT_FALSE(ParseGcpSecret(secret, "http://127.0.0.1:8081/token"));
}

TEST(GcpProvider, IsTakenWithOrWithoutItsHost) {
  const std::string name =
      "projects/123456789/locations/global/workloadIdentityPools/my-pool/providers/bdn";
  for (const std::string prefix : {"", "//iam.googleapis.com/", "https://iam.googleapis.com/"}) {
    const auto provider = ParseGcpProvider(prefix + name);
    ASSERT_TRUE(provider) << prefix << provider.error().message();
    EXPECT_EQ(provider->audience(), "//iam.googleapis.com/" + name);
    EXPECT_EQ(provider->token_audience(), "https://iam.googleapis.com/" + name);
  }
}

TEST(GcpProvider, RefusesEverythingElse) {
  for (const std::string text :
       {"", "bdn", "projects/my-project/locations/global/workloadIdentityPools/p/providers/x",
        "//evil.test/projects/1/locations/global/workloadIdentityPools/p/providers/x",
        "projects/1/locations/eu/workloadIdentityPools/p/providers/x",
        "projects/1/locations/global/workloadIdentityPools/p",
        "projects/1/locations/global/workloadIdentityPools/p/providers/",
        "projects/1/locations/global/workloadIdentityPools/p/providers/x/y",
        "projects/1/locations/global/workloadIdentityPools/P/providers/x",
        "http://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/"
        "x"}) {
    const auto provider = ParseGcpProvider(text);
    ASSERT_FALSE(provider) << text;
    EXPECT_EQ(provider.error().code(), Code::kInvalidArgument);
  }
  EXPECT_NE(ParseGcpProvider("projects/my-project/locations/global/workloadIdentityPools/p/"
                             "providers/x")
                .error()
                .message()
                .find("the project's number is needed"),
            std::string::npos);
}

TEST(GcpServiceAccount, IsAnAddress) {
  EXPECT_TRUE(CheckGcpServiceAccount("a@p.iam.gserviceaccount.com"));
  for (const std::string text : {"", "a", "a@", "@b", "a@b@c", "a/b@c", "a@b?x", "a b@c"}) {
    EXPECT_FALSE(CheckGcpServiceAccount(text)) << text;
  }
}

TEST(GoogleEndpoints, AllAreAtTheAddressThatIsNamed) {
  EXPECT_EQ(GoogleEndpointsAt("").sts_token, "https://sts.googleapis.com/v1/token");
  const auto endpoints = GoogleEndpointsAt("http://h:1/x/");
  EXPECT_EQ(endpoints.oauth_token, "http://h:1/x/token");
  EXPECT_EQ(endpoints.sts_token, "http://h:1/x/v1/token");
  EXPECT_EQ(endpoints.iam, "http://h:1/x");
}

}  // namespace
}  // namespace bdn::cloud
