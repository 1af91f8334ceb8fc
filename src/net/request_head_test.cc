#include "net/request_head.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace bdn::net {
namespace {

using std::string_literals::operator""s;

// Status 0: accepted.
int StatusOf(const std::string& text, const HeadLimits& limits = {}) {
  std::size_t scanned = 0;
  const auto end = FindHeadEnd(text, limits, scanned);
  if (!end) return end.error().status;
  if (*end == 0) return -1;  // incomplete
  const auto head = ParseRequestHead(std::string_view(text).substr(0, *end), limits);
  return head ? 0 : head.error().status;
}

RequestHead Parse(const std::string& text) {
  auto head = ParseRequestHead(text, {});
  EXPECT_TRUE(head) << text << (head ? "" : head.error().message);
  return head ? *head : RequestHead{};
}

struct Case {
  const char* why;
  std::string text;
  int status;
};

TEST(RequestHead, AcceptsAndRefusesByTheRfc) {
  const std::string host = "Host: h\r\n";
  const std::vector<Case> cases = {
      {"plain", "GET / HTTP/1.1\r\n" + host + "\r\n", 0},
      {"one empty line in front", "\r\nGET / HTTP/1.1\r\n" + host + "\r\n", 0},
      {"many empty lines in front", "\r\n\r\n\r\nGET / HTTP/1.1\r\n" + host + "\r\n", 400},
      {"LF only after the request line", "GET / HTTP/1.1\n" + host + "\r\n", 400},
      {"LF only at the end", "GET / HTTP/1.1\r\n" + host + "\n", 400},
      {"LF first", "\nGET / HTTP/1.1\r\n" + host + "\r\n", 400},
      {"CR inside a value", "GET / HTTP/1.1\r\n" + host + "A: b\rc\r\n\r\n", 400},
      {"CR CR LF", "GET / HTTP/1.1\r\n" + host + "A: b\r\r\n\r\n", 400},
      {"NUL inside a value", "GET / HTTP/1.1\r\n" + host + "A: b\0c\r\n\r\n"s, 400},
      {"no version", "GET /\r\n" + host + "\r\n", 400},
      {"two blanks", "GET  / HTTP/1.1\r\n" + host + "\r\n", 400},
      {"blank in the target", "GET /a b HTTP/1.1\r\n" + host + "\r\n", 400},
      {"tab as separator", "GET\t/ HTTP/1.1\r\n" + host + "\r\n", 400},
      {"blank behind the version", "GET / HTTP/1.1 \r\n" + host + "\r\n", 400},
      {"lower case version", "GET / http/1.1\r\n" + host + "\r\n", 400},
      {"HTTP/2", "GET / HTTP/2.0\r\n" + host + "\r\n", 505},
      {"HTTP/1.2 is spoken as 1.1", "GET / HTTP/1.2\r\n" + host + "\r\n", 0},
      {"HTTP/11.1", "GET / HTTP/11.1\r\n" + host + "\r\n", 400},
      {"method with a colon", "G:T / HTTP/1.1\r\n" + host + "\r\n", 400},
      {"unknown method is the router's matter", "BREW / HTTP/1.1\r\n" + host + "\r\n", 0},
      {"fragment", "GET /#a HTTP/1.1\r\n" + host + "\r\n", 400},
      {"byte over 127 in the target", "GET /\xc3\xa4 HTTP/1.1\r\n" + host + "\r\n", 400},
      {"relative target", "GET a HTTP/1.1\r\n" + host + "\r\n", 400},
      {"absolute target", "GET http://h/a HTTP/1.1\r\n" + host + "\r\n", 0},
      {"absolute target without a path", "GET http://h HTTP/1.1\r\n" + host + "\r\n", 0},
      {"absolute target with user information", "GET http://u@h/ HTTP/1.1\r\n" + host + "\r\n",
       400},
      {"absolute target of another scheme", "GET ftp://h/a HTTP/1.1\r\n" + host + "\r\n", 400},
      {"CONNECT", "CONNECT h:443 HTTP/1.1\r\n" + host + "\r\n", 501},
      {"OPTIONS *", "OPTIONS * HTTP/1.1\r\n" + host + "\r\n", 0},
      {"GET *", "GET * HTTP/1.1\r\n" + host + "\r\n", 400},
      {"no Host", "GET / HTTP/1.1\r\n\r\n", 400},
      {"no Host in 1.0", "GET / HTTP/1.0\r\n\r\n", 0},
      {"two Hosts", "GET / HTTP/1.1\r\n" + host + host + "\r\n", 400},
      {"two Hosts in 1.0", "GET / HTTP/1.0\r\n" + host + host + "\r\n", 400},
      {"Host with a slash", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
      {"Host with user information", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400},
      {"Host with two names", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
      {"IPv6 Host", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 0},
      {"folded line", "GET / HTTP/1.1\r\n" + host + "A: b\r\n c\r\n\r\n", 400},
      {"blank line start after the request line", "GET / HTTP/1.1\r\n " + host + "\r\n", 400},
      {"blank before the colon", "GET / HTTP/1.1\r\nHost : h\r\n\r\n", 400},
      {"no colon", "GET / HTTP/1.1\r\n" + host + "abc\r\n\r\n", 400},
      {"no name", "GET / HTTP/1.1\r\n" + host + ": v\r\n\r\n", 400},
      {"empty value", "GET / HTTP/1.1\r\n" + host + "A:\r\n\r\n", 0},
      {"text over 127 in a value", "GET / HTTP/1.1\r\n" + host + "A: \xc3\xa4\r\n\r\n", 0},
      {"incomplete", "GET / HTTP/1.1\r\n" + host, -1},
      {"expectation", "GET / HTTP/1.1\r\n" + host + "Expect: 100-Continue\r\n\r\n", 0},
      {"unknown expectation", "GET / HTTP/1.1\r\n" + host + "Expect: tea\r\n\r\n", 417},
  };
  for (const Case& c : cases) EXPECT_EQ(StatusOf(c.text), c.status) << c.why;
}

// The classes of request smuggling: heads that two parsers may frame differently.
TEST(RequestHead, RefusesAmbiguousFraming) {
  struct Fields {
    const char* fields;
    int status;
  };
  const std::vector<Fields> cases = {
      {"Content-Length: 5\r\n", 0},
      {"Content-Length: 5\r\nContent-Length: 5\r\n", 0},
      {"Content-Length: 5\r\nContent-Length: 6\r\n", 400},
      {"Content-Length: 5, 5\r\n", 400},
      {"Content-Length: +5\r\n", 400},
      {"Content-Length: -5\r\n", 400},
      {"Content-Length: 0x5\r\n", 400},
      {"Content-Length: 5 5\r\n", 400},
      {"Content-Length:\r\n", 400},
      {"Content-Length: 99999999999999999999999\r\n", 400},
      {"Content-Length: 18446744073709551615\r\n", 400},
      {"Content_Length: 5\r\n", 0},
      {"Transfer-Encoding: chunked\r\n", 0},
      {"Transfer-Encoding: Chunked\r\n", 0},
      {"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", 400},
      {"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400},
      {"Content-Length: 5\r\nTransfer-Encoding: identity\r\n", 400},
      {"Transfer-Encoding: identity\r\n", 501},
      {"Transfer-Encoding: xchunked\r\n", 501},
      {"Transfer-Encoding: gzip, chunked\r\n", 501},
      {"Transfer-Encoding: chunked, gzip\r\n", 400},
      {"Transfer-Encoding: chunked, chunked\r\n", 400},
      {"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400},
      {"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", 400},
      {"Transfer-Encoding: \"chunked\"\r\n", 501},
      {"Transfer-Encoding: chunked;q=1\r\n", 501},
      {"Transfer-Encoding:\r\n", 400},
      {"Transfer-Encoding: ,\r\n", 400},
      {"Transfer-Encoding : chunked\r\n", 400},
      {"Transfer-Encoding:\x0b chunked\r\n", 400},
      {"X: y\r\n Transfer-Encoding: chunked\r\n", 400},
  };
  for (const Fields& c : cases) {
    EXPECT_EQ(StatusOf(std::string("POST / HTTP/1.1\r\nHost: h\r\n") + c.fields + "\r\n"), c.status)
        << c.fields;
  }
  EXPECT_EQ(StatusOf("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
}

TEST(RequestHead, KeepsTargetHostAndFields) {
  const RequestHead head = Parse(
      "PUT /a%20b/?x=1&y=?z HTTP/1.1\r\nHost: Ex.org:8080\r\nX-A:  one \t\r\nx-a: two\r\n"
      "Content-Length: 7\r\n\r\n");
  EXPECT_EQ(head.method, "PUT");
  EXPECT_EQ(head.path, "/a%20b/");
  EXPECT_EQ(head.query, "x=1&y=?z");
  EXPECT_EQ(head.host, "Ex.org:8080");
  EXPECT_EQ(head.headers.Get("x-A"), "one");
  EXPECT_EQ(head.content_length, 7u);
  EXPECT_TRUE(head.keep_alive);
  EXPECT_FALSE(head.chunked);
}

TEST(RequestHead, AbsoluteTargetWinsOverTheHostField) {
  const RequestHead head = Parse("GET HTTP://real:81?q HTTP/1.1\r\nHost: other\r\n\r\n");
  EXPECT_EQ(head.host, "real:81");
  EXPECT_EQ(head.path, "/");
  EXPECT_EQ(head.query, "q");
}

TEST(RequestHead, KeepAliveFollowsVersionAndConnectionField) {
  EXPECT_FALSE(Parse("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").keep_alive);
  EXPECT_FALSE(Parse("GET / HTTP/1.1\r\nHost: h\r\nConnection: a , CLOSE\r\n\r\n").keep_alive);
  EXPECT_TRUE(Parse("GET / HTTP/1.1\r\nHost: h\r\nConnection: closed\r\n\r\n").keep_alive);
}

TEST(RequestHead, LimitsHaveTheirOwnStatuses) {
  const HeadLimits limits{.head_bytes_max = 200, .headers_max = 3, .target_bytes_max = 20};
  const std::string host = "Host: h\r\n";
  EXPECT_EQ(StatusOf("GET /" + std::string(19, 'a') + " HTTP/1.1\r\n" + host + "\r\n", limits), 0);
  EXPECT_EQ(StatusOf("GET /" + std::string(20, 'a') + " HTTP/1.1\r\n" + host + "\r\n", limits),
            414);
  EXPECT_EQ(StatusOf("GET /" + std::string(300, 'a'), limits), 414);
  EXPECT_EQ(StatusOf("GET / HTTP/1.1\r\nA: " + std::string(300, 'a'), limits), 431);
  EXPECT_EQ(
      StatusOf("GET / HTTP/1.1\r\n" + host + "A: " + std::string(300, 'a') + "\r\n\r\n", limits),
      431);
  EXPECT_EQ(StatusOf("GET / HTTP/1.1\r\n" + host + "A: 1\r\nB: 2\r\n\r\n", limits), 0);
  EXPECT_EQ(StatusOf("GET / HTTP/1.1\r\n" + host + "A: 1\r\nB: 2\r\nC: 3\r\n\r\n", limits), 431);
}

TEST(RequestHead, EndIsFoundByteByByte) {
  const std::string text = "\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n";
  std::size_t scanned = 0;
  for (std::size_t size = 0; size <= text.size(); ++size) {
    const auto end = FindHeadEnd(std::string_view(text).substr(0, size), {}, scanned);
    ASSERT_TRUE(end) << size;
    EXPECT_EQ(*end, size == text.size() ? size : 0);
  }
}

}  // namespace
}  // namespace bdn::net
