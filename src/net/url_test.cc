#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "net/http.h"

namespace bdn::net {
namespace {

TEST(Url, KeepsPathAndQueryAsWritten) {
  const auto url = ParseUrl("HTTPS://Hub.Example:8443/a%2Fb/../c?x=%20&y=a?b/");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->scheme, "https");
  EXPECT_EQ(url->host, "hub.example");
  EXPECT_EQ(url->port, 8443);
  EXPECT_EQ(url->path, "/a%2Fb/../c");
  EXPECT_EQ(url->query, "x=%20&y=a?b/");
  EXPECT_EQ(url->ToString(), "https://hub.example:8443/a%2Fb/../c?x=%20&y=a?b/");
}

TEST(Url, FillsInPortAndPath) {
  EXPECT_EQ(ParseUrl("http://h")->port, 80);
  EXPECT_EQ(ParseUrl("https://h:")->port, 443);
  EXPECT_EQ(ParseUrl("https://h:443?q")->ToString(), "https://h/?q");
  EXPECT_EQ(ParseUrl("http://h:443/")->authority(), "h:443");
  EXPECT_EQ(ParseUrl("http://h/?")->ToString(), "http://h/?");
}

TEST(Url, TakesIpv6InBracketsOnly) {
  const auto url = ParseUrl("http://[2001:DB8::1]:8080/x");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->host, "2001:db8::1");
  EXPECT_EQ(url->port, 8080);
  EXPECT_EQ(url->ToString(), "http://[2001:db8::1]:8080/x");
  EXPECT_FALSE(ParseUrl("http://2001:db8::1/x"));
  EXPECT_FALSE(ParseUrl("http://[2001:db8::1/x"));
  EXPECT_FALSE(ParseUrl("http://[fe80::1%25eth0]/"));
  EXPECT_FALSE(ParseUrl("http://[::1]x/"));
  EXPECT_FALSE(ParseUrl("http://[evil.example]/"));
}

TEST(Url, RefusesWhatCouldBeReadTwoWays) {
  const std::string_view cases[] = {"",
                                    "h/x",
                                    "//h/x",
                                    "ftp://h/",
                                    "file:///etc/passwd",
                                    "https:/h",
                                    "https:h",
                                    "https://",
                                    "https:///x",
                                    "https://:80/",
                                    "https://user@h/",
                                    "https://user:pass@h/",
                                    "https://h@evil/",
                                    "https://h/#f",
                                    "https://h/a b",
                                    "https://h/a\tb",
                                    "https://h/a\r\nX: y",
                                    " https://h/",
                                    "https://h:0/",
                                    "https://h:65536/",
                                    "https://h:+80/",
                                    "https://h:80x/",
                                    "https://h:80:80/",
                                    "https://h%2eevil/",
                                    "https://h\\evil/",
                                    "https://\xc3\xa4.example/"};
  for (const auto text : cases) {
    const auto url = ParseUrl(text);
    ASSERT_FALSE(url) << text;
    EXPECT_EQ(url.error().code(), Code::kInvalidArgument) << text;
  }
  EXPECT_FALSE(ParseUrl(std::string("https://h/\0", 11)));
  EXPECT_FALSE(ParseUrl("https://h/" + std::string(kUrlBytesMax, 'a')));
  EXPECT_FALSE(ParseUrl("https://" + std::string(254, 'a') + "/"));
}

TEST(Url, ErrorsNeverQuoteTheQuery) {
  const auto url = ParseUrl("https://user:pw@h/x?X-Amz-Signature=topsecret");
  ASSERT_FALSE(url);
  EXPECT_EQ(url.error().message().find("topsecret"), std::string::npos);
  EXPECT_EQ(url.error().message().find("pw"), std::string::npos);
}

TEST(Url, OriginIsSchemeHostAndEffectivePort) {
  const Url hub = *ParseUrl("https://huggingface.co/x");
  EXPECT_TRUE(hub.SameOrigin(*ParseUrl("https://HuggingFace.co:443/y?z")));
  EXPECT_FALSE(hub.SameOrigin(*ParseUrl("https://huggingface.co:8443/x")));
  EXPECT_FALSE(hub.SameOrigin(*ParseUrl("http://huggingface.co/x")));
  EXPECT_FALSE(hub.SameOrigin(*ParseUrl("https://evilhuggingface.co/x")));
  EXPECT_FALSE(hub.SameOrigin(*ParseUrl("https://huggingface.co.evil/x")));
  EXPECT_FALSE(hub.SameOrigin(*ParseUrl("https://cdn.huggingface.co/x")));
}

