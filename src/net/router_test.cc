#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/testing/manual_clock.h"
#include "net/server.h"

namespace bdn::net {
namespace {

using ::testing::ElementsAre;

class FakeRequest final : public ServerRequest {
 public:
  FakeRequest(std::string method, std::string path)
      : method_(std::move(method)), path_(std::move(path)) {}
  std::string_view method() const override { return method_; }
  std::string_view path() const override { return path_; }
  std::string_view query() const override { return {}; }
  const Headers& headers() const override { return headers_; }
  std::string_view peer() const override { return {}; }
  std::string_view param(std::string_view) const override { return {}; }
  std::optional<std::string> query_param(std::string_view) const override { return {}; }
  Result<std::string> Body(std::uint64_t) override { return std::string(); }
  Status ReadBody(const std::function<Status(std::span<const std::byte>)>&) override { return {}; }
  const Context& context() const override { return context_; }

 private:
  std::string method_;
  std::string path_;
  Headers headers_;
  bdn::testing::ManualClock clock_;
  Context context_{clock_};
};

class FakeResponse final : public ServerResponse {
 public:
  Status Send(int status, Headers headers, std::string_view body) override {
    status_ = status;
    headers_ = std::move(headers);
    body_ = body;
    return {};
  }
  Status SendFile(Headers, const Body&) override { return {}; }
  Status SendBytes(Headers, std::string_view, const Body&) override { return {}; }
  Status Begin(int, Headers) override { return {}; }
  Status Write(std::string_view) override { return {}; }
  void Abort(bool) override {}
  int status() const override { return status_; }

  int status_ = 0;
  Headers headers_;
  std::string body_;
};

// Answers with its own pattern and the parameters.
Handler Echo(std::string name, std::vector<std::string> params = {}) {
  return [=](ServerRequest& request, ServerResponse& response) {
    std::string body = name;
    for (const std::string& param : params) {
      body += "|";
      body += request.param(param);
    }
    return response.Send(200, {}, body);
  };
}

std::string Ask(const Router& router, std::string method, std::string path) {
  FakeRequest request(std::move(method), std::move(path));
  FakeResponse response;
  const Status status = router.Serve(request, response);
  if (!status) return std::string(FactsOf(status.error().code()).name);
  if (response.status_ == 405) return "405 " + std::string(*response.headers_.Get("Allow"));
  return response.body_;
}

Router Sample() {
  Router router;
  router.Add("GET", "/files/{path...}", Echo("files", {"path"}));
  router.Add("GET", "/v1/{id}", Echo("get", {"id"}));
  router.Add("PUT", "/v1/{id}", Echo("put", {"id"}));
  router.Add("GET", "/v1/list", Echo("list"));
  router.Add("GET", "/v1/{id}/logs", Echo("logs", {"id"}));
  router.Add("GET", "/{a}/list", Echo("any", {"a"}));
  router.Add("GET", "/", Echo("root"));
  return router;
}

TEST(Router, PrefersTheMoreSpecificPattern) {
  const Router router = Sample();
  EXPECT_EQ(Ask(router, "GET", "/"), "root");
  EXPECT_EQ(Ask(router, "GET", "/v1/list"), "list");
  EXPECT_EQ(Ask(router, "GET", "/v1/%6Cist"), "list");
  EXPECT_EQ(Ask(router, "GET", "/v1/other"), "get|other");
  EXPECT_EQ(Ask(router, "GET", "/v2/list"), "any|v2");
  EXPECT_EQ(Ask(router, "GET", "/v1/x/logs"), "logs|x");
}

TEST(Router, LiteralOfAnotherMethodDoesNotHideTheParameter) {
  EXPECT_EQ(Ask(Sample(), "PUT", "/v1/list"), "put|list");
}

TEST(Router, DecodesParametersAsData) {
  const Router router = Sample();
  EXPECT_EQ(Ask(router, "GET", "/v1/a%2Fb%20c"), "get|a/b c");
  EXPECT_EQ(Ask(router, "GET", "/files/a/b%2Fc//d"), "files|a/b/c//d");
  EXPECT_EQ(Ask(router, "GET", "/files/"), "files|");
  EXPECT_EQ(Ask(router, "GET", "/v1/a%00b"), "invalid_argument");
  EXPECT_EQ(Ask(router, "GET", "/v1/a%zz"), "invalid_argument");
}

TEST(Router, UnknownPathAndUnknownMethodDiffer) {
  const Router router = Sample();
  EXPECT_EQ(Ask(router, "GET", "/v1"), "not_found");
  EXPECT_EQ(Ask(router, "GET", "/v1/"), "not_found");
  EXPECT_EQ(Ask(router, "GET", "/v1/x/"), "not_found");
  EXPECT_EQ(Ask(router, "OPTIONS", "*"), "not_found");
  EXPECT_EQ(Ask(router, "DELETE", "/v1/x"), "405 GET, HEAD, PUT");
  EXPECT_EQ(Ask(router, "HEAD", "/v1/x"), "get|x");
}

TEST(Router, ChecksRunBeforeTheHandlerAndSeeParameters) {
  Router router = Sample();
  router.Before([](ServerRequest& request) -> Status {
    if (request.param("id") == "secret") return Error(Code::kPermissionDenied, "no");
    return {};
  });
  EXPECT_EQ(Ask(router, "GET", "/v1/open"), "get|open");
  EXPECT_EQ(Ask(router, "GET", "/v1/secret"), "permission_denied");
  EXPECT_EQ(Ask(router, "GET", "/v1/%73ecret"), "permission_denied");
}

TEST(Router, ListsRoutesInTheOrderOfAdd) {
  Router router;
  router.Add("GET", "/b", Echo(""));
  router.Add("POST", "/a/{x...}", Echo(""));
  EXPECT_THAT(router.Routes(), ElementsAre("GET /b", "POST /a/{x...}"));
}

TEST(RouterDeathTest, RepeatedPatternEndsTheProcess) {
  Router router;
  router.Add("GET", "/a/{x}", Echo(""));
  EXPECT_DEATH(router.Add("GET", "/a/{y}", Echo("")), "");
}

TEST(QueryParam, FindsTheFirstAndDecodes) {
  EXPECT_EQ(QueryParam("a=1&b=x%20y+z&b=2", "b"), "x y z");
  EXPECT_EQ(QueryParam("a&b=", "a"), "");
  EXPECT_EQ(QueryParam("%61=1", "a"), "1");
  EXPECT_EQ(QueryParam("a=%zz", "a"), std::nullopt);
  EXPECT_EQ(QueryParam("ab=1", "a"), std::nullopt);
  EXPECT_EQ(QueryParam("", "a"), std::nullopt);
}

}  // namespace
}  // namespace bdn::net
