#include "control/identity_routes.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/identity.h"
#include "api/testing/live_api.h"
#include "api/testing/openapi_document.h"
#include "auth/jwt.h"
#include "control/testing/control_world.h"

namespace bdn::control {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Strings = std::vector<std::string>;

// The routes of a control plane whose issuer has a path, or that has none.
class IdentityApi : public testing::ControlWorld {
 public:
  explicit IdentityApi(bool with_issuer)
      : oidc(with_issuer ? *OidcIssuer::Make(*metadata,
                                             *vault,
                                             clock,
                                             {.issuer = "https://id.example.com/oidc",
                                              .algorithm = crypto::SignatureAlgorithm::kEs256})
                         : nullptr),
        deps{*plane,         *metadata, *objects, clock, std::string(32, 'g'),
             mirror_changed, nullptr,   "",       false, oidc.get()} {
    key = store::CreateApiKey(*metadata, "default", "operator", clock.Now())->text;
    node_key = store::CreateApiKey(*metadata, "default", "node:one", clock.Now())->text;
    net::Router router;
    AddControlRoutes(router, deps);
    AddAuthentication(router, deps);
    api.emplace(std::move(router));
  }
  net::HttpResponse Send(const std::string& as,
                         const std::string& method,
                         const std::string& path,
                         const std::string& body = "") {
    net::Headers headers;
    if (!as.empty()) headers.Set("Authorization", "Bearer " + as);
    if (!body.empty()) headers.Set("Content-Type", "application/json");
    return api->Send(wall, method, path, headers, body);
  }
  std::string Push(const std::string& rest = "") {
    const auto pushed = plane->Push(Config(rest), "my-model");
    EXPECT_TRUE(pushed) << pushed.error().message();
    return pushed->id;
  }