// RFC 3986 §5.4, without the examples whose base path has parameters of other schemes.
TEST(ResolveUrl, FollowsTheExamplesOfTheRfc) {
  struct Case {
    std::string_view reference;
    std::string_view target;
  };
  const Case cases[] = {
      {"g", "http://a/b/c/g"},
      {"./g", "http://a/b/c/g"},
      {"g/", "http://a/b/c/g/"},
      {"/g", "http://a/g"},
      {"//g", "http://g/"},
      {"?y", "http://a/b/c/d;p?y"},
      {"g?y", "http://a/b/c/g?y"},
      {"#s", "http://a/b/c/d;p?q"},
      {"g#s", "http://a/b/c/g"},
      {"g?y#s", "http://a/b/c/g?y"},
      {";x", "http://a/b/c/;x"},
      {"g;x", "http://a/b/c/g;x"},
      {"", "http://a/b/c/d;p?q"},
      {".", "http://a/b/c/"},
      {"./", "http://a/b/c/"},
      {"..", "http://a/b/"},
      {"../g", "http://a/b/g"},
      {"../..", "http://a/"},
      {"../../g", "http://a/g"},
      {"../../../g", "http://a/g"},
      {"/./g", "http://a/g"},
      {"/../g", "http://a/g"},
      {"g.", "http://a/b/c/g."},
      {"..g", "http://a/b/c/..g"},
      {"./../g", "http://a/b/g"},
      {"./g/.", "http://a/b/c/g/"},
      {"g/./h", "http://a/b/c/g/h"},
      {"g/../h", "http://a/b/c/h"},
      {"g;x=1/../y", "http://a/b/c/y"},
      {"g?y/../x", "http://a/b/c/g?y/../x"},
      {"g#s/../x", "http://a/b/c/g"},
  };
  const Url base = *ParseUrl("http://a/b/c/d;p?q");
  for (const auto& c : cases) {
    const auto url = ResolveUrl(base, c.reference);
    ASSERT_TRUE(url) << c.reference;
    EXPECT_EQ(url->ToString(), c.target) << c.reference;
  }
}

TEST(ResolveUrl, KeepsOrReplacesTheHostByTheReferencesForm) {
  const Url base = *ParseUrl("https://hub.example:8443/a/b?old=1");
  EXPECT_EQ(ResolveUrl(base, "/c?new=%2F")->ToString(), "https://hub.example:8443/c?new=%2F");
  EXPECT_EQ(ResolveUrl(base, "//evil/path")->ToString(), "https://evil/path");
  EXPECT_EQ(ResolveUrl(base, "//evil")->ToString(), "https://evil/");
  EXPECT_EQ(ResolveUrl(base, "http://other/x#f")->ToString(), "http://other/x");
  EXPECT_EQ(ResolveUrl(base, "/\\evil/path")->host, "hub.example");
  EXPECT_EQ(ResolveUrl(base, "/x:y")->ToString(), "https://hub.example:8443/x:y");
  for (const auto* bad : {"javascript:alert(1)", "//user@evil/", "//", "https:", "/a b", "a:b"}) {
    EXPECT_FALSE(ResolveUrl(base, bad)) << bad;
  }
}

TEST(RedactUrl, LeavesHostAndPath) {
  EXPECT_EQ(RedactUrl("https://h/p?X-Amz-Signature=s#f"), "https://h/p");
  EXPECT_EQ(RedactUrl("https://u:p@h/p"), "https://h/p");
  EXPECT_EQ(RedactUrl("https://h/a@b"), "https://h/a@b");
  EXPECT_EQ(RedactUrl("https://h/\x1b[31m"), "https://h/?[31m");
}

TEST(Percent, EncodesAndDecodes) {
  EXPECT_EQ(PercentEncode("a b/ü~-._"), "a%20b%2F%C3%BC~-._");
  EXPECT_EQ(PercentEncode("a b/c", "/"), "a%20b/c");
  EXPECT_EQ(*PercentDecode("a%20b%2fc+"), "a b/c+");
  for (const auto* bad : {"%", "%4", "%4g", "%%41", "a%"}) EXPECT_FALSE(PercentDecode(bad)) << bad;
  std::string every;
  for (int c = 0; c < 256; ++c) every += static_cast<char>(c);
  EXPECT_EQ(*PercentDecode(PercentEncode(every)), every);
}

}  // namespace
}  // namespace bdn::net
