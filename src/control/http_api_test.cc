#include "control/http_api.h"

#include <set>
#include <string>
#include <thread>

#include <boost/json.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/testing/live_api.h"
#include "api/testing/openapi_document.h"
#include "auth/grant.h"
#include "control/testing/control_world.h"
#include "net/testing/raw_client.h"

namespace bdn::control {
namespace {

using ::testing::HasSubstr;
using Strings = std::vector<std::string>;

class ControlApiTest : public ::testing::Test, public testing::ControlWorld {
 protected:
  ControlApiTest()
      : oidc(*OidcIssuer::Make(
            *metadata,
            *vault,
            clock,
            {.issuer = "https://id.example.com", .algorithm = crypto::SignatureAlgorithm::kEs256})),
        deps{*plane,         *metadata, *objects, clock, std::string(32, 'g'),
             mirror_changed, &training, "",       false, oidc.get()} {
    key = MakeKey("default", "operator");
    node_key = MakeKey("default", "node:one");
    net::Router router;
    AddControlRoutes(router, deps);
    routes = router.Routes();
    AddAuthentication(router, deps);
    api.emplace(std::move(router));
  }
  std::string MakeKey(const std::string& org, const std::string& name) {
    auto made = store::CreateApiKey(*metadata, org, name, clock.Now());
    EXPECT_TRUE(made);
    return made->text;
  }
  net::HttpResponse Send(const std::string& method,
                         const std::string& path,
                         const std::string& body = "",
                         net::Headers headers = {}) {
    if (!headers.Has("Authorization")) headers.Set("Authorization", "Bearer " + key);
    if (!body.empty() && !headers.Has("Content-Type")) {
      headers.Set("Content-Type", "application/json");
    }
    return api->Send(wall, method, path, headers, body);
  }
  int StatusAs(const std::string& token,
               const std::string& method,
               const std::string& path,
               const std::string& body = "") {
    return Send(method, path, body, {{"Authorization", "Bearer " + token}}).status;
  }
  // Sends, and holds the answer against the document.
  net::HttpResponse Documented(const std::string& operation,
                               const std::string& path,
                               const std::string& body = "") {
    auto answer = Send(operation.substr(0, operation.find(' ')), path, body);
    EXPECT_EQ(api::testing::Deviations(operation, answer.status, answer.body), Strings())
        << answer.status << " " << answer.body;
    return answer;
  }
  std::string PushBody() {
    return boost::json::serialize(boost::json::object{{"config", Config()}});
  }
  std::string Push() {
    const auto answer = Send("POST", "/v1/deployments", PushBody());
    EXPECT_EQ(answer.status, 201) << answer.body;
    return api::DeploymentFromJson(answer.body)->id;
  }
  static std::string ObjectPath(const crypto::Digest& digest,
                                const std::string& ns = "ns",
                                const std::string& org = "default") {
    return "/" + store::FullKey({org, ns}, digest);
  }