  const Context wall{RealClock()};
  const std::unique_ptr<OidcIssuer> oidc;
  Wakeup mirror_changed;
  const HttpApiDeps deps;
  std::string key;
  std::string node_key;
  std::optional<api::testing::LiveApi> api;
};

TEST(IdentityRoutes, DocumentsArePublicBelowTheIssuersPathAndMayBeKept) {
  IdentityApi api(true);
  const auto discovery = api.Send("", "GET", "/oidc/.well-known/openid-configuration");
  ASSERT_EQ(discovery.status, 200);
  EXPECT_EQ(discovery.headers.Get("Content-Type"), "application/json");
  EXPECT_EQ(discovery.headers.Get("Cache-Control"), "public, max-age=3600");
  EXPECT_THAT(discovery.body, HasSubstr(R"("issuer":"https://id.example.com/oidc")"));
  const auto keys = api.Send("", "GET", "/oidc/.well-known/jwks.json");
  ASSERT_EQ(keys.status, 200);
  EXPECT_EQ(keys.headers.Get("Cache-Control"), "public, max-age=3600");
  EXPECT_EQ(auth::ParseJwks(keys.body)->size(), 1u);
  EXPECT_EQ(api.Send("", "GET", "/.well-known/jwks.json").status, 404);
  EXPECT_EQ(api.Send("", "GET", "/oidc/.well-known/other").status, 404);
}

TEST(IdentityRoutes, AnswersHaveTheDocumentedFields) {
  IdentityApi api(true);
  const std::string id = api.Push();
  const auto check = [&](const std::string& operation, const net::HttpResponse& answer) {
    EXPECT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(api::testing::Deviations(operation, answer.status, answer.body), Strings());
  };
  check("GET /.well-known/openid-configuration",
        api.Send("", "GET", "/oidc/.well-known/openid-configuration"));
  check("GET /.well-known/jwks.json", api.Send("", "GET", "/oidc/.well-known/jwks.json"));
  check("GET /v1/oidc", api.Send(api.key, "GET", "/v1/oidc"));
  check("GET /v1/oidc", api.Send(api.key, "GET", "/v1/oidc?deployment=" + id));
  check("POST /v1/oidc/rotate", api.Send(api.key, "POST", "/v1/oidc/rotate"));
  check("POST /v1/deployments/{id}/identity-token",
        api.Send(api.node_key, "POST", "/v1/deployments/" + id + "/identity-token"));
}

TEST(IdentityRoutes, ANodeGetsATokenOfExactlyTheDeploymentItNames) {
  IdentityApi api(true);
  const std::string id = api.Push();
  const auto answer = api.Send(api.node_key, "POST", "/v1/deployments/" + id + "/identity-token",
                               R"({"audience":"sts.example.com"})");
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(answer.headers.Get("Cache-Control"), "no-store");
  const auto body = api::IdentityTokenFromJson(answer.body);
  ASSERT_TRUE(body);
  const auto keys = auth::ParseJwks(*api.oidc->Jwks());
  const auto claims = auth::VerifyJwt(body->token, *keys,
                                      {.issuer = "https://id.example.com/oidc",
                                       .audience = "sts.example.com",
                                       .now = api.clock.Now()});
  ASSERT_TRUE(claims) << claims.error().message();
  EXPECT_EQ(claims->at("sub").as_string(),
            "v=1:org=default:team=default:model=my-model:deployment=" + id +
                ":environment=<none>:type=model_container");
  EXPECT_EQ(claims->at("sub").as_string(), body->subject);
}

TEST(IdentityRoutes, NobodyElseGetsOne) {
  IdentityApi api(true);
  const std::string id = api.Push();
  const std::string path = "/v1/deployments/" + id + "/identity-token";
  EXPECT_EQ(api.Send("", "POST", path).status, 401);
  EXPECT_EQ(api.Send(api.key, "POST", path).status, 403) << "an operator's key";
  EXPECT_EQ(api.Send(api.node_key, "POST", "/v1/deployments/dep_x/identity-token").status, 404);
  EXPECT_EQ(api.Send(api.node_key, "POST", path, R"({"audience":"two words"})").status, 400);
  EXPECT_EQ(api.Send(api.node_key, "POST", path, R"([])").status, 400);
  const std::string off = api.Push("runtime:\n  oidc:\n    enabled: false\n");
  EXPECT_EQ(api.Send(api.node_key, "POST", "/v1/deployments/" + off + "/identity-token").status,
            412);
  ASSERT_TRUE(api.plane->SetActive(id, false));
  EXPECT_EQ(api.Send(api.node_key, "POST", path).status, 412) << "deactivated";
}

TEST(IdentityRoutes, OnlyOperatorsRotate) {
  IdentityApi api(true);
  EXPECT_EQ(api.Send(api.node_key, "POST", "/v1/oidc/rotate").status, 403);
  EXPECT_EQ(api.Send(api.key, "POST", "/v1/oidc/rotate", R"({"lead_seconds":-1})").status, 400);
  EXPECT_EQ(api.Send(api.key, "POST", "/v1/oidc/rotate", R"({"revoke":"yes"})").status, 400);
  const auto rotated = api.Send(api.key, "POST", "/v1/oidc/rotate");
  ASSERT_EQ(rotated.status, 200) << rotated.body;
  const auto body = api::OidcFromJson(rotated.body);
  ASSERT_EQ(body->keys.size(), 2u);
  EXPECT_EQ(body->keys[0].state, "signs");
  EXPECT_EQ(body->keys[0].published_until, "2026-01-03T01:00:00Z");
  EXPECT_EQ(body->keys[1].state, "next");
  EXPECT_EQ(body->keys[1].published_until, "");
  EXPECT_EQ(api.Send(api.key, "POST", "/v1/oidc/rotate").status, 412);
  const auto revoked = api.Send(api.key, "POST", "/v1/oidc/rotate", R"({"revoke":true})");
  EXPECT_EQ(api::OidcFromJson(revoked.body)->keys.size(), 1u);
}

TEST(IdentityRoutes, ShowsTheSubjectsOfADeployment) {
  IdentityApi api(true);
  const std::string id = api.Push();
  const auto body = api::OidcFromJson(api.Send(api.key, "GET", "/v1/oidc?deployment=" + id).body);
  ASSERT_TRUE(body);
  EXPECT_EQ(body->audience, "id.example.com/oidc");
  EXPECT_EQ(body->mirror_subject, "v=1:org=default:team=default:model=my-model:deployment=" + id +
                                      ":environment=<none>:type=model_build");
  EXPECT_THAT(body->run_subject, HasSubstr(id + ":environment=<none>:type=model_container"));
  EXPECT_EQ(api.Send(api.key, "GET", "/v1/oidc?deployment=dep_x").status, 404);
}

TEST(IdentityRoutes, WithoutAnIssuerEveryRouteSaysWhatToDo) {
  IdentityApi api(false);
  const std::string id = api.Push();
  for (const auto& [method, path] :
       {std::pair<std::string, std::string>{"GET", "/.well-known/openid-configuration"},
        {"GET", "/.well-known/jwks.json"},
        {"GET", "/v1/oidc"},
        {"POST", "/v1/oidc/rotate"},
        {"POST", "/v1/deployments/" + id + "/identity-token"}}) {
    const auto answer = api.Send(path.ends_with("token") ? api.node_key : api.key, method, path);
    EXPECT_EQ(answer.status, 412) << path;
    EXPECT_THAT(answer.body, HasSubstr("--oidc-issuer")) << path;
    EXPECT_THAT(answer.body, HasSubstr("docs/oidc.md")) << path;
    EXPECT_THAT(answer.body, Not(HasSubstr("oidc show"))) << "that is where people come from";
  }
}

}  // namespace
}  // namespace bdn::control
