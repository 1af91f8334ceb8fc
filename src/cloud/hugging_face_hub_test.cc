#include "cloud/hugging_face_hub.h"

#include <gtest/gtest.h>

#include "base/testing/manual_clock.h"
#include "net/testing/memory_transport.h"

namespace bdn::cloud {
namespace {

using namespace std::chrono_literals;

TEST(HubEndpoint, CutsSlashesAndKeepsAGatewaysPath) {
  const auto standard = HubEndpoint::Parse("");
  ASSERT_TRUE(standard);
  EXPECT_EQ(standard->ToString(), "https://huggingface.co");
  const auto gateway = HubEndpoint::Parse(" http://hub.internal:8080/hf// ");
  ASSERT_TRUE(gateway);
  EXPECT_EQ(gateway->ToString(), "http://hub.internal:8080/hf");
  EXPECT_EQ(gateway->At("/api/x").ToString(), "http://hub.internal:8080/hf/api/x");
  EXPECT_FALSE(HubEndpoint::Parse("hub.internal"));
  EXPECT_FALSE(HubEndpoint::Parse("https://hub.internal/?a=b"));
}

TEST(HubEndpoint, RewritesTheDefaultHostOnly) {
  const auto gateway = HubEndpoint::Parse("http://hub.internal:8080");
  ASSERT_TRUE(gateway);
  EXPECT_EQ(
      gateway->Rewrite(*net::ParseUrl("https://huggingface.co/api/models?cursor=1")).ToString(),
      "http://hub.internal:8080/api/models?cursor=1");
  for (const std::string other :
       {"https://evilhuggingface.co/x", "https://huggingface.co.evil.org/x",
        "http://huggingface.co/x", "https://huggingface.co:444/x"}) {
    EXPECT_EQ(gateway->Rewrite(*net::ParseUrl(other)).ToString(), other);
  }
}

TEST(HubRateLimit, ReadsWindowAndQuota) {
  const net::Headers headers{{"RateLimit", "\"resolvers\";r=37;t=120"},
                             {"RateLimit-Policy", "\"fixed window\";\"resolvers\";q=3000;w=300"}};
  const auto limit = ParseHubRateLimit(headers);
  ASSERT_TRUE(limit);
  EXPECT_EQ(limit->bucket, "resolvers");
  EXPECT_EQ(limit->remaining, 37u);
  EXPECT_EQ(limit->reset, 120s);
  EXPECT_EQ(limit->quota, 3000u);
  for (const std::string bad : {"", "\"api\"", "\"api\";r=1", "\"api\";r=-1;t=5", "\"api\";r=x;t=5",
                                "\"api\";t=99999999999;r=0", "\""}) {
    EXPECT_FALSE(ParseHubRateLimit({{"RateLimit", bad}})) << bad;
  }
}

TEST(HubRateLimit, WaitsForTheWindowOnlyWhenNothingIsLeftOfIt) {
  const WallTime now{};
  EXPECT_EQ(HubRetryAfter({{"RateLimit", "\"api\";r=0;t=2"}, {"Retry-After", "9"}}, now), 3s);
  EXPECT_EQ(HubRetryAfter({{"RateLimit", "\"api\";r=37;t=200"}, {"Retry-After", "9"}}, now), 9s);
  EXPECT_EQ(HubRetryAfter({{"RateLimit", "\"api\";r=37;t=200"}}, now), std::nullopt);
  EXPECT_EQ(HubRetryAfter({}, now), std::nullopt);
}

TEST(HubWarnings, HaveTopicAndMessage) {
  const auto warnings = ParseHubWarnings(
      {{"x-hf-warning", "deprecated; use the other; soon"}, {"X-HF-Warning", "no topic"}});
  ASSERT_EQ(warnings.size(), 2u);
  EXPECT_EQ(warnings[0].topic, "deprecated");
  EXPECT_EQ(warnings[0].message, "use the other; soon");
  EXPECT_EQ(warnings[1].topic, "");
  EXPECT_EQ(warnings[1].message, "no topic");
}

TEST(HubValues, ETagIsStrippedOfWeaknessAndQuotes) {
  EXPECT_EQ(NormalizeETag("W/\"abc\""), "abc");
  EXPECT_EQ(NormalizeETag("\"abc\""), "abc");
  EXPECT_EQ(NormalizeETag("abc"), "abc");
  EXPECT_EQ(NormalizeETag("\""), "\"");
}

TEST(HubValues, SignedUrlSaysWhenItEnds) {
  const auto expiry = [](const std::string& query) {
    return SignedUrlExpiry(*net::ParseUrl("https://cdn.example/x?" + query));
  };
  EXPECT_EQ(expiry("Expires=1767225660&Signature=s"), ParseRfc3339("2026-01-01T00:01:00Z"));
  EXPECT_EQ(expiry("X-Amz-Date=20260101T000000Z&X-Amz-Expires=3600"),
            ParseRfc3339("2026-01-01T01:00:00Z"));
  EXPECT_EQ(expiry("X-Goog-Expires=60&X-Goog-Date=20260101T000000Z"),
            ParseRfc3339("2026-01-01T00:01:00Z"));
  for (const std::string none : {"", "Expires=", "Expires=99999999999999999999", "Expires=-1",
                                 "X-Amz-Date=2026&X-Amz-Expires=1", "X-Amz-Expires=1", "a&&=&b"}) {
    EXPECT_EQ(expiry(none), std::nullopt) << none;
  }
}

TEST(HubValues, PrintableCutsControlCharactersAndLongText) {
  EXPECT_EQ(Printable("a\r\nb\x7f", 100), "a..b.");
  EXPECT_EQ(Printable("d\xc3\xa9j", 2), "d…");
}

TEST(HubToken, IsTrimmedAndMustFitIntoAHeader) {
  const auto token = ParseHubToken("  hf_secret\r\n");
  ASSERT_TRUE(token);
  EXPECT_EQ(*token, "hf_secret");
  for (const std::string& bad :
       {std::string(), std::string(" \n"), std::string("hf_a\r\nX-Evil: 1"), std::string("hf_a b"),
        std::string("hf_\xc3\xa9"), std::string(5000, 'a')}) {
    const auto refused = ParseHubToken(bad);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Code::kInvalidArgument);
    EXPECT_EQ(refused.error().message().find("hf_a"), std::string::npos);
  }
}

TEST(HubValues, RepoIdsMustFitIntoAnAddress) {
  for (const std::string good : {"gpt2", "owner/name", "o.w-n_e/r.1"}) EXPECT_TRUE(IsRepoId(good));
  for (const std::string bad :
       {"", "/", "a/", "/a", "a/b/c", "a/..", "../a", "a/.", "./a", ".", "a b", "a?b", "a%2Fb"}) {
    EXPECT_FALSE(IsRepoId(bad)) << bad;
  }
}

class HubClientTest : public ::testing::Test {
 protected:
  HubClient Client(std::optional<std::string> token = std::nullopt) {
    return HubClient(transport_, *HubEndpoint::Parse(""), std::move(token));
  }
  net::HttpResponse answer_;
  net::testing::MemoryTransport transport_{
      [this](const net::HttpRequest&) -> Result<net::HttpResponse> { return answer_; }};
  bdn::testing::ManualClock clock_;
  Context ctx_{clock_};
};

TEST_F(HubClientTest, EscapesRevisionsAndPaths) {
  const auto client = Client("hf_t");
  answer_ = {200, {}, R"({"id":"o/r","sha":"0123456789012345678901234567890123456789"})"};
  ASSERT_TRUE(client.GetInfo(ctx_, {"datasets", "o/r"}, "refs/pr/1", nullptr));
  const auto request = transport_.requests().back();
  EXPECT_EQ(request.url.ToString(),
            "https://huggingface.co/api/datasets/o/r/revision/refs%2Fpr%2F1");
  EXPECT_EQ(request.headers.Get("Authorization"), "Bearer hf_t");
  EXPECT_EQ(request.headers.Get("Accept-Encoding"), "identity");
  EXPECT_EQ(
      client.ResolveRequest("GET", {"models", "o/r"}, "s", "a b/[x]#?%+\xc3\xa9").url.ToString(),
      "https://huggingface.co/o/r/resolve/s/a%20b/%5Bx%5D%23%3F%25%2B%C3%A9");
  EXPECT_EQ(client.ResolveRequest("GET", {"spaces", "o/r"}, "s", "f").url.path,
            "/spaces/o/r/resolve/s/f");
}

TEST_F(HubClientTest, AnythingThatIsNotADescriptionIsAnError) {
  for (const std::string body :
       {"<html>please log in</html>", "[]", "{}", R"({"id":"o/r"})", R"({"id":"o/r","sha":"main"})",
        R"({"id":"../x","sha":"0123456789012345678901234567890123456789"})",
        R"({"id":1,"sha":"0123456789012345678901234567890123456789"})", ""}) {
    answer_ = {200, {}, body};
    const auto info = Client().GetInfo(ctx_, {"models", "o/r"}, "main", nullptr);
    ASSERT_FALSE(info) << body;
    EXPECT_EQ(info.error().code(), Code::kUnavailable) << body;
  }
}

TEST_F(HubClientTest, TreeEntriesAreCheckedOneByOne) {
  const std::string oid = "0123456789012345678901234567890123456789";
  const auto list = [&](const std::string& body) {
    answer_ = {200, {}, body};
    const auto client = Client();
    return client.GetTreePage(ctx_, {"models", "o/r"}, oid, client.TreeUrl({"models", "o/r"}, oid),
                              nullptr);
  };
  const auto page = list(R"([{"type":"directory","path":"d","oid":")" + oid +
                         R"(","size":0},{"type":"file","path":"f","size":7,"lfs":null,"oid":")" +
                         oid + R"("},{"type":"submodule","path":"s"}])");
  ASSERT_TRUE(page) << page.error().message();
  EXPECT_EQ(page->entries.size(), 3u);
  EXPECT_FALSE(page->next);
  for (
      const std::string bad :
      {R"({"error":"x"})", R"([1])", R"([{"type":"file"}])",
       R"([{"type":"file","path":"f","size":-1,"oid":"0123456789012345678901234567890123456789"}])",
       R"([{"type":"file","path":"f","size":1,"oid":"zz"}])",
       R"([{"type":"file","path":"f","size":1,"oid":"0123456789012345678901234567890123456789",)"
       R"("lfs":{"oid":"short","size":1}}])",
       R"([)"}) {
    const auto refused = list(bad);
    ASSERT_FALSE(refused) << bad;
    EXPECT_EQ(refused.error().code(), Code::kUnavailable) << bad;
  }
}

