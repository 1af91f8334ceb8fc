#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/testing/manual_clock.h"
#include "net/http.h"
#include "net/testing/collecting_sink.h"
#include "net/testing/memory_transport.h"

namespace bdn::net {
namespace {

HttpRequest GetWithCredentials(std::string_view url) {
  return {.url = *ParseUrl(url),
          .headers = {{"Authorization", "Bearer t"}, {"cookie", "c"}, {"Range", "bytes=0-1"}}};
}

ResponseHead RedirectTo(std::string location, int status = 302) {
  return {.status = status, .headers = {{"Location", std::move(location)}}};
}

TEST(NextHop, CredentialStaysInsideItsOriginOnly) {
  struct Case {
    const char* from;
    const char* location;
    const char* target;
    bool credential;
  };
  const Case cases[] = {
      {"https://h/a", "/b?x=1", "https://h/b?x=1", true},
      {"https://h/a?old", "b", "https://h/b", true},
      {"https://h/a", "https://H:443/b", "https://h/b", true},
      {"https://h/a", "https://h:8443/b", "https://h:8443/b", false},
      {"http://h/a", "https://h/a", "https://h/a", false},
      {"https://h/a", "//evil/path", "https://evil/path", false},
      {"https://huggingface.co/a", "https://evilhuggingface.co/a", "https://evilhuggingface.co/a",
       false},
      {"https://huggingface.co/a", "https://huggingface.co.evil/a", "https://huggingface.co.evil/a",
       false},
      {"https://h/a", "https://cdn.h/a?Signature=s#frag", "https://cdn.h/a?Signature=s", false},
  };
  for (const auto& c : cases) {
    const auto next = NextHop(GetWithCredentials(c.from), RedirectTo(c.location, 307), {}, 0);
    ASSERT_TRUE(next && *next) << c.location;
    EXPECT_EQ((*next)->url.ToString(), c.target);
    EXPECT_EQ((*next)->headers.Has("Authorization"), c.credential) << c.location;
    EXPECT_EQ((*next)->headers.Has("Cookie"), c.credential) << c.location;
    EXPECT_EQ((*next)->headers.Get("Range"), "bytes=0-1");
  }
}

TEST(NextHop, OnlyRedirectsOfGetAndHeadLead) {
  for (const int status : {301, 302, 303, 307, 308}) {
    EXPECT_TRUE(*NextHop(GetWithCredentials("http://h/"), RedirectTo("/b", status), {}, 0))
        << status;
  }
  for (const int status : {200, 201, 206, 300, 304, 305, 400, 500}) {
    EXPECT_FALSE(*NextHop(GetWithCredentials("http://h/"), RedirectTo("/b", status), {}, 0))
        << status;
  }
  EXPECT_FALSE(*NextHop(GetWithCredentials("http://h/"), {.status = 302, .headers = {}}, {}, 0));
  HttpRequest post = GetWithCredentials("http://h/");
  post.method = "POST";
  EXPECT_FALSE(*NextHop(post, RedirectTo("/b", 307), {}, 0));
}

TEST(NextHop, RefusesWithTheRightCode) {
  const HttpRequest request = GetWithCredentials("https://h/a?secret");
  EXPECT_EQ(NextHop(request, RedirectTo("http://h/b"), {}, 0).error().code(),
            Code::kPermissionDenied);
  EXPECT_EQ(NextHop(request, RedirectTo("/b"), {.hops_max = 3}, 3).error().code(),
            Code::kFailedPrecondition);
  for (const auto* bad : {"file:///etc/passwd", "https://", "https://a b/", "https://u@h/"}) {
    const auto next = NextHop(request, RedirectTo(bad), {}, 0);
    ASSERT_FALSE(next) << bad;
    EXPECT_EQ(next.error().code(), Code::kUnavailable) << bad;
    EXPECT_EQ(next.error().message().find("secret"), std::string::npos);
  }
}

class FetchFollowingTest : public ::testing::Test {
 protected:
  HttpResponse Answer(const HttpRequest& request) {
    const auto found = answers_.find(request.url.ToString());
    return found == answers_.end() ? HttpResponse{.status = 404} : found->second;
  }
  void Redirect(const char* from, const char* to) {
    answers_[from] = {.status = 302, .headers = {{"Location", to}}, .body = "moved"};
  }
  std::map<std::string, HttpResponse> answers_;
  testing::MemoryTransport transport_{[this](const HttpRequest& r) { return Answer(r); }};
  bdn::testing::ManualClock clock_;
  Context ctx_{clock_};
  testing::CollectingSink sink_;
};

TEST_F(FetchFollowingTest, SinkSeesTheFinalResponseOnlyAndHeadsSeeAll) {
  Redirect("https://h/a", "/b?q");
  Redirect("https://h/b?q", "https://cdn/c");
  answers_["https://cdn/c"] = {.status = 200, .body = "bytes"};
  std::vector<ResponseHead> heads;
  ASSERT_TRUE(
      FetchFollowing(ctx_, transport_, GetWithCredentials("https://h/a"), {}, sink_, &heads));
  EXPECT_EQ(sink_.body, "bytes");
  ASSERT_EQ(sink_.heads.size(), 1u);
  EXPECT_EQ(sink_.heads[0].status, 200);
  ASSERT_EQ(heads.size(), 3u);
  EXPECT_EQ(heads[0].status, 302);
  EXPECT_EQ(heads[2].status, 200);
}

TEST_F(FetchFollowingTest, ACredentialIsNotPutBackWhenTheChainReturns) {
  Redirect("https://h/a", "https://evil/b");
  Redirect("https://evil/b", "https://h/c");
  answers_["https://h/c"] = {.status = 200};
  ASSERT_TRUE(FetchFollowing(ctx_, transport_, GetWithCredentials("https://h/a"), {}, sink_));
  const auto log = transport_.requests();
  ASSERT_EQ(log.size(), 3u);
  EXPECT_TRUE(log[0].headers.Has("Authorization"));
  EXPECT_FALSE(log[1].headers.Has("Authorization"));
  EXPECT_FALSE(log[2].headers.Has("Authorization"));
}

TEST_F(FetchFollowingTest, ALoopEndsAtTheCap) {
  Redirect("https://h/a", "/a");
  const auto status =
      FetchFollowing(ctx_, transport_, GetWithCredentials("https://h/a"), {}, sink_);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code(), Code::kFailedPrecondition);
  EXPECT_EQ(transport_.calls(), 11u);  // the request and ten redirects
  EXPECT_TRUE(sink_.heads.empty());
}

TEST_F(FetchFollowingTest, AnEndlessRedirectBodyIsCutAndTheHopTaken) {
  Redirect("https://h/a", "/b");
  answers_["https://h/a"].body.assign(1 << 20, 'x');
  answers_["https://h/b"] = {.status = 200, .body = "ok"};
  ASSERT_TRUE(FetchFollowing(ctx_, transport_, GetWithCredentials("https://h/a"), {}, sink_));
  EXPECT_EQ(sink_.body, "ok");
}

TEST_F(FetchFollowingTest, RedirectOfAPostIsTheAnswer) {
  Redirect("https://h/a", "/b");
  HttpRequest post = GetWithCredentials("https://h/a");
  post.method = "POST";
  ASSERT_TRUE(FetchFollowing(ctx_, transport_, post, {}, sink_));
  EXPECT_EQ(sink_.heads.at(0).status, 302);
  EXPECT_EQ(sink_.body, "moved");
}

}  // namespace
}  // namespace bdn::net
