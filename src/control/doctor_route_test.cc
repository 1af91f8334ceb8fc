#include "control/doctor_route.h"

#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "api/testing/live_api.h"
#include "api/testing/openapi_document.h"
#include "control/testing/control_world.h"
#include "net/testing/memory_transport.h"

namespace bdn::control {
namespace {

class DoctorRouteTest : public ::testing::Test, public testing::ControlWorld {
 protected:
  DoctorRouteTest() {
    net::Router router;
    AddDoctorRoute(router, deps_);
    EXPECT_EQ(api::testing::SortedRoutes(router.Routes()),
              api::testing::DocumentedRoutes("doctor"));
    api_.emplace(std::move(router));
  }
  net::HttpResponse Post(const std::string& body) {
    return api_->Send(ctx, "POST", "/v1/doctor", {{"Content-Type", "application/json"}}, body);
  }

  net::testing::MemoryTransport upstream_{[](const net::HttpRequest& request) {
    const bool known = request.url.query.find("sig=hush") != std::string::npos;
    return known ? net::HttpResponse{200, {}, "<EnumerationResults><Blobs/></EnumerationResults>"}
                 : net::HttpResponse{403, {}, "<Error><Code>AuthenticationFailed</Code></Error>"};
  }};
  source::RateLimiters limiters_;
  DoctorRouteDeps deps_{.upstream = upstream_,
                        .environment =
                            [this](net::Transport& transport) {
                              return source::SourceEnvironment{.transport = transport,
                                                               .limiters = limiters_};
                            },
                        .vault = *vault};
  std::optional<api::testing::LiveApi> api_;
};

TEST_F(DoctorRouteTest, UsesASecretOfTheControlPlaneAndNeverShowsIt) {
  ASSERT_TRUE(vault->Set("default", "azure", "sv=1&sp=l&sig=hush"));
  const auto answer = Post(
      R"({"source": "azure://acme/models/w",
          "auth": {"auth_method": "CUSTOM_SECRET", "auth_secret_name": "azure"}})");
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(api::testing::Deviations("POST /v1/doctor", 200, answer.body),
            std::vector<std::string>());
  EXPECT_NE(answer.body.find("\"name\":\"connection\",\"state\":\"ok\""), std::string::npos);
  EXPECT_EQ(answer.body.find("hush"), std::string::npos);
}

TEST_F(DoctorRouteTest, SaysWhatIsWrongWithTheQuestion) {
  const auto unset = Post(
      R"({"source": "azure://acme/models",
          "auth": {"auth_method": "CUSTOM_SECRET", "auth_secret_name": "none"}})");
  EXPECT_EQ(unset.status, 404);
  EXPECT_NE(unset.body.find("bdn secret set none"), std::string::npos);
  for (const char* body : {"", "[]", "{}", R"({"source": "ftp://x"})",
                           R"({"source": "s3://b", "auth": {"auth_method": "AWS_OIDC"}})"}) {
    EXPECT_EQ(Post(body).status, 400) << body;
  }
}

TEST_F(DoctorRouteTest, RolesNeedAnIssuerAndSaySo) {
  const auto answer = Post(
      R"({"source": "s3://bucket/w",
          "auth": {"auth_method": "AWS_OIDC", "aws_oidc_role_arn": "arn:aws:iam::1:role/r",
                   "aws_oidc_region": "us-east-1"}})");
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_NE(answer.body.find("\"name\":\"credentials\",\"state\":\"failed\""), std::string::npos)
      << answer.body;
  EXPECT_NE(answer.body.find("issuer"), std::string::npos);
}

}  // namespace
}  // namespace bdn::control