  const Context wall{RealClock()};
  TrainingStore training{*metadata, *objects, clock, {"default", "training"}};
  Wakeup mirror_changed;
  const std::unique_ptr<OidcIssuer> oidc;
  const HttpApiDeps deps;
  std::string key;
  std::string node_key;
  Strings routes;
  std::optional<api::testing::LiveApi> api;
};

TEST_F(ControlApiTest, RoutesAndDocumentAreTheSame) {
  EXPECT_EQ(api::testing::SortedRoutes(routes), api::testing::DocumentedRoutes("control"));
}

TEST_F(ControlApiTest, AnswersHaveTheDocumentedFields) {
  Documented("GET /healthz", "/healthz");
  Documented("GET /readyz", "/readyz");
  const auto pushed = Documented("POST /v1/deployments", "/v1/deployments", PushBody());
  EXPECT_EQ(pushed.status, 201);
  const std::string id = api::DeploymentFromJson(pushed.body)->id;
  Documented("GET /v1/deployments", "/v1/deployments?limit=5");
  Documented("GET /v1/deployments/{id}", "/v1/deployments/" + id);
  EXPECT_EQ(Documented("GET /v1/deployments/{id}/run", "/v1/deployments/" + id + "/run").status,
            412);
  Documented("POST /v1/deployments/{id}/deactivate", "/v1/deployments/" + id + "/deactivate");
  Documented("POST /v1/deployments/{id}/activate", "/v1/deployments/" + id + "/activate");
  const auto manifest = PutVersion("ns", "content");
  PutVersion("mirrors", "content");
  Finish(Claim(), manifest);
  Fail(Claim());
  Documented("GET /v1/deployments/{id}", "/v1/deployments/" + id);
  const auto second = Push();
  Finish(Claim(), manifest);
  Finish(Claim(), manifest);
  EXPECT_EQ(Documented("GET /v1/deployments/{id}/run", "/v1/deployments/" + second + "/run").status,
            200);
  EXPECT_EQ(Send("DELETE", "/v1/deployments/" + id).status, 204);
  EXPECT_EQ(Documented("GET /v1/deployments/{id}", "/v1/deployments/" + id).status, 404);
  const std::string body =
      boost::json::serialize(boost::json::object{{"manifest", manifest.ToString()}, {"tag", "t"}});
  EXPECT_EQ(Documented("POST /v1/volumes/{namespace}/{volume}/versions",
                       "/v1/volumes/ns/vol/versions", body)
                .status,
            201);
  Documented("GET /v1/volumes", "/v1/volumes");
  Documented("GET /v1/volumes/{namespace}/{volume}", "/v1/volumes/ns/vol");
  Documented("GET /v1/resolve", "/v1/resolve?ref=bdn:ns/vol:t");
  EXPECT_EQ(Documented("GET /v1/resolve", "/v1/resolve").status, 400);
  EXPECT_EQ(Send("PUT", "/v1/volumes/ns/vol/tags/new", body).status, 204);
  EXPECT_EQ(Send("DELETE", "/v1/volumes/ns/vol/tags/new").status, 204);
  EXPECT_EQ(Send("PUT", "/v1/secrets/token", "value").status, 204);
  // Servers find a secret as a file of its name.
  for (const char* name : {"a%2Fb", "..%2F..%2Fx", "%2E%2E", "a%00b"}) {
    for (const char* query : {"", "?check=false"}) {
      const std::string path = std::string("/v1/secrets/") + name + query;
      EXPECT_EQ(Send("PUT", path, "value").status, 400) << path;
    }
  }
  EXPECT_THAT(Documented("GET /v1/secrets", "/v1/secrets").body,
              ::testing::Not(HasSubstr("value")));
  EXPECT_EQ(Send("DELETE", "/v1/secrets/token").status, 204);
  Documented("POST /v1/grants", "/v1/grants", R"({"namespace":"ns"})");
  EXPECT_EQ(Documented("POST /v1/gc", "/v1/gc", R"({"dry_run":true})").status, 200);
}

TEST_F(ControlApiTest, HealthAndMetricsNeedNoKeyAndEverythingElseDoes) {
  const std::set<std::string> open = {"/healthz", "/readyz", "/metrics", "/.well-known/jwks.json",
                                      "/.well-known/openid-configuration"};
  for (const auto& path : open) {
    EXPECT_EQ(api->Send(wall, "GET", path, {}).status, 200) << path;
  }
  EXPECT_THAT(api->Send(wall, "GET", "/metrics", {}).body, HasSubstr("bdn_deployments"));
  for (const auto& route : routes) {
    const std::size_t blank = route.find(' ');
    const std::string path = route.substr(blank + 1);
    if (open.contains(path)) continue;
    // The URL of a file carries its right in its query; without one it is refused all the same.
    const int refused = path == kTrainingFilesPath ? 403 : 401;
    EXPECT_EQ(api->Send(wall, route.substr(0, blank), path, {}).status, refused) << route;
  }
}

TEST_F(ControlApiTest, OnlyAKnownKeyOfTheOrganisationMayCall) {
  EXPECT_EQ(StatusAs(key, "GET", "/v1/deployments"), 200);
  EXPECT_EQ(api->Send(wall, "GET", "/v1/deployments", {{"X-Api-Key", key}}).status, 200);
  EXPECT_EQ(StatusAs("bdn_wrong", "GET", "/v1/deployments"), 401);
  EXPECT_EQ(StatusAs(key + "x", "GET", "/v1/deployments"), 401);
  EXPECT_EQ(api->Send(wall, "GET", "/v1/deployments", {{"Authorization", "Basic " + key}}).status,
            401);
  EXPECT_EQ(StatusAs(MakeKey("other", "x"), "GET", "/v1/deployments"), 403);
  const auto rows = *metadata->ListApiKeys();
  for (const auto& row : rows) {
    if (row.name != "operator") continue;
    ASSERT_TRUE(metadata->RevokeApiKey(row.id));
  }
  EXPECT_EQ(StatusAs(key, "GET", "/v1/deployments"), 401);
  EXPECT_EQ(StatusAs(node_key, "GET", "/v1/deployments"), 200);
}

TEST_F(ControlApiTest, OnlyANodesKeyReadsValuesOfSecrets) {
  ASSERT_TRUE(plane->SetSecret("token", "s3cret"));
  const auto pushed = Send("POST", "/v1/deployments",
                           boost::json::serialize(boost::json::object{
                               {"config",
                                "weights:\n  - source: hf://a/b\n    mount_location: /m\n"
                                "secrets:\n  token: null\n"}}));
  const std::string run = "/v1/deployments/" + api::DeploymentFromJson(pushed.body)->id + "/run";
  Finish(Claim(), PutVersion("mirrors", "x"));
  EXPECT_THAT(Send("GET", run).body, ::testing::Not(HasSubstr("s3cret")));
  const auto node = Send("GET", run, "", {{"Authorization", "Bearer " + node_key}});
  EXPECT_THAT(node.body, HasSubstr("s3cret"));
}

TEST_F(ControlApiTest, AGrantReadsItsNamespaceUntilItEnds) {
  const auto digest = Put("ns", store::ObjectKind::kChunk, "bytes");
  Put("other", store::ObjectKind::kChunk, "bytes");
  const auto answer = Send("POST", "/v1/grants", R"({"namespace":"ns"})");
  const std::string grant(boost::json::parse(answer.body).at("token").as_string());
  EXPECT_EQ(StatusAs(grant, "GET", ObjectPath(digest)), 200);
  EXPECT_EQ(StatusAs(grant, "HEAD", ObjectPath(digest)), 200);
  EXPECT_EQ(StatusAs(grant, "GET", ObjectPath(digest, "other")), 403);
  EXPECT_EQ(StatusAs(grant, "PUT", ObjectPath(digest), "bytes"), 403);
  EXPECT_EQ(StatusAs(grant, "GET", "/v1/deployments"), 401);
  EXPECT_EQ(StatusAs(grant + "x", "GET", ObjectPath(digest)), 401);
  clock.Advance(auth::kGrantLife);
  EXPECT_EQ(StatusAs(grant, "GET", ObjectPath(digest)), 401);
  for (const char* ns : {"", "..", "a/b", "a\\n", ".hidden"}) {
    EXPECT_EQ(Send("POST", "/v1/grants", std::string(R"({"namespace":")") + ns + "\"}").status, 400)
        << ns;
  }
}

TEST_F(ControlApiTest, ObjectsAreStoredWhenTheyMatchTheirName) {
  const auto digest = crypto::Blake3Of(std::string_view("bytes"));
  const auto put = [&](const std::string& body, const std::string& type) {
    return Send("PUT", ObjectPath(digest), body, {{"Content-Type", type}}).status;
  };
  const std::string chunk = store::ContentType(store::ObjectKind::kChunk, false);
  EXPECT_EQ(put("other", chunk), 400);
  EXPECT_NE(put("bytes", "text/plain"), 201);
  EXPECT_NE(put("bytes", store::ContentType(store::ObjectKind::kManifest, true)), 201);
  EXPECT_EQ(Send("HEAD", ObjectPath(digest)).status, 404);
  EXPECT_EQ(put("bytes", chunk), 201);
  EXPECT_EQ(put("bytes", chunk), 200);
  EXPECT_NE(put("bytes", store::ContentType(store::ObjectKind::kManifest, false)), 201);
}

TEST_F(ControlApiTest, ChunksAreStoredWhileTheyArrive) {
  const auto put = [&](const std::string& body) {
    return Send("PUT", ObjectPath(crypto::Blake3Of(body)), body,
                {{"Content-Type", store::ContentType(store::ObjectKind::kChunk, false)}})
        .status;
  };
  // One larger than any buffer of the server, the smallest, and ones that look like a typed object.
  const std::string typed("\x50\x2a\x4d\x18\x04\0\0\0abcd", 12);
  for (const std::string& body :
       {std::string(3 << 20, 'x'), std::string("x"), std::string(), typed, typed.substr(0, 4),
        std::string("\x50\x2a\x4d\x18\x24\0\0\0application/vnd.baseten.bdn.chunk.v1", 44)}) {
    EXPECT_EQ(put(body), 201);
    EXPECT_EQ(put(body), 200);
    EXPECT_EQ(Send("GET", ObjectPath(crypto::Blake3Of(body))).status, 200);
    auto stored = store::GetAll(ctx, *objects, {"default", "ns"}, store::ObjectKind::kChunk,
                                crypto::Blake3Of(body), 4 << 20);
    ASSERT_TRUE(stored) << stored.error().message();
    EXPECT_TRUE(*stored == body);
  }
}

TEST_F(ControlApiTest, AChunkThatIsTooLargeIsRefusedByItsLength) {
  const auto digest = crypto::Blake3Of(std::string_view("x"));
  net::testing::RawClient client(api->Client(key).endpoint().url.substr(7));
  const std::string head =
      "PUT " + ObjectPath(digest) + " HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer " + key +
      "\r\nContent-Type: " + store::ContentType(store::ObjectKind::kChunk, false) +
      "\r\nContent-Length: 536870913\r\n\r\n";
  EXPECT_EQ(client.Ask(head).status, 413);
}

TEST_F(ControlApiTest, NothingNamesWhatItsNamespaceDoesNotHave) {
  Put("other", store::ObjectKind::kChunk, "bytes");
  const auto put = [&](store::ObjectKind kind, const std::string& body) {
    return Send("PUT", ObjectPath(crypto::Blake3Of(body)), body,
                {{"Content-Type", store::ContentType(kind, false)}});
  };
  const auto chunk = crypto::Blake3Of(std::string_view("bytes"));
  model::Chunkmap map;
  map.file_size = 5;
  map.chunks = {{.digest = chunk, .offset = 0, .length = 5}};
  const auto mapped = put(store::ObjectKind::kChunkmap, model::WriteChunkmap(map));
  EXPECT_EQ(mapped.status, 412);
  EXPECT_THAT(mapped.body, HasSubstr("the chunkmap names " + chunk.ToString() +
                                     ", which namespace 'ns' does not have"));
  const std::string manifest = ManifestOf("bytes");
  EXPECT_EQ(put(store::ObjectKind::kManifest, manifest).status, 412);
  EXPECT_EQ(put(store::ObjectKind::kManifest, "{}").status, 400);
  EXPECT_EQ(put(store::ObjectKind::kChunkmap, "{}").status, 400);
  EXPECT_EQ(Send("HEAD", ObjectPath(crypto::Blake3Of(manifest))).status, 404);
  Put("ns", store::ObjectKind::kChunk, "bytes");
  EXPECT_EQ(put(store::ObjectKind::kManifest, manifest).status, 201);
  EXPECT_EQ(put(store::ObjectKind::kChunkmap, model::WriteChunkmap(map)).status, 201);
}

TEST_F(ControlApiTest, ObjectsAreServedWithRangesAndTags) {
  const auto digest = Put("ns", store::ObjectKind::kChunk, "0123456789");
  const auto whole = Send("GET", ObjectPath(digest));
  EXPECT_EQ(whole.status, 200);
  EXPECT_EQ(whole.body, "0123456789");
  const std::string tag = "\"" + digest.ToString() + "\"";
  EXPECT_EQ(whole.headers.Get("ETag"), tag);
  EXPECT_EQ(whole.headers.Get("Content-Type"),
            store::ContentType(store::ObjectKind::kChunk, false));
  const auto get = [&](const std::string& name, const std::string& value) {
    return Send("GET", ObjectPath(digest), "", {{name, value}});
  };
  EXPECT_EQ(get("Range", "bytes=3-5").status, 206);
  EXPECT_EQ(get("Range", "bytes=3-5").body, "345");
  EXPECT_EQ(get("Range", "bytes=10-").status, 416);
  EXPECT_EQ(get("If-None-Match", tag).status, 304);
  EXPECT_EQ(get("If-Match", "\"other\"").status, 412);
  EXPECT_EQ(Send("GET", ObjectPath(digest, "elsewhere")).status, 404);
}

TEST_F(ControlApiTest, HostileObjectPathsReachNothing) {
  const auto digest = Put("ns", store::ObjectKind::kChunk, "bytes");
  const std::string hex = digest.hex();
  const std::string tail = "/objects/b3/" + hex.substr(0, 2) + "/" + hex.substr(2, 2) + "/" + hex;
  for (const std::string scope :
       {"default/..", "default/.", "default/%2e%2e", "default/a%2Fb", "default/%2E%2E%2Fns",
        "../default", "%2e%2e/ns", "default/.hidden", "default/a%0Ab", "default/ns%20"}) {
    const int status = Send("GET", "/bdn/" + scope + tail).status;
    EXPECT_GE(status, 400) << scope;
    EXPECT_LT(status, 500) << scope;
  }
  EXPECT_EQ(Send("GET", ObjectPath(digest, "ns", "other")).status, 403);
  EXPECT_EQ(Send("PUT", ObjectPath(digest, "ns", "other"), "bytes",
                 {{"Content-Type", store::ContentType(store::ObjectKind::kChunk, false)}})
                .status,
            403);
  const std::string at = "/bdn/default/ns/objects/b3/";
  EXPECT_EQ(Send("GET", at + "00/00/" + hex).status, 400);
  EXPECT_EQ(Send("GET", at + hex.substr(0, 2) + "/zz/" + hex).status, 400);
  EXPECT_EQ(Send("GET", at + "aa/bb/short").status, 400);
  EXPECT_EQ(Send("GET", at + "aa/bb/..%2f..%2fmaster.key").status, 400);
}

TEST_F(ControlApiTest, EventsTellEachChangeAndEndWhenItSettles) {
  const std::string id = Push();
  const auto first = Claim();
  const auto second = Claim();
  std::vector<std::string> seen;
  const auto client = api->Client(key);
  int step = 0;
  ASSERT_TRUE(client.Events(wall, "/v1/deployments/" + id + "/events",
                            [&](std::string_view name, std::string_view data) {
                              if (name == "end") {
                                seen.emplace_back("end");
                                return true;
                              }
                              const auto body = api::DeploymentFromJson(data);
                              EXPECT_TRUE(body);
                              if (seen.empty() || seen.back() != body->status)
                                seen.push_back(body->status);
                              if (step++ == 0) {
                                Finish(first, PutVersion("mirrors", "a"));
                                Finish(second, PutVersion("mirrors", "b"));
                                mirror_changed.Wake();
                              }
                              return true;
                            }));
  EXPECT_EQ(seen, (Strings{"DEPLOYING", "ACTIVE", "end"}));
  const auto none = client.Events(wall, "/v1/deployments/dep_none/events",
                                  [](std::string_view, std::string_view) { return true; });
  EXPECT_EQ(none.error().code(), Code::kNotFound);
}

TEST_F(ControlApiTest, BodiesThatAreNotUnderstoodChangeNothing) {
  for (const char* body : {"", "[]", "{", R"({"config":5})", R"({"name":"x"})"}) {
    EXPECT_EQ(Send("POST", "/v1/deployments", body).status, 400) << body;
  }
  Put("ns", store::ObjectKind::kChunk, "bytes");
  for (const char* body : {R"({"dry_run":"true"})", R"({"grace_seconds":-1})",
                           R"({"grace_seconds":"0"})", R"({"grace_seconds":1e300})"}) {
    EXPECT_EQ(Send("POST", "/v1/gc", body).status, 400) << body;
  }
  for (const char* limit : {"0", "-1", "1001", "x"}) {
    EXPECT_EQ(Send("GET", std::string("/v1/deployments?limit=") + limit).status, 400) << limit;
  }
}

}  // namespace
}  // namespace bdn::control
