#include "auth/sigv4.h"

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace bdn::auth {
namespace {

using Fields = std::vector<std::pair<std::string, std::string>>;

WallTime At(std::string_view text) {
  const auto time = ParseRfc3339(text);
  EXPECT_TRUE(time) << text;
  return time.value_or(WallTime{});
}

std::string SignatureOf(const net::Headers& added) {
  const std::string value(added.Get("Authorization").value_or(""));
  const auto at = value.rfind("Signature=");
  return at == std::string::npos ? value : value.substr(at + 10);
}

net::HttpRequest Request(std::string method,
                         std::string host,
                         std::string path,
                         std::string query,
                         const Fields& fields,
                         std::string body = {}) {
  net::HttpRequest request;
  request.method = std::move(method);
  request.url.scheme = "https";
  request.url.host = std::move(host);
  request.url.port = 443;
  request.url.path = std::move(path);
  request.url.has_query = !query.empty();
  request.url.query = std::move(query);
  for (const auto& [name, value] : fields) request.headers.Add(name, value);
  request.body = std::move(body);
  return request;
}

// The examples of the S3 API reference, "Signature Calculations for the Authorization Header".
struct S3Example {
  std::string method, path, query;
  Fields fields;
  std::string body, signature;
};

TEST(SigV4, GivesTheSignaturesOfTheS3Documentation) {
  const AwsCredentials credentials{"AKIAIOSFODNN7EXAMPLE",
                                   "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"};
  const std::vector<S3Example> examples = {
      {"GET",
       "/test.txt",
       "",
       {{"Range", "bytes=0-9"}},
       "",
       "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
      {"PUT",
       "/test%24file.text",
       "",
       {{"Date", "Fri, 24 May 2013 00:00:00 GMT"}, {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
       "Welcome to Amazon S3.",
       "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
      {"GET",
       "/",
       "lifecycle",
       {},
       "",
       "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
      {"GET",
       "/",
       "max-keys=2&prefix=J",
       {},
       "",
       "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
  };
  for (const S3Example& e : examples) {
    const auto request =
        Request(e.method, "examplebucket.s3.amazonaws.com", e.path, e.query, e.fields, e.body);
    const auto added =
        SignSigV4(request, {.region = "us-east-1"}, credentials, At("2013-05-24T00:00:00Z"));
    EXPECT_EQ(SignatureOf(added), e.signature) << e.method << " " << e.path << "?" << e.query;
    EXPECT_EQ(added.Get("X-Amz-Date"), "20130524T000000Z");
    EXPECT_TRUE(added.Has("X-Amz-Content-Sha256"));
  }
}

// Cases of the AWS Signature Version 4 test suite; see testdata/README.md.
struct SuiteCase {
  std::string name, path, query;
  Fields fields;
  bool normalize = true;
  std::string token, signature;
};

TEST(SigV4, GivesTheSignaturesOfTheTestSuite) {
  const std::string token = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267";
  const std::string unreserved =
      "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  const std::vector<SuiteCase> cases = {
      {"get-vanilla-with-session-token",
       "/",
       "",
       {},
       true,
       token,
       "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8"},
      {"get-slashes-normalized",
       "//example//",
       "",
       {},
       true,
       "",
       "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84"},
      {"get-slashes-unnormalized",
       "//example//",
       "",
       {},
       false,
       "",
       "87cca117541a147f6df867677d98a7d80dff226d2bfca9e4ffa899665623c7e5"},
      {"get-space-normalized",
       "/example space/",
       "",
       {},
       true,
       "",
       "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"},
      {"get-relative-relative-unnormalized",
       "/example1/example2/../..",
       "",
       {},
       false,
       "",
       "dc33e0856fd4baca4d7aa2146c38958283844764f38c74252a333df5e613003b"},
      {"get-relative-relative-normalized",
       "/example1/example2/../..",
       "",
       {},
       true,
       "",
       "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
      {"get-utf8",
       "/\xe1\x88\xb4",
       "",
       {},
       true,
       "",
       "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
      {"get-header-value-trim",
       "/",
       "",
       {{"My-Header1", " value1"}, {"My-Header2", " \"a   b   c\""}},
       true,
       "",
       "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
      {"get-header-key-duplicate",
       "/",
       "",
       {{"My-Header1", "value2"}, {"My-Header1", "value2"}, {"My-Header1", "value1"}},
       true,
       "",
       "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
      {"get-vanilla-query-order-key-case",
       "/",
       "Param2=value2&Param1=value1",
       {},
       true,
       "",
       "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
      {"get-vanilla-query-order-encoded",
       "/",
       "Param-3=Value3&Param=Value2&%E1%88%B4=Value1",
       {},
       true,
       "",
       "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac"},
      {"get-vanilla-utf8-query",
       "/",
       "\xe1\x88\xb4=bar",
       {},
       true,
       "",
       "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"},
      {"get-vanilla-empty-query-key",
       "/",
       "Param1=value1",
       {},
       true,
       "",
       "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"},
      {"get-vanilla-query-unreserved",
       "/",
       unreserved + "=" + unreserved,
       {},
       true,
       "",
       "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"},
  };
  for (const SuiteCase& c : cases) {
    const SigV4Scope scope{"us-east-1", "service", {.normalize_path = c.normalize}};
    const auto request = Request("GET", "example.amazonaws.com", c.path, c.query, c.fields);
    const auto added = SignSigV4(
        request, scope, {"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", c.token},
        At("2015-08-30T12:36:00Z"));
    EXPECT_EQ(SignatureOf(added), c.signature) << c.name;
    EXPECT_EQ(added.Has("X-Amz-Security-Token"), !c.token.empty()) << c.name;
  }
}

TEST(SigV4, SignsTheBodyOfAFormAndAHashThatTheRequestHas) {
  const std::string body = "Param1=value1";
  const auto request =
      Request("POST", "example.amazonaws.com", "/", "",
              {{"Content-Type", "application/x-www-form-urlencoded"},
               {"Content-Length", "13"},
               {"x-amz-content-sha256",
                "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e"}},
              body);
  const auto added = SignSigV4(request, {"us-east-1", "service", kSigV4General},
                               {"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"},
                               At("2015-08-30T12:36:00Z"));
  EXPECT_EQ(SignatureOf(added), "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b");
  EXPECT_FALSE(added.Has("X-Amz-Content-Sha256")) << "the request has its own";
}

TEST(SigV4, PathsOfS3AreEncodedOnceAndNeverNormalised) {
  EXPECT_EQ(SigV4Path("/a%20b/%252B+", kSigV4S3), "/a%20b/%252B%2B");
  EXPECT_EQ(SigV4Path("/a//b/../c/./", kSigV4S3), "/a//b/../c/./");
  EXPECT_EQ(SigV4Path("/a%20b", kSigV4General), "/a%2520b");
  EXPECT_EQ(SigV4Path("", kSigV4General), "/");
  EXPECT_EQ(SigV4Path("/..", kSigV4General), "/");
  EXPECT_EQ(SigV4Path("/a/.", kSigV4General), "/a/");
}

TEST(SigV4, QueriesAreSortedByTheirEncodedForm) {
  EXPECT_EQ(SigV4Query("b=1&a&c=x=y&a+=%7e&&"), "a=&a%2B=~&b=1&c=x%3Dy");
  EXPECT_EQ(SigV4Query(""), "");
  EXPECT_EQ(SigV4Query("a=%zz"), "a=%25zz") << "a bad escape stands for itself";
}

TEST(SigV4, LeavesOutWhatProxiesChangeAndNamesThePort) {
  auto request = Request("GET", "127.0.0.1", "/b/k", "",
                         {{"Accept-Encoding", "identity"},
                          {"User-Agent", "x"},
                          {"If-Match", "\"e\""},
                          {"Range", "bytes=0-0"}});
  request.url.port = 9000;
  const AwsCredentials credentials{"AK", "SK"};
  const WallTime now = At("2026-01-01T00:00:00Z");
  const auto added = SignSigV4(request, {.region = "auto"}, credentials, now);
  EXPECT_NE(added.Get("Authorization")
                ->find("SignedHeaders=host;if-match;range;x-amz-content-sha256;x-amz-date,"),
            std::string_view::npos)
      << *added.Get("Authorization");
  request.url.port = 9001;
  EXPECT_NE(SignatureOf(added),
            SignatureOf(SignSigV4(request, {.region = "auto"}, credentials, now)));
}

}  // namespace
}  // namespace bdn::auth
