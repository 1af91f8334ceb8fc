#include "control/mirror_sources.h"

#include <gtest/gtest.h>

#include "auth/jwt.h"
#include "control/testing/control_world.h"
#include "mirror/spec.h"
#include "net/testing/memory_transport.h"

namespace bdn::control {
namespace {

class MirrorSourcesTest : public ::testing::Test {
 protected:
  Result<std::unique_ptr<source::Source>> Make(const std::string& uri, const std::string& secret) {
    model::WeightsSource weights;
    weights.source = uri;
    weights.uri = *model::ParseSourceUri(uri);
    if (!secret.empty()) {
      weights.auth.method = model::AuthMethod::kCustomSecret;
      weights.auth.auth_secret_name = secret;
    }
    store::Mirror mirror;
    mirror.scope = {"default", "models"};
    mirror.spec = mirror::SpecToJson(weights);
    return MakeMirrorSource(mirror, *world_.vault,
                            {.transport = transport_, .limiters = limiters_});
  }

  testing::ControlWorld world_;
  int status_ = 401;
  net::testing::MemoryTransport transport_{[this](const net::HttpRequest&) {
    net::HttpResponse answer;
    answer.status = status_;
    return Result<net::HttpResponse>(answer);
  }};
  source::RateLimiters limiters_;
};

TEST_F(MirrorSourcesTest, ARefusalSaysThatTheNamedSecretIsNotSetAndHowToSetIt) {
  for (const int status : {401, 403, 404}) {
    status_ = status;
    auto source = Make("hf://acme/private", "team_token");
    ASSERT_TRUE(source);
    const auto pin = (*source)->Resolve(world_.ctx);
    ASSERT_FALSE(pin);
    EXPECT_TRUE(pin.error().message().starts_with(
        "the secret 'team_token' that the config names is not set in this control plane: "))
        << pin.error().message();
    EXPECT_EQ(pin.error().hint(), "set it with `bdn secret set team_token` and push again");
  }
}

TEST_F(MirrorSourcesTest, OtherErrorsDoNotBlameTheSecret) {
  status_ = 400;
  auto source = Make("hf://acme/public", "team_token");
  ASSERT_TRUE(source);
  const auto pin = (*source)->Resolve(world_.ctx);
  ASSERT_FALSE(pin);
  EXPECT_EQ(pin.error().message().find("team_token"), std::string::npos) << pin.error().message();
}

TEST_F(MirrorSourcesTest, ASecretThatIsSetIsNotBlamed) {
  ASSERT_TRUE(world_.vault->Set("default", "team_token", "hf_value"));
  auto source = Make("hf://acme/private", "team_token");
  ASSERT_TRUE(source);
  const auto pin = (*source)->Resolve(world_.ctx);
  ASSERT_FALSE(pin);
  EXPECT_EQ(pin.error().message().find("not set"), std::string::npos) << pin.error().message();
}

TEST_F(MirrorSourcesTest, ASourceThatCannotBeMadeWithoutItSaysSoToo) {
  const auto source = Make("s3://bucket/path", "keys");
  ASSERT_FALSE(source);
  EXPECT_EQ(source.error().hint(), "set it with `bdn secret set keys` and push again");
}

// What STS is shown is a token of the deployment that asked for the mirror.
TEST(MirrorIdentity, IsThatOfTheDeploymentThatAskedFirst) {
  testing::ControlWorld world;
  const auto oidc = OidcIssuer::Make(
      *world.metadata, *world.vault, world.clock,
      {.issuer = "https://id.example.com", .algorithm = crypto::SignatureAlgorithm::kEs256});
  ASSERT_TRUE(oidc) << oidc.error().message();
  const auto pushed = world.plane->Push(
      "model_name: my-model\nweights:\n  - source: s3://bucket/w\n    mount_location: /m\n"
      "    auth: {auth_method: AWS_OIDC, aws_oidc_region: eu-west-1, "
      "aws_oidc_role_arn: \"arn:aws:iam::123456789012:role/w\"}\n",
      "");
  ASSERT_TRUE(pushed) << pushed.error().message();
  std::string shown;
  net::testing::MemoryTransport transport([&](const net::HttpRequest& request) {
    shown = request.body;
    return Result<net::HttpResponse>(net::HttpResponse{.status = 403});
  });
  source::RateLimiters limiters;
  const auto made =
      MakeMirrorSource(world.Claim(), *world.vault, {.transport = transport, .limiters = limiters},
                       {.issuer = oidc->get(), .team = "core"});
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_FALSE((*made)->Resolve(world.ctx));
  const std::size_t at = shown.find("WebIdentityToken=");
  ASSERT_NE(at, std::string::npos) << shown;
  const auto token = auth::ParseJwt(shown.substr(at + 17));
  ASSERT_TRUE(token) << token.error().message();
  EXPECT_EQ(token->claims.at("sub").as_string(),
            "v=1:org=default:team=core:model=my-model:deployment=" + pushed->id +
                ":environment=<none>:type=model_build");
}

}  // namespace
}  // namespace bdn::control
