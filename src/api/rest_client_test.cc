#include "api/rest_client.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/testing/manual_clock.h"
#include "net/testing/memory_transport.h"

namespace bdn::api {
namespace {

class RestClientTest : public ::testing::Test {
 protected:
  bdn::testing::ManualClock clock;
  const Context ctx{clock};
  Result<net::HttpResponse> next = net::HttpResponse{.status = 200, .headers = {}, .body = "{}"};
  net::testing::MemoryTransport transport{[this](const net::HttpRequest&) { return next; }, 7};
  RestClient client{transport, {.url = "http://127.0.0.1:7070//", .api_key = "bdn_key"}};
};

TEST_F(RestClientTest, SendsTheKeyTheTypeAndTheBody) {
  ASSERT_TRUE(client.Call(ctx, "POST", "/v1/x?y=1", "{\"a\":1}"));
  const auto request = transport.requests().at(0);
  EXPECT_EQ(request.url.ToString(), "http://127.0.0.1:7070/v1/x?y=1");
  EXPECT_EQ(request.headers.Get("Authorization"), "Bearer bdn_key");
  EXPECT_EQ(request.headers.Get("Content-Type"), "application/json");
  EXPECT_EQ(request.body, "{\"a\":1}");
}

TEST_F(RestClientTest, AnAnswerOfFourHundredOrMoreIsItsError) {
  next = net::HttpResponse{
      .status = 404,
      .headers = {},
      .body = R"({"error":{"code":"not_found","message":"no such","hint":"look"}})"};
  const auto answer = client.Call(ctx, "GET", "/v1/x");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), Code::kNotFound);
  EXPECT_EQ(answer.error().message(), "no such");
  EXPECT_EQ(answer.error().hint(), "look");
  EXPECT_FALSE(*client.Exists(ctx, "/v1/x"));
  next->status = 401;
  next->body = "<html>";
  EXPECT_FALSE(client.Call(ctx, "GET", "/v1/x").error().hint().empty());
}

TEST_F(RestClientTest, NoServerSaysWhereAndHowToStartOne) {
  next = Error(Code::kUnavailable, "connection refused");
  const auto answer = client.Call(ctx, "GET", "/v1/x");
  EXPECT_EQ(answer.error().code(), Code::kUnavailable);
  EXPECT_NE(answer.error().message().find("http://127.0.0.1:7070"), std::string::npos);
  EXPECT_FALSE(answer.error().hint().empty());
}

TEST_F(RestClientTest, EventsComeWholeHoweverTheyAreCut) {
  next->body = "event: status\ndata: {\"n\":1}\n\n: still here\n\nevent: end\ndata: {}\n\n";
  std::vector<std::string> seen;
  ASSERT_TRUE(client.Events(ctx, "/e", [&](std::string_view name, std::string_view data) {
    seen.push_back(std::string(name) + " " + std::string(data));
    return true;
  }));
  EXPECT_EQ(seen, (std::vector<std::string>{"status {\"n\":1}", "end {}"}));
  seen.clear();
  ASSERT_TRUE(client.Events(ctx, "/e", [&](std::string_view name, std::string_view) {
    seen.emplace_back(name);
    return false;
  }));
  EXPECT_EQ(seen.size(), 1u);
}

TEST_F(RestClientTest, AStreamThatFailsGivesTheServersError) {
  next = net::HttpResponse{
      .status = 409,
      .headers = {},
      .body = R"({"error":{"code":"failed_precondition","message":"not yet","hint":""}})"};
  const auto status = client.Stream(ctx, "/e", [](std::span<const std::byte>) {
    ADD_FAILURE() << "an error's body is no data";
    return Status();
  });
  EXPECT_EQ(status.error().code(), Code::kFailedPrecondition);
}

TEST(EventParser, AnEventWithoutEndIsRefused) {
  EventParser parser;
  const auto on = [](std::string_view, std::string_view) { return true; };
  const std::string piece(1 << 20, 'x');
  bool refused = false;
  ASSERT_TRUE(parser.Feed("data: ", on));
  for (int i = 0; i < 256 && !refused; ++i) refused = !parser.Feed(piece, on);
  EXPECT_TRUE(refused);
}

}  // namespace
}  // namespace bdn::api
