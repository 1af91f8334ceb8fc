#include "cli/oidc_guide.h"

#include <string>

#include <boost/json.hpp>
#include <gtest/gtest.h>

namespace bdn::cli {
namespace {

api::OidcBody Body() {
  api::OidcBody body;
  body.issuer = "https://id.example.com/oidc";
  body.audience = "id.example.com/oidc";
  body.org = "default";
  body.team = "core";
  body.model = "my-model";
  return body;
}

TEST(OidcGuide, TheTrustPolicyChecksAudienceAndSubject) {
  EXPECT_EQ(
      boost::json::serialize(AwsTrustPolicy(Body())),
      R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":)"
      R"("arn:aws:iam::ACCOUNT:oidc-provider/id.example.com/oidc"},"Action":)"
      R"("sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{"id.example.com/oidc:aud":)"
      R"("id.example.com/oidc"},"StringLike":{"id.example.com/oidc:sub":)"
      R"("v=1:org=default:team=core:model=my-model:deployment=*:environment=*:type=model_build")"
      "}}}]}");
}

TEST(OidcGuide, CommandsNameTheIssuerByteForByte) {
  EXPECT_EQ(AwsProviderCommand(Body()),
            "aws iam create-open-id-connect-provider --url https://id.example.com/oidc "
            "--client-id-list id.example.com/oidc");
  const std::string gcp = GcpCommands(Body());
  for (const char* part :
       {"--issuer-uri=https://id.example.com/oidc", "--allowed-audiences=id.example.com/oidc",
        "google.subject=assertion.sub", "attribute.model/my-model",
        "assertion.sub.startsWith('v=1:org=default:team=core:') && assertion.type == "
        "'model_build'"}) {
    EXPECT_NE(gcp.find(part), std::string::npos) << part;
  }
}

TEST(OidcGuide, ThePageHoldsAPolicyThatIsJson) {
  const std::string page = OidcGuide(Body());
  const std::size_t begin = page.find("{\n");
  const std::size_t end = page.find("\n}\n");
  ASSERT_NE(begin, std::string::npos);
  ASSERT_NE(end, std::string::npos);
  boost::system::error_code failed;
  const auto policy = boost::json::parse(page.substr(begin, end + 2 - begin), failed);
  ASSERT_FALSE(failed) << page.substr(begin, end + 2 - begin);
  EXPECT_EQ(policy, boost::json::value(AwsTrustPolicy(Body())));
}

}  // namespace
}  // namespace bdn::cli
