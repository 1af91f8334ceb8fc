#include "cloud/s3.h"

#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/testing/manual_clock.h"
#include "net/testing/collecting_sink.h"
#include "net/testing/memory_transport.h"

namespace bdn::cloud {
namespace {

std::string Page(const std::string& inner) {
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
         "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">" +
         inner + "</ListBucketResult>";
}

TEST(S3Xml, ReadsAPage) {
  const auto page = ParseS3ListPage(
      Page("<IsTruncated>true</IsTruncated><NextContinuationToken>a+b/c=</NextContinuationToken>"
           "<EncodingType>url</EncodingType>"
           "<Contents><Key>a+b/%252B%2B</Key><ETag>&quot;abc-2&quot;</ETag><Size>12</Size>"
           "<StorageClass>GLACIER</StorageClass><RestoreStatus><RestoreExpiryDate>x"
           "</RestoreExpiryDate></RestoreStatus></Contents>"
           "<Contents><Key>d%C3%A9</Key><Size>0</Size></Contents>"));
  ASSERT_TRUE(page) << page.error().message();
  EXPECT_TRUE(page->truncated);
  EXPECT_EQ(page->next_token, "a+b/c=") << "tokens are not encoded";
  ASSERT_EQ(page->objects.size(), 2u);
  EXPECT_EQ(page->objects[0].key, "a b/%2B+");
  EXPECT_EQ(page->objects[0].etag, "abc-2");
  EXPECT_EQ(page->objects[0].size, 12u);
  EXPECT_TRUE(page->objects[0].restored);
  EXPECT_EQ(page->objects[1].key, "d\xc3\xa9");
  EXPECT_FALSE(page->objects[1].restored);
}

TEST(S3Xml, KeysAreTakenAsTheyAreWithoutAnEncoding) {
  const auto page = ParseS3ListPage(Page("<Contents><Key>a+b%20</Key><Size>1</Size></Contents>"));
  ASSERT_TRUE(page);
  EXPECT_EQ(page->objects.at(0).key, "a+b%20");
}

TEST(S3Xml, RefusesWhatIsNoPage) {
  const std::string bomb =
      "<!DOCTYPE l [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><ListBucketResult>&b;"
      "</ListBucketResult>";
  EXPECT_EQ(ParseS3ListPage(bomb).error().code(), Code::kUnsupported);
  const std::string external =
      "<!DOCTYPE l SYSTEM \"file:///etc/passwd\"><ListBucketResult></ListBucketResult>";
  EXPECT_EQ(ParseS3ListPage(external).error().code(), Code::kUnsupported);
  const std::string whole = Page("<Contents><Key>a</Key><Size>1</Size></Contents>");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto page = ParseS3ListPage(whole.substr(0, size));
    ASSERT_FALSE(page) << size;
    EXPECT_EQ(page.error().code(), Code::kUnavailable) << size;
  }
  EXPECT_FALSE(ParseS3ListPage("<html></html>"));
  EXPECT_FALSE(ParseS3ListPage(Page("<Contents><Key>a</Key></Contents>")));
  EXPECT_FALSE(ParseS3ListPage(Page("<Contents><Key>a</Key><Size>-1</Size></Contents>")));
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += "<a>";
  EXPECT_EQ(ParseS3ListPage(deep).error().code(), Code::kResourceExhausted);
  EXPECT_EQ(ParseS3ListPage(Page("<a>" + std::string(100'000, 'x') + "</a>")).error().code(),
            Code::kResourceExhausted);
}

TEST(S3Xml, ErrorsMayBeMissing) {
  EXPECT_EQ(ParseS3Error("").code, "");
  EXPECT_EQ(ParseS3Error("<html><body>no</body></html>").code, "");
  const auto body = ParseS3Error(
      "<Error><Code>AuthorizationHeaderMalformed</Code><Message>m</Message><Region>eu-west-1"
      "</Region></Error>");
  EXPECT_EQ(body.code, "AuthorizationHeaderMalformed");
  EXPECT_EQ(body.region, "eu-west-1");
  const auto page = ParseS3ListPage("<Error><Code>InternalError</Code></Error>");
  ASSERT_TRUE(page && page->error);
  EXPECT_EQ(page->error->code, "InternalError");
}

TEST(S3Secret, NeedsBothKeysUnderTheirDocumentedNames) {
  const std::string documented =
      "aws_access_key_id and aws_secret_access_key are required in S3 credentials";
  for (const char* text : {"", "no json", "[]", "{}", "{\"aws_access_key_id\":\"A\"}",
                           "{\"access_key_id\":\"A\",\"secret_access_key\":\"B\"}",
                           "{\"aws_access_key_id\":\" \",\"aws_secret_access_key\":\"B\"}",
                           "{\"aws_access_key_id\":1,\"aws_secret_access_key\":\"B\"}"}) {
    const auto secret = ParseS3Secret(text);
    ASSERT_FALSE(secret) << text;
    EXPECT_EQ(secret.error().message(), documented) << text;
  }
  const auto secret = ParseS3Secret(
      "{\"aws_access_key_id\":\" A \",\"aws_secret_access_key\":\"b/+\\n\",\"aws_region\":\"eu-"
      "west-1\",\"aws_session_token\":\"t\",\"more\":1}");
  ASSERT_TRUE(secret) << secret.error().message();
  EXPECT_EQ(secret->credentials.access_key_id, "A");
  EXPECT_EQ(secret->credentials.secret_access_key, "b/+");
  EXPECT_EQ(secret->credentials.session_token, "t");
  EXPECT_EQ(secret->region, "eu-west-1");
}

TEST(S3Secret, SaysExactlyWhichKeyIsWrong) {
  struct Case {
    const char* text;
    const char* hint;
  };
  const Case cases[] = {
      {"AKIA:secret", "The secret is no JSON. Store the secret as JSON: "},
      {"[1]", "The secret is JSON, but no object. "},
      {R"({"access_key_id": "A", "secret_access_key": "B"})",
       "The key 'access_key_id' must be named aws_access_key_id. The key 'secret_access_key' must "
       "be "
       "named aws_secret_access_key. "},
      {R"({"AWS_ACCESS_KEY_ID": "A", "aws_secret_access_key": "B"})",
       "The key 'AWS_ACCESS_KEY_ID' must be named aws_access_key_id. Store"},
      {R"({"accessKeyId": "A", "secretAccessKey": "B"})",
       "The key 'accessKeyId' must be named aws_access_key_id. The key 'secretAccessKey'"},
      {R"({"aws_access_key_id": "A", "aws-secret-key": "B"})",
       "The key 'aws-secret-key' must be named aws_secret_access_key. Store"},
      {R"({"aws_access_key_id": "A"})", "aws_secret_access_key is missing. Store"},
      {R"({"aws_access_key_id": "A", "aws_secret_access_key": ""})",
       "aws_secret_access_key is empty. Store"},
      {R"({"aws_access_key_id": null, "aws_secret_access_key": "B"})",
       "aws_access_key_id is no text. Store"},
  };
  for (const Case& c : cases) {
    const auto checked = CheckS3Secret(c.text);
    ASSERT_FALSE(checked) << c.text;
    EXPECT_EQ(checked.error().code(), Code::kInvalidArgument);
    EXPECT_EQ(checked.error().message(),
              "aws_access_key_id and aws_secret_access_key are required in S3 credentials");
    EXPECT_TRUE(checked.error().hint().starts_with(c.hint)) << checked.error().hint();
    EXPECT_EQ(checked.error().hint().find("secret\": \"B"), std::string::npos);
  }
  const auto region =
      CheckS3Secret(R"({"aws_access_key_id": "A", "aws_secret_access_key": "B", "aws_region": 1})");
  ASSERT_FALSE(region);
  EXPECT_EQ(region.error().message(), "aws_region in the S3 credentials is no text");
  const auto place = CheckS3Secret(
      R"({"aws_access_key_id": "A", "aws_secret_access_key": "B", "r2_jurisdiction": "mars"})");
  ASSERT_FALSE(place);
  EXPECT_EQ(place.error().message(),
            "r2_jurisdiction in the S3 credentials is not one of default, eu, fedramp, us");
}

TEST(S3Secret, WarnsOfKeysWithoutUseAndOfTemporaryKeysWithoutTheirToken) {
  const auto warnings = [](const std::string& more) {
    const auto checked = CheckS3Secret(R"({"aws_secret_access_key": "B", )" + more + "}");
    return checked ? fmt::format("{}", fmt::join(*checked, "|")) : checked.error().message();
  };
  EXPECT_EQ(warnings(R"("aws_access_key_id": "AKIA1", "aws_region": "eu-west-1")"), "");
  EXPECT_EQ(warnings(R"("aws_access_key_id": "ASIA1", "aws_session_token": "t")"), "");
  EXPECT_EQ(warnings(R"("aws_access_key_id": "ASIA1", "session_token": "t", "x": 1)"),
            "the S3 credentials hold the key 'session_token', which is not used; the name is "
            "aws_session_token|the S3 credentials hold the key 'x', which is not used|"
            "aws_access_key_id begins with ASIA: such temporary keys work only with their "
            "aws_session_token, which is missing");
}

TEST(S3BucketUrl, PutsTheBucketWhereItFits) {
  const auto url = [](std::string_view endpoint, std::string_view region, std::string_view bucket,
                      bool host = false) {
    const auto made = S3BucketUrl(endpoint, region, bucket, host);
    return made ? made->ToString() : made.error().message();
  };
  EXPECT_EQ(url("", "us-east-1", "models"), "https://models.s3.us-east-1.amazonaws.com/");
  EXPECT_EQ(url("", "eu-west-1", "a.b.c"), "https://s3.eu-west-1.amazonaws.com/a.b.c/");
  EXPECT_EQ(url("", "us-east-1", "Old_Name"), "https://s3.us-east-1.amazonaws.com/Old_Name/");
  EXPECT_EQ(url("", "cn-north-1", "models"), "https://models.s3.cn-north-1.amazonaws.com.cn/");
  EXPECT_EQ(url("http://127.0.0.1:9000", "x", "models"), "http://127.0.0.1:9000/models/");
  EXPECT_EQ(url("https://cwobject.com", "x", "models", true), "https://models.cwobject.com/");
  EXPECT_FALSE(S3BucketUrl("", "169.254.169.254/", "models"));
  EXPECT_FALSE(S3BucketUrl("", "us-east-1", "a/b"));
  EXPECT_EQ(S3BucketUrl("", "us-east-1", "b--use1-az4--x-s3").error().code(), Code::kUnsupported);
  EXPECT_FALSE(S3BucketUrl("ftp://h", "x", "models"));
}

class S3ClientTest : public ::testing::Test {
 protected:
  using Answer = net::testing::MemoryTransport::Answer;
  void Start(Answer answer, std::string endpoint = "") {
    transport_.emplace(std::move(answer));
    auto made = S3Client::Make(*transport_, {std::move(endpoint), "", "models", {"AK", "SK"}});
    ASSERT_TRUE(made) << made.error().message();
    client_ = *std::move(made);
  }
  bdn::testing::ManualClock clock_;
  Context ctx_{clock_};
  std::optional<net::testing::MemoryTransport> transport_;
  std::unique_ptr<S3Client> client_;
};

bool SignedFor(const net::HttpRequest& request, const std::string& region) {
  return std::string(request.headers.Get("Authorization").value_or(""))
             .find("/" + region + "/s3/aws4_request") != std::string::npos;
}

TEST_F(S3ClientTest, SignsOnceMoreForTheRegionThatTheServerNames) {
  for (const int kind : {0, 1, 2, 3}) {
    Start([&](const net::HttpRequest& request) -> Result<net::HttpResponse> {
      if (SignedFor(request, "eu-west-1")) return net::HttpResponse{200, {}, Page("")};
      if (!request.headers.Has("Authorization")) {
        return net::HttpResponse{301, {{"x-amz-bucket-region", "eu-west-1"}}, ""};
      }
      if (kind == 0) {
        return net::HttpResponse{301,
                                 {{"x-amz-bucket-region", "eu-west-1"}},
                                 "<Error><Code>PermanentRedirect</Code></Error>"};
      }
      if (kind == 3) {
        return net::HttpResponse{301,
                                 {{"Location", "http://169.254.169.254/"}},
                                 "<Error><Code>PermanentRedirect</Code><Endpoint>evil.example"
                                 "</Endpoint></Error>"};
      }
      if (kind == 1) {
        return net::HttpResponse{400,
                                 {},
                                 "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1"
                                 "</Region></Error>"};
      }
      return net::HttpResponse{400, {}, ""};
    });
    const auto page = client_->ListPage(ctx_, "w/", "");
    ASSERT_TRUE(page) << kind << ": " << page.error().message();
    EXPECT_EQ(transport_->requests().back().url.host, "models.s3.eu-west-1.amazonaws.com");
    const auto calls = transport_->calls();
    ASSERT_TRUE(client_->ListPage(ctx_, "w/", ""));
    EXPECT_EQ(transport_->calls(), calls + 1) << "the region is remembered";
  }
}

TEST_F(S3ClientTest, AHeadInTheWrongRegionIsSignedOnceMoreToo) {
  for (const int status : {301, 400}) {
    Start([&](const net::HttpRequest& request) -> Result<net::HttpResponse> {
      if (SignedFor(request, "eu-west-1")) {
        return net::HttpResponse{200, {{"Content-Length", "3"}, {"ETag", "\"e\""}}, ""};
      }
      if (request.headers.Has("Authorization")) return net::HttpResponse{status, {}, ""};
      return net::HttpResponse{403, {{"x-amz-bucket-region", "eu-west-1"}}, ""};
    });
    const auto object = client_->Head(ctx_, "k");
    ASSERT_TRUE(object && *object) << status;
    EXPECT_EQ((*object)->size, 3u);
    EXPECT_EQ(transport_->calls(), 3u);
  }
}

TEST_F(S3ClientTest, RefusesARegionThatWouldNameAnotherHost) {
  for (const char* region : {"169.254.169.254/", "evil.example#", "a.b"}) {
    Start([&](const net::HttpRequest&) -> Result<net::HttpResponse> {
      return net::HttpResponse{301, {{"x-amz-bucket-region", region}}, ""};
    });
    const auto page = client_->ListPage(ctx_, "w/", "");
    ASSERT_FALSE(page);
    EXPECT_EQ(page.error().code(), Code::kPermissionDenied);
    EXPECT_EQ(transport_->calls(), 1u);
  }
  // Regions that change every time end too.
  int n = 0;
  Start([&](const net::HttpRequest&) -> Result<net::HttpResponse> {
    return net::HttpResponse{301, {{"x-amz-bucket-region", "r-" + std::to_string(++n)}}, ""};
  });
  EXPECT_FALSE(client_->ListPage(ctx_, "w/", ""));
  EXPECT_EQ(transport_->calls(), 2u);
}

TEST_F(S3ClientTest, PutsAWrongClockRightOnce) {
  const WallTime theirs = clock_.Now() + std::chrono::minutes(20);
  Start([&](const net::HttpRequest& request) -> Result<net::HttpResponse> {
    if (request.headers.Get("X-Amz-Date") == "20260101T002000Z") {
      return net::HttpResponse{200, {}, Page("")};
    }
    return net::HttpResponse{403,
                             {{"Date", FormatHttpDate(theirs)}},
                             "<Error><Code>RequestTimeTooSkewed</Code></Error>"};
  });
  EXPECT_TRUE(client_->ListPage(ctx_, "", ""));
  EXPECT_EQ(transport_->calls(), 2u);
  EXPECT_TRUE(client_->ListPage(ctx_, "", "")) << "the difference is remembered";
  EXPECT_EQ(transport_->calls(), 3u);
  Start([&](const net::HttpRequest&) -> Result<net::HttpResponse> {
    return net::HttpResponse{403,
                             {{"Date", FormatHttpDate(theirs)}},
                             "<Error><Code>RequestTimeTooSkewed</Code></Error>"};
  });
  const auto never = client_->ListPage(ctx_, "", "");
  ASSERT_FALSE(never);
  EXPECT_EQ(never.error().code(), Code::kUnauthenticated);
  EXPECT_EQ(transport_->calls(), 2u);
}

TEST_F(S3ClientTest, ErrorsSayWhatToDo) {
  struct Case {
    int status;
    const char* body;
    Code code;
    const char* part;
  };
  const Case cases[] = {
      {403, "<Error><Code>AccessDenied</Code></Error>", Code::kPermissionDenied, "s3:GetObject"},
      {403, "", Code::kPermissionDenied, "s3:GetObject"},
      {403, "<Error><Code>AccessDenied</Code><Message>kms:Decrypt</Message></Error>",
       Code::kPermissionDenied, "allow kms:Decrypt"},
      {403, "<Error><Code>InvalidAccessKeyId</Code></Error>", Code::kUnauthenticated, "access key"},
      {403, "<Error><Code>SignatureDoesNotMatch</Code></Error>", Code::kUnauthenticated, "secret"},
      {400, "<Error><Code>ExpiredToken</Code></Error>", Code::kUnauthenticated, "fresh"},
      {403, "<Error><Code>InvalidObjectState</Code></Error>", Code::kUnsupported, "restore"},
      {404, "<Error><Code>NoSuchBucket</Code></Error>", Code::kNotFound, "bucket"},
      {412, "", Code::kFailedPrecondition, "listed"},
      {416, "", Code::kFailedPrecondition, "listed"},
      {503, "<Error><Code>SlowDown</Code></Error>", Code::kRateLimited, "slow"},
      {500, "<html>", Code::kUnavailable, "HTTP 500"},
      {405, "", Code::kNotFound, "deleted"},
  };
  for (const Case& c : cases) {
    Start([&](const net::HttpRequest&) -> Result<net::HttpResponse> {
      return net::HttpResponse{c.status, {}, c.body};
    });
    net::testing::CollectingSink sink;
    const Status status = client_->GetRange(ctx_, "k", "e", {0, 5}, sink);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code(), c.code) << status.error().message();
    const std::string said = status.error().message() + "\n" + status.error().hint();
    EXPECT_NE(said.find(c.part), std::string::npos) << said;
    EXPECT_EQ(transport_->requests().back().headers.Get("If-Match"), "\"e\"");
  }
}

}  // namespace
}  // namespace bdn::cloud
