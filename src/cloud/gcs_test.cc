#include "cloud/gcs.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/testing/manual_clock.h"
#include "net/testing/memory_transport.h"

namespace bdn::cloud {
namespace {

class GcsClientTest : public ::testing::Test {
 protected:
  // What List says when the server answers like this.
  Error ErrorOf(net::HttpResponse answer, GcsStep step = GcsStep::kList) {
    net::testing::MemoryTransport transport([&](const net::HttpRequest&) { return answer; });
    const auto client = GcsClient::Make(transport, kGcsEndpoint, "bucket");
    Status status;
    if (step == GcsStep::kList) {
      if (auto page = client->ListPage(ctx_, "t", "p/", ""); !page) status = page.error();
    } else {
      net::HttpResponse ignored;
      class Nowhere final : public net::ResponseSink {
        Status OnHead(const net::ResponseHead&) override { return {}; }
        Status Write(std::span<const std::byte>) override { return {}; }
      } sink;
      status = client->Read(ctx_, "t", {.name = "p/a", .generation = "1"}, sink);
    }
    EXPECT_FALSE(status);
    return status ? Error(Code::kInternal, "none") : status.error();
  }
  bdn::testing::ManualClock clock_;
  Context ctx_{clock_};
};

TEST_F(GcsClientTest, AddressesHaveTheBucketAndTheNameAsOneSegmentEach) {
  net::testing::MemoryTransport transport([](const net::HttpRequest&) {
    return net::HttpResponse{200, {}, "{}"};
  });
  const auto client = GcsClient::Make(transport, "https://proxy.test/base/", "my_bucket.v1");
  ASSERT_TRUE(client);
  ASSERT_TRUE(client->ListPage(ctx_, "secret", "a b/", "tok&en"));
  (void)client->Get(ctx_, "secret", "a/b c");
  const auto requests = transport.requests();
  EXPECT_EQ(requests[0].url.ToString(),
            "https://proxy.test/base/storage/v1/b/my_bucket.v1/o?fields=items%28name%2Csize%"
            "2Cgeneration%2Cmd5Hash%2Ccrc32c%2CcontentEncoding%29%2CnextPageToken&maxResults=1000&"
            "prefix=a%20b%2F&projection=noAcl&pageToken=tok%26en");
  EXPECT_EQ(requests[0].headers.Get("Authorization"), "Bearer secret");
  EXPECT_EQ(requests[1].url.path, "/base/storage/v1/b/my_bucket.v1/o/a%2Fb%20c");
}

TEST_F(GcsClientTest, BadBucketsAndEndpointsAreRefused) {
  net::testing::MemoryTransport transport(
      [](const net::HttpRequest&) { return net::HttpResponse{}; });
  for (const std::string bucket : {"", "ab", "a/b", "a b", "a?b", "..\n"}) {
    EXPECT_FALSE(GcsClient::Make(transport, kGcsEndpoint, bucket)) << bucket;
  }
  EXPECT_FALSE(GcsClient::Make(transport, "https://h/?q", "bucket"));
  EXPECT_FALSE(GcsClient::Make(transport, "ftp://h/", "bucket"));
}

TEST_F(GcsClientTest, ErrorsKeepWhatTheServerSaysAndAddWhatToDo) {
  const Error denied = ErrorOf(
      {403, {}, R"({"error": {"code": 403, "message": "x does not have storage.objects.list access",
          "errors": [{"reason": "forbidden"}]}})"});
  EXPECT_EQ(denied.code(), Code::kPermissionDenied);
  EXPECT_EQ(denied.message(),
            "the listing of the bucket bucket: storage.googleapis.com answered HTTP 403 forbidden "
            "(x does not have storage.objects.list access): allow storage.objects.list on the "
            "bucket: grant roles/storage.objectViewer to the service account");
  EXPECT_NE(ErrorOf({403, {}, "x does not have storage.objects.get access"}, GcsStep::kRead)
                .message()
                .find("allow storage.objects.get"),
            std::string::npos);
  EXPECT_EQ(
      ErrorOf({404, {}, "No such object: bucket/p/a"}, GcsStep::kRead).message(),
      "the object p/a of the bucket bucket: storage.googleapis.com answered HTTP 404 (No such "
      "object: bucket/p/a): there is no such object, or not in this generation any more");
}

TEST_F(GcsClientTest, ReasonsBecomeCodes) {
  struct Case {
    int status;
    std::string reason;
    std::string message;
    Code code;
  };
  const std::vector<Case> cases = {
      {400, "userProjectMissing", "", Code::kPermissionDenied},
      {403, "forbidden", "x does not have serviceusage.services.use access",
       Code::kPermissionDenied},
      {403, "rateLimitExceeded", "", Code::kRateLimited},
      {429, "rateLimitExceeded", "", Code::kRateLimited},
      {401, "authError", "", Code::kUnauthenticated},
      {404, "notFound", "", Code::kNotFound},
      {412, "conditionNotMet", "", Code::kFailedPrecondition},
      {416, "requestedRangeNotSatisfiable", "", Code::kFailedPrecondition},
      {400, "customerEncryptionKeyIsRequired", "", Code::kUnsupported},
      {307, "", "", Code::kUnavailable},
      {500, "backendError", "", Code::kUnavailable},
      {503, "", "", Code::kUnavailable},
  };
  for (const auto& c : cases) {
    const std::string body = R"({"error": {"message": ")" + c.message +
                             R"(", "errors": [{"reason": ")" + c.reason + R"("}]}})";
    EXPECT_EQ(ErrorOf({c.status, {}, body}).code(), c.code) << c.status << c.reason;
  }
  EXPECT_EQ(ErrorOf({503, {{"Retry-After", "7"}}, ""}).retry_after(), std::chrono::seconds(7));
}

