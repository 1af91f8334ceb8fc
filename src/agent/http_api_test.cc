#include "agent/http_api.h"

#include <string>

#include <boost/json.hpp>
#include <gtest/gtest.h>
#include <unistd.h>

#include "agent/testing/fake_node.h"
#include "api/testing/live_api.h"
#include "api/testing/openapi_document.h"
#include "crypto/blake3.h"
#include "mount/testing/memory_mounter.h"
#include "os/testing/memory_fs.h"

namespace bdn::agent {
namespace {

using Strings = std::vector<std::string>;

class NodeApiTest : public ::testing::Test {
 protected:
  NodeApiTest() {
    processes.Start(10, 77);
    auto opened = NodeAgent::Open({cache, mounter, state, executor, RealClock(), processes});
    EXPECT_TRUE(opened);
    agent = *std::move(opened);
    net::Router router;
    AddNodeRoutes(router, *agent, cache, host);
    routes = router.Routes();
    api.emplace(std::move(router));
  }
  net::HttpResponse Send(const std::string& method,
                         const std::string& path,
                         const boost::json::value& body = nullptr) {
    if (body.is_null()) return api->Send(ctx, method, path, {});
    return api->Send(ctx, method, path, {{"Content-Type", "application/json"}},
                     boost::json::serialize(body));
  }
  boost::json::object MountBody(const std::string& target) {
    return {{"org", "org"}, {"namespace", "ns"}, {"manifest", manifest}, {"target", target}};
  }
  static void ExpectDocumented(const std::string& operation, const net::HttpResponse& answer) {
    EXPECT_EQ(api::testing::Deviations(operation, answer.status, answer.body), Strings())
        << answer.status << " " << answer.body;
  }

  const Context ctx{RealClock()};
  InlineExecutor executor;
  const crypto::Digest digest = crypto::Blake3Of(std::string_view("version"));
  const std::string manifest = digest.ToString();
  testing::FakeCache cache;
  testing::FakeProcesses processes;
  mount::testing::MemoryMounter mounts;
  mount::testing::FaultyMounter mounter{mounts};
  os::testing::MemoryFs state;
  os::testing::MemoryFs host;
  std::unique_ptr<NodeAgent> agent;
  Strings routes;
  std::optional<api::testing::LiveApi> api;
};

TEST_F(NodeApiTest, RoutesAndDocumentAreTheSame) {
  EXPECT_EQ(api::testing::SortedRoutes(routes), api::testing::DocumentedRoutes("node"));
}

TEST_F(NodeApiTest, AnswersHaveTheDocumentedFields) {
  const auto lease =
      Send("POST", "/v1/node/leases",
           boost::json::object{
               {"org", "org"}, {"namespace", "ns"}, {"manifest", manifest}, {"pid", 10}});
  EXPECT_EQ(lease.status, 202);
  ExpectDocumented("POST /v1/node/leases", lease);
  const auto id = api::LeaseFromJson(lease.body)->id;
  ExpectDocumented("GET /v1/node/leases/{id}", Send("GET", "/v1/node/leases/" + id));
  EXPECT_EQ(Send("DELETE", "/v1/node/leases/" + id).status, 204);
  const auto gone = Send("GET", "/v1/node/leases/" + id);
  EXPECT_EQ(gone.status, 404);
  ExpectDocumented("GET /v1/node/leases/{id}", gone);
  const auto mounted = Send("POST", "/v1/node/mounts", MountBody("/m"));
  EXPECT_EQ(mounted.status, 201);
  ExpectDocumented("POST /v1/node/mounts", mounted);
  ExpectDocumented("GET /v1/node/mounts", Send("GET", "/v1/node/mounts"));
  ExpectDocumented("GET /v1/node/cache", Send("GET", "/v1/node/cache"));
  const auto evicted = Send("POST", "/v1/node/evict", boost::json::object{{"bytes", 5}});
  ExpectDocumented("POST /v1/node/evict", evicted);
  EXPECT_EQ(cache.evicted(), 5u);
  EXPECT_EQ(Send("DELETE", "/v1/node/mounts?target=/m").status, 204);
  EXPECT_EQ(Send("DELETE", "/v1/node/mounts?target=/m").status, 404);
  EXPECT_EQ(Send("DELETE", "/v1/node/mounts").status, 400);
}

TEST_F(NodeApiTest, AMountMakesItsDirectoriesAndTakesThemAwayWhenItFails) {
  ASSERT_TRUE(host.MakeDir("models", 0755));
  mounter.FailAt(0, Code::kPermissionDenied);
  EXPECT_EQ(Send("POST", "/v1/node/mounts", MountBody("/models/a/b")).status, 403);
  EXPECT_TRUE(host.Stat("models"));
  EXPECT_FALSE(host.Stat("models/a"));
  cache.Fail(Error(Code::kResourceExhausted, "full"));
  EXPECT_NE(Send("POST", "/v1/node/mounts", MountBody("/x/y")).status, 201);
  EXPECT_FALSE(host.Stat("x"));
}

TEST_F(NodeApiTest, ASecondMountAtATargetLeavesTheFirstAlone) {
  ASSERT_EQ(Send("POST", "/v1/node/mounts", MountBody("/models/a")).status, 201);
  EXPECT_EQ(Send("POST", "/v1/node/mounts", MountBody("/models/a")).status, 409);
  EXPECT_TRUE(host.Stat("models/a"));
  EXPECT_EQ(mounts.List()->size(), 1u);
}

TEST_F(NodeApiTest, ATargetThatIsRefusedTouchesNothing) {
  for (const char* target : {"", "/", "x", "/proc/x", "/a/../b", "/a//b", "/dev/m"}) {
    EXPECT_EQ(Send("POST", "/v1/node/mounts", MountBody(target)).status, 400) << target;
  }
  std::size_t names = 0;
  ASSERT_TRUE(host.List("", [&](const os::DirEntry&) -> Status {
    ++names;
    return {};
  }));
  EXPECT_EQ(names, 0u);
  ASSERT_TRUE(os::WriteFileDurably(host, "file", "x"));
  EXPECT_NE(Send("POST", "/v1/node/mounts", MountBody("/file")).status, 201);
  EXPECT_NE(Send("POST", "/v1/node/mounts", MountBody("/file/below")).status, 201);
  EXPECT_TRUE(host.Stat("file"));
}

TEST_F(NodeApiTest, BodiesThatAreNotUnderstoodEvictNothing) {
  for (const char* body : {"", "{", "[]", "{}", R"({"bytes":"5"})", R"({"bytes":-1})",
                           R"({"bytes":1.5})", R"({"bytes":5,"dry_run":"true"})"}) {
    EXPECT_EQ(api->Send(ctx, "POST", "/v1/node/evict", {}, body).status, 400) << body;
  }
  EXPECT_EQ(cache.evicted(), 0u);
  const auto dry =
      Send("POST", "/v1/node/evict", boost::json::object{{"bytes", 5}, {"dry_run", true}});
  EXPECT_EQ(dry.status, 200);
  EXPECT_EQ(cache.evicted(), 0u);
}

}  // namespace
}  // namespace bdn::agent
