#include "net/http.h"

#include <chrono>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "base/testing/manual_clock.h"
#include "net/testing/memory_transport.h"

namespace bdn::net {
namespace {

using namespace std::chrono_literals;

TEST(Headers, NamesCompareWithoutCaseAndOrderIsKept) {
  Headers headers{{"Set-Cookie", "a"}, {"ETag", "\"x\""}};
  headers.Add("set-cookie", "b");
  EXPECT_EQ(headers.Get("SET-COOKIE"), "a");
  EXPECT_EQ(headers.fields().size(), 3u);
  headers.Set("set-COOKIE", "c");
  EXPECT_EQ(headers.fields().size(), 2u);
  EXPECT_EQ(headers.Get("Set-Cookie"), "c");
  headers.Remove("etag");
  EXPECT_FALSE(headers.Has("ETag"));
}

TEST(ValidateRequest, RefusesInjectionAndTheTransportsOwnHeaders) {
  HttpRequest request{.url = *ParseUrl("http://h/?secret"), .headers = {{"Accept", ""}}};
  EXPECT_TRUE(ValidateRequest(request));
  request.method = "GET / HTTP/1.1\r\nX";
  EXPECT_FALSE(ValidateRequest(request));
  request.method = "PUT";
  for (const auto& [name, value] : std::initializer_list<std::pair<const char*, const char*>>{
           {"A", "b\r\nC: d"},
           {"A", "b\nC: d"},
           {"A b", ""},
           {"", "x"},
           {"A:", "x"},
           {"host", "h"},
           {"Content-length", "1"},
           {"Connection", "close"},
           {"Transfer-Encoding", "chunked"}}) {
    request.headers = {{name, value}};
    const auto status = ValidateRequest(request);
    ASSERT_FALSE(status) << name;
    EXPECT_EQ(status.error().code(), Code::kInvalidArgument);
    EXPECT_EQ(status.error().message().find("secret"), std::string::npos);
  }
}

TEST(ContentRange, AcceptsOneSatisfiedRangeOnly) {
  const auto range = ParseContentRange("bytes 0-99/1000");
  ASSERT_TRUE(range);
  EXPECT_EQ(range->range, (ByteRange{0, 100}));
  EXPECT_EQ(range->total, 1000u);
  EXPECT_EQ(ParseContentRange(" Bytes  5-5/6 ")->range, (ByteRange{5, 6}));
  EXPECT_EQ(ParseContentRange("bytes 0-18446744073709551613/18446744073709551614")->range.end,
            18446744073709551614u);
  for (const auto* bad :
       {"", "bytes", "bytes ", "bytes */1000", "bytes 0-99/*", "bytes 9-5/10", "bytes 0-10/10",
        "bytes -5-9/10", "bytes 0-9", "bytes 0/9-10", "0-9/10", "items 0-9/10", "bytes=0-9/10",
        "bytes 0-9/10x", "bytes +0-9/10", "bytes 0 -9/10", "bytes 0-9/99999999999999999999",
        "bytes 0-9/10, 1-2/3"}) {
    EXPECT_FALSE(ParseContentRange(bad)) << bad;
  }
}

TEST(NextLink, FindsNextAmongLinksParametersAndQuotes) {
  struct Case {
    const char* value;
    const char* target;  // nullptr: none
  };
  const Case cases[] = {
      {"<https://h/p?cursor=a%3D&limit=1>; rel=\"next\"", "https://h/p?cursor=a%3D&limit=1"},
      {"<a>;rel=next", "a"},
      {"<a>; REL=\"NEXT\"", "a"},
      {"<a>; rel=\"prev next\"", "a"},
      {"<a>; title=\"x, <b>; rel=\\\"next\\\"\"; rel=prev, <c>; rel=next", "c"},
      {"<a>; rel=\"first\", <b,c;d>; foo; bar=1 ; rel = \"next\"", "b,c;d"},
      {", ,<a>;;rel=next;", "a"},
      {"<>; rel=next", ""},
      {"<a>; rel=prev; rel=next", nullptr},
      {"<a>; rel=nextish", nullptr},
      {"<a>; rel=next; anchor=\"#other\"", nullptr},
      {"<a>", nullptr},
      {"a; rel=next", nullptr},
      {"<a; rel=next", nullptr},
      {"<a>; rel=\"next", nullptr},
      {"<a> rel=next", nullptr},
      {"<a>; rel=prev x, <b>; rel=next", nullptr},
      {"", nullptr},
  };
  for (const auto& c : cases) {
    const auto target = NextLink({{"link", c.value}});
    EXPECT_EQ(target.has_value(), c.target != nullptr) << c.value;
    if (target && c.target != nullptr) {
      EXPECT_EQ(*target, c.target) << c.value;
    }
  }
  EXPECT_EQ(NextLink({{"Link", "<a>; rel=prev"}, {"Link", "<b>; rel=next"}}), "b");
  EXPECT_FALSE(NextLink({}));
}

TEST(RetryAfter, TakesSecondsOrADateAndIsCapped) {
  const WallTime now = *ParseHttpDate("Mon, 23 Nov 2026 03:44:41 GMT");
  EXPECT_EQ(ParseRetryAfter("0", now), 0ms);
  EXPECT_EQ(ParseRetryAfter(" 37 ", now), 37s);
  EXPECT_EQ(ParseRetryAfter("99999999999999999999999", now), kRetryAfterMax);
  EXPECT_EQ(ParseRetryAfter("90000", now), kRetryAfterMax);
  EXPECT_EQ(ParseRetryAfter("Mon, 23 Nov 2026 03:45:41 GMT", now), 60s);
  EXPECT_EQ(ParseRetryAfter("Mon, 23 Nov 2026 03:40:41 GMT", now), 0ms);
  EXPECT_EQ(ParseRetryAfter("Mon, 23 Nov 2030 03:40:41 GMT", now), kRetryAfterMax);
  for (const auto* bad : {"", "-1", "1.5", "soon", "+3"}) {
    EXPECT_FALSE(ParseRetryAfter(bad, now)) << bad;
  }
}

class FetchAllTest : public ::testing::Test {
 protected:
  bdn::testing::ManualClock clock_;
  Context ctx_{clock_};
  HttpRequest request_{.url = *ParseUrl("http://h/x?token=secret")};
};

TEST_F(FetchAllTest, ReturnsTheWholeResponse) {
  testing::MemoryTransport transport(
      [](const HttpRequest&) {
        return HttpResponse{.status = 404, .headers = {{"A", "b"}}, .body = "0123456789"};
      },
      3);
  const auto response = FetchAll(ctx_, transport, request_, 10);
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 404);
  EXPECT_EQ(response->headers.Get("a"), "b");
  EXPECT_EQ(response->body, "0123456789");
  EXPECT_EQ(transport.requests().at(0).url.query, "token=secret");
}

TEST_F(FetchAllTest, StopsAtTheLimitWithoutNamingTheQuery) {
  testing::MemoryTransport transport(
      [](const HttpRequest&) { return HttpResponse{.status = 200, .body = "0123456789"}; }, 3);
  const auto response = FetchAll(ctx_, transport, request_, 9);
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code(), Code::kResourceExhausted);
  EXPECT_EQ(response.error().message(), "GET http://h/x: the answer is larger than 9 bytes");
}

TEST_F(FetchAllTest, ShortBodyIsUnavailable) {
  testing::MemoryTransport transport([](const HttpRequest&) {
    return HttpResponse{.status = 200, .headers = {{"Content-Length", "11"}}, .body = "0123456789"};
  });
  EXPECT_EQ(FetchAll(ctx_, transport, request_, 99).error().code(), Code::kUnavailable);
  request_.method = "HEAD";
  EXPECT_EQ(FetchAll(ctx_, transport, request_, 99)->body, "");
}

TEST_F(FetchAllTest, CancelledContextSendsNothing) {
  testing::MemoryTransport transport([](const HttpRequest&) { return HttpResponse{}; });
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(FetchAll(Context(clock_, stop.get_token()), transport, request_, 9).error().code(),
            Code::kCancelled);
  EXPECT_EQ(transport.calls(), 0u);
}

}  // namespace
}  // namespace bdn::net