struct ErrorRow {
  int status;
  net::Headers headers;
  HubStep step;
  bool token;
  Code code;
  std::string says;
};

TEST_F(HubClientTest, EveryErrorHasItsOwnMessageAndCode) {
  const std::string disabled = "Access to this resource is disabled.";
  const std::vector<ErrorRow> rows = {
      {401,
       {{"X-Error-Code", "RepoNotFound"}},
       HubStep::kResolve,
       false,
       Code::kNotFound,
       "private and no token was given"},
      {404,
       {{"X-Error-Code", "RepoNotFound"}},
       HubStep::kResolve,
       true,
       Code::kNotFound,
       "the token's account may not read it"},
      {401,
       {{"X-Error-Message", "Invalid credentials in Authorization header"}},
       HubStep::kResolve,
       true,
       Code::kUnauthenticated,
       "/settings/tokens"},
      {401,
       {{"X-Error-Code", "GatedRepo"}},
       HubStep::kResolve,
       false,
       Code::kUnauthenticated,
       "its licence is at https://huggingface.co/o/r"},
      {403,
       {{"X-Error-Code", "GatedRepo"}},
       HubStep::kResolve,
       true,
       Code::kPermissionDenied,
       "its licence is at https://huggingface.co/o/r"},
      {403,
       {{"X-Error-Message", disabled}},
       HubStep::kResolve,
       true,
       Code::kPermissionDenied,
       "disabled access"},
      {403, {}, HubStep::kResolve, true, Code::kPermissionDenied, "fine-grained token"},
      {404,
       {{"X-Error-Code", "RevisionNotFound"}},
       HubStep::kResolve,
       true,
       Code::kNotFound,
       "no revision 'v9'"},
      {404,
       {{"X-Error-Code", "RevisionNotFound"}},
       HubStep::kList,
       true,
       Code::kFailedPrecondition,
       "source changed"},
      {404,
       {{"X-Error-Code", "EntryNotFound"}},
       HubStep::kRead,
       true,
       Code::kFailedPrecondition,
       "source changed"},
      {404, {}, HubStep::kRead, true, Code::kFailedPrecondition, "source changed"},
      {404,
       {{"X-Error-Code", "RepoNotFound"}},
       HubStep::kRead,
       true,
       Code::kNotFound,
       "may not read it"},
      {401, {}, HubStep::kRead, false, Code::kNotFound, "no token was given"},
      {404, {}, HubStep::kResolve, false, Code::kNotFound, "check the spelling"},
      {416,
       {{"Content-Range", "bytes */5"}},
       HubStep::kRead,
       true,
       Code::kFailedPrecondition,
       "bytes */5"},
      {429, {{"Retry-After", "5"}}, HubStep::kRead, true, Code::kRateLimited, "too many requests"},
      {451, {}, HubStep::kRead, true, Code::kPermissionDenied, "legal"},
      {400, {}, HubStep::kRead, true, Code::kInvalidArgument, "HTTP 400"},
      {408, {}, HubStep::kRead, true, Code::kUnavailable, "HTTP 408"},
      {500, {}, HubStep::kRead, true, Code::kUnavailable, "HTTP 500"},
      {503, {{"Retry-After", "5"}}, HubStep::kRead, true, Code::kUnavailable, "HTTP 503"},
  };
  for (const auto& row : rows) {
    const auto client = Client(row.token ? std::optional<std::string>("hf_t") : std::nullopt);
    net::Headers headers = row.headers;
    headers.Add("X-Request-Id", "rid-1");
    const Error error = client.ErrorOf({row.step, {"models", "o/r"}, "v9", "f.bin"}, row.status,
                                       headers, "", clock_.Now());
    EXPECT_EQ(error.code(), row.code) << row.status << " " << error.message();
    const std::string said = error.message() + "\n" + error.hint();
    EXPECT_NE(said.find(row.says), std::string::npos) << said;
    EXPECT_NE(error.message().find("rid-1"), std::string::npos) << error.message();
    const bool users = row.code == Code::kUnauthenticated || row.code == Code::kNotFound ||
                       (row.code == Code::kPermissionDenied && row.status == 403);
    EXPECT_EQ(error.hint().empty(), !users) << said;  // what the user can do about it
    if (row.headers.Has("Retry-After")) {
      EXPECT_EQ(error.retry_after(), 5s);
    }
  }
}

TEST_F(HubClientTest, MessagesNeverRepeatTheToken) {
  const auto client = Client("hf_secret");
  const Error error =
      client.ErrorOf({HubStep::kRead, {"models", "o/r"}, "v", "f"}, 400, {},
                     R"({"error":"bad header Bearer hf_secret\nagain hf_secret"})", clock_.Now());
  EXPECT_EQ(error.message().find("hf_secret"), std::string::npos) << error.message();
  EXPECT_NE(error.message().find("bad header Bearer ***"), std::string::npos) << error.message();
}

}  // namespace
}  // namespace bdn::cloud
