#include "net/server.h"

#include <atomic>
#include <latch>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/testing/raw_client.h"

namespace bdn::net {
namespace {

using std::chrono::milliseconds;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using testing::RawClient;
using ::testing::StartsWith;

std::string Get(const std::string& path, const std::string& fields = "") {
  return "GET " + path + " HTTP/1.1\r\nHost: t\r\n" + fields + "\r\n";
}

// "/hello" answers, "/echo" gives the body back, "/error" fails, "/ignore" leaves the body unread.
Router BasicRouter() {
  Router router;
  router.Add("GET", "/hello", [](ServerRequest&, ServerResponse& response) {
    return response.Send(200, {{"Content-Type", "text/plain"}}, "hello");
  });
  router.Add("POST", "/echo", [](ServerRequest& request, ServerResponse& response) -> Status {
    BDN_ASSIGN(const std::string body, request.Body(1 << 20));
    return response.Send(200, {}, body);
  });
  router.Add("POST", "/ignore", [](ServerRequest&, ServerResponse& response) {
    return response.Send(200, {}, "ignored");
  });
  router.Add("GET", "/error/{name}", [](ServerRequest& request, ServerResponse&) -> Status {
    const auto code = CodeFromName(request.param("name"));
    return Error(code.value_or(Code::kInternal), "it said \"no\"\n")
        .WithHint("ask again")
        .WithRetryAfter(milliseconds(1500));
  });
  return router;
}

std::unique_ptr<Server> StartOrDie(Router router, ServerOptions options = {}) {
  options.workers = std::min<std::size_t>(options.workers, 4);
  auto server = StartServer(std::move(options), std::move(router));
  EXPECT_TRUE(server) << server.error().message();
  return *std::move(server);
}

TEST(Server, AnswersOnOneConnectionAgainAndAgain) {
  const auto server = StartOrDie(BasicRouter());
  RawClient client(server->address());
  for (int i = 0; i < 5; ++i) {
    const auto response = client.Ask(Get("/hello"));
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, "hello");
    EXPECT_TRUE(response.header("Date"));
    EXPECT_FALSE(response.header("Connection"));
  }
  EXPECT_EQ(server->stats().requests, 5u);
}

}  // namespace
}  // namespace bdn::net