TEST_F(GcsClientTest, PagesForBrowsersAreNotShown) {
  const Error error = ErrorOf({502, {}, "<html>token=abc</html>"});
  EXPECT_EQ(error.message().find("abc"), std::string::npos);
  EXPECT_EQ(error.code(), Code::kUnavailable);
}

TEST(GcsListing, HashesAreHexWithTheHighestByteFirst) {
  const auto page = ParseGcsListPage(
      R"({"kind": "storage#objects", "items": [{"name": "a", "size": "9", "generation": "7",
          "md5Hash": "JfnnlDI7RTiF9RgfGzX2Ew==", "crc32c": "4waSgw==",
          "contentEncoding": "gzip", "unknown": {"deep": []}}], "nextPageToken": "n"})");
  ASSERT_TRUE(page) << page.error().message();
  ASSERT_EQ(page->objects.size(), 1u);
  EXPECT_EQ(page->objects[0].md5, "25f9e794323b453885f5181f1b35f613");
  EXPECT_EQ(page->objects[0].crc32c, "e3069283");
  EXPECT_EQ(page->objects[0].content_encoding, "gzip");
  EXPECT_EQ(page->next_token, "n");
}

TEST(GcsListing, WhatIsNoListingIsUnavailable) {
  for (const std::string text :
       {"", "null", "[]", "{\"items\": {}}", "{\"items\": [1]}", "{\"items\": [{}]}",
        "{\"nextPageToken\": 1}", "{\"error\": {}}",
        R"({"items": [{"name": "", "size": "1", "generation": "1"}]})",
        R"({"items": [{"name": "a", "size": 1, "generation": "1"}]})",
        R"({"items": [{"name": "a", "size": "1x", "generation": "1"}]})",
        R"({"items": [{"name": "a", "size": "1", "generation": "../1"}]})",
        R"({"items": [{"name": "a", "size": "1", "generation": "1", "md5Hash": "AAAA"}]})"}) {
    const auto page = ParseGcsListPage(text);
    ASSERT_FALSE(page) << text;
    EXPECT_EQ(page.error().code(), Code::kUnavailable) << text;
  }
}

}  // namespace
}  // namespace bdn::cloud
