#include <gtest/gtest.h>

#include "api/rest_client.h"
#include "api/types.h"

namespace bdn::api {
namespace {

TEST(Types, ADeploymentSurvivesTheWire) {
  DeploymentBody d;
  d.id = "dep_1";
  d.name = "m";
  d.status = "DEPLOYING";
  d.progress = {.phase = "fetching", .files = 3, .bytes = 1ull << 60, .rate = 2.5, .eta = 7.0};
  d.error = ErrorBody{"not_found", "gone", "look again"};
  d.warnings = {"w"};
  d.mounts.push_back({.mount_location = "/m", .source = "hf://a/b", .pin = "abc"});
  const auto back = DeploymentFromJson(ToJson(d));
  ASSERT_TRUE(back);
  EXPECT_EQ(ToJson(*back), ToJson(d));
  EXPECT_EQ(back->progress.bytes, 1ull << 60);
  EXPECT_EQ(back->mounts.at(0).pin, "abc");
  EXPECT_FALSE(back->settled());
}

TEST(Types, ARunSurvivesTheWire) {
  RunBody r;
  r.deployment_id = "dep_1";
  r.mounts.push_back({"/m", "o", "n", "b3:00"});
  r.environment = {{"A", "1"}, {"B", "two words"}};
  r.secrets = {{"hf_token", "s"}};
  r.start_command = "python3 -m server";
  r.server_port = 8000;
  const auto back = RunFromJson(ToJson(r));
  ASSERT_TRUE(back);
  EXPECT_EQ(ToJson(*back), ToJson(r));
}

TEST(Types, AnErrorKeepsItsCodeAndHint) {
  const Error sent = Error(Code::kRateLimited, "slow down").WithHint("wait");
  const Error got = ErrorFromAnswer(429, ErrorAnswer(ToErrorBody(sent)));
  EXPECT_EQ(got.code(), Code::kRateLimited);
  EXPECT_EQ(got.message(), "slow down");
  EXPECT_EQ(got.hint(), "wait");
  EXPECT_EQ(ErrorFromAnswer(502, "<html>").code(), Code::kUnavailable);
}

TEST(Types, GarbageIsRefusedAndUnknownFieldsIgnored) {
  EXPECT_FALSE(DeploymentFromJson("[]"));
  EXPECT_FALSE(DeploymentFromJson("{"));
  EXPECT_TRUE(DeploymentFromJson(R"({"id":5,"new":{"x":1}})"));
}

TEST(EventParser, JoinsPiecesAndDataLines) {
  EventParser parser;
  std::vector<std::string> seen;
  const auto on = [&](std::string_view name, std::string_view data) {
    seen.push_back(std::string(name) + "=" + std::string(data));
    return true;
  };
  EXPECT_TRUE(*parser.Feed(": hello\nevent: sta", on));
  EXPECT_TRUE(*parser.Feed("tus\r\ndata: a\ndata:b\n\ndata: c\n\n", on));
  EXPECT_EQ(seen, (std::vector<std::string>{"status=a\nb", "message=c"}));
}

TEST(EventParser, StopsWhenAskedTo) {
  EventParser parser;
  EXPECT_FALSE(*parser.Feed("data: a\n\n", [](auto, auto) { return false; }));
}

}  // namespace
}  // namespace bdn::api
