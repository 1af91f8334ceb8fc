#include "auth/sigv4.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include <boost/json/value.hpp>
#include <gtest/gtest.h>

#include "codec/json.h"

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

// One case of the published suites; see testdata/README.md.
struct SuiteCase {
  std::string name;
  net::HttpRequest request;
  AwsCredentials credentials{"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"};
  SigV4Scope scope{"us-east-1", "service", kSigV4General};
  std::string signature;
  std::string query_signature;  // of the URL that is good for an hour; may be empty
};

std::vector<SuiteCase> ReadSuite() {
  std::ifstream file(BDN_AUTH_TESTDATA "/sigv4_suite.json");
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const auto json = codec::ParseJson(text, {});
  std::vector<SuiteCase> cases;
  if (!json) return cases;
  for (const auto& entry : json->as_array()) {
    const codec::JsonView view(entry);
    const auto value = [&](std::string_view name, std::string_view other) {
      return std::string(view.StringOr(name, other).value_or(""));
    };
    Fields fields;
    if (const auto* headers = entry.as_object().if_contains("headers")) {
      for (const auto& header : headers->as_array()) {
        fields.emplace_back(header.as_array()[0].as_string(), header.as_array()[1].as_string());
      }
    }
    SuiteCase c;
    c.name = value("suite", "") + "/" + value("name", "");
    c.request = Request(value("method", "GET"), "example.amazonaws.com", value("path", "/"),
                        value("query", ""), fields, value("body", ""));
    c.credentials.session_token = value("token", "");
    c.scope.rules.normalize_path = !entry.as_object().contains("normalize");
    c.signature = value("signature", "");
    c.query_signature = value("query_signature", "");
    cases.push_back(std::move(c));
  }
  return cases;
}

class SigV4SuiteTest : public ::testing::TestWithParam<SuiteCase> {};

INSTANTIATE_TEST_SUITE_P(All,
                         SigV4SuiteTest,
                         ::testing::ValuesIn(ReadSuite()),
                         [](const auto& test) {
                           std::string name = test.param.name;
                           for (char& c : name) {
                             if (c == '-' || c == '/') c = '_';
                           }
                           return name;
                         });

TEST_P(SigV4SuiteTest, HeadersHaveThePublishedSignature) {
  const SuiteCase& c = GetParam();
  const auto added = SignSigV4(c.request, c.scope, c.credentials, At("2015-08-30T12:36:00Z"));
  EXPECT_EQ(SignatureOf(added), c.signature);
  EXPECT_EQ(added.Has("X-Amz-Security-Token"), !c.credentials.session_token.empty());
}

TEST_P(SigV4SuiteTest, UrlsHaveThePublishedSignature) {
  const SuiteCase& c = GetParam();
  const std::string query = PresignSigV4(c.request, c.scope, c.credentials,
                                         At("2015-08-30T12:36:00Z"), std::chrono::hours(1));
  ASSERT_TRUE(query.starts_with(c.request.url.query));
  const auto at = query.rfind("&X-Amz-Signature=");
  ASSERT_NE(at, query.npos);
  if (c.query_signature.empty()) return;  // the suite has none for this case
  EXPECT_EQ(query.substr(at + 17), c.query_signature) << query;
}

TEST(SigV4, TheSuitesAreThere) {
  const auto cases = ReadSuite();
  EXPECT_EQ(cases.size(), 42u);
  EXPECT_EQ(std::count_if(cases.begin(), cases.end(),
                          [](const SuiteCase& c) { return !c.query_signature.empty(); }),
            37);
}

// The S3 API reference, "Authenticating Requests: Using Query Parameters".
TEST(SigV4, PresignsAsTheS3DocumentationDoes) {
  const auto request = Request("GET", "examplebucket.s3.amazonaws.com", "/test.txt", "", {});
  const std::string query =
      PresignSigV4(request, {.region = "us-east-1"},
                   {"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"},
                   At("2013-05-24T00:00:00Z"), std::chrono::hours(24));
  EXPECT_EQ(query,
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2F"
            "us-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&"
            "X-Amz-SignedHeaders=host&X-Amz-Signature="
            "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
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
